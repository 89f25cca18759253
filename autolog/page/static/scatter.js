// Two quantities against each other: the runs that no other beats in both are the front, drawn as steps and listed.
import { h, s, star, starAt, icon, menu, key, put } from './dom.js';
import { metric as number, duration, param, count, plural, percent, difference } from './format.js';
import { scale, marks } from './scales.js';
import { write, colourOf } from './state.js';

export class View {
  constructor(explorer, host) {
    this.x = explorer; this.host = host;
    this.svg = s('svg', { role: 'img' });
    this.plot = h('div', { class: 'sc', 'data-testid': 'scatter' }, this.svg);
    this.list = h('div', { class: 'scroll y' });
    this.bar = h('div', { class: 'tools' });
    host.replaceChildren(h('div', { class: 'sc-split' }, h('div', { class: 'sc-left' }, this.bar, this.plot), h('div', { class: 'sc-right' }, h('div', { class: 'tools' }, h('span', { class: 'b' }, 'On the front'), this.said = h('span', { class: 'm3 t12' })), this.list)));
    this.sizes = new ResizeObserver(() => this.update());
    this.sizes.observe(this.plot);
    this.update();
  }

  themed() {}

  quantity(id) {
    const { runs } = this.x, name = id.slice(2);
    if (id === 'r:duration') return { name: 'duration', of: (r) => runs.field(r, 'duration'), text: (v) => duration(v), lower: true, kind: 'relative' };
    if (id.startsWith('m:')) return { name, of: (r) => runs.metric(r, name), text: (v) => number(v, runs.scale(name).decimals), lower: runs.metrics[name]?.direction === 'lower', higher: runs.metrics[name]?.direction === 'higher' };
    return { name, of: (r) => runs.param(r, name), text: param, lower: true };
  }

  choices() { const r = this.x.runs; return ['r:duration', ...Object.keys(r.metrics).map((n) => `m:${n}`), ...this.x.ctx.differ.filter((n) => r.params[n].every((v) => v === null || typeof v === 'number')).map((n) => `p:${n}`)]; }

  update() {
    const { runs, ctx, url } = this.x, w = this.plot.clientWidth, tall = this.plot.clientHeight, metric = ctx.primary;
    if (!metric || !w) return;
    const all = this.choices(), xi = all.includes(url.sx) ? url.sx : 'r:duration', yi = all.includes(url.sy) ? url.sy : `m:${metric}`, qx = this.quantity(xi), qy = this.quantity(yi);
    const colours = ctx.differ.find((n) => new Set(runs.params[n]).size <= 6), groups = colours ? [...new Set(runs.params[colours].map(param))].slice(0, 10) : [];
    const button = (label, id, keyName) => { const b = h('button', { class: 'btn sm', onclick: () => menu(b, all.map((c) => [c.slice(2), () => write({ [keyName]: c }, false), c === id])) }, h('span', { class: 'm3' }, label), ` ${id.slice(2)}`, icon('chev')); return b; };
    put(this.bar, button('x', xi, 'sx'), button('y', yi, 'sy'), h('span', { class: 'sp' }), groups.slice(0, 6).map((g, i) => h('span', { class: 'st t12 m2' }, key(colourOf(i + 1)), g)));
    if (this.key !== `${xi}${yi}`) { this.key = `${xi}${yi}`; }
    const points = runs.order.filter((id) => runs.field(id, 'status') === 'finished').map((id) => ({ id, x: qx.of(id), y: qy.of(id) })).filter((p) => typeof p.x === 'number' && typeof p.y === 'number');
    if (!points.length) { this.svg.replaceChildren(); return; }
    const pick = (k) => points.map((p) => p[k]).sort((a, b) => a - b), xs = pick('x'), ys = pick('y'), cut = (v, q) => v[Math.floor((v.length - 1) * q)];
    const yl = qy.lower ? ys[0] : cut(ys, 0.03), yh = qy.lower ? cut(ys, 0.97) : ys[ys.length - 1], xl = xs[0], xh = xs[xs.length - 1], px = (xh - xl || 1) * 0.04, py = (yh - yl || 1) * 0.06, logx = xl > 0 && xh / xl >= 100;
    const m = { l: 64, r: 40, t: 28, b: 44 }, X = logx ? scale(xl / 1.2, xh * 1.2, m.l, w - m.r, true) : scale(xl - px, xh + px, m.l, w - m.r), Y = scale(yl - py, yh + py, tall - m.b, m.t), kids = [];
    for (const [v, t] of marks(Y.lo, Y.hi, 5)) kids.push(s('line', { x1: m.l, x2: w - m.r, y1: Y(v), y2: Y(v), stroke: 'var(--grid)' }), s('text', { x: m.l - 10, y: Y(v) + 4, 'text-anchor': 'end' }, t));
    for (const [v, t] of marks(X.lo, X.hi, 7, logx, qx.kind)) kids.push(s('text', { x: X(v), y: tall - m.b + 18, 'text-anchor': 'middle' }, t));
    kids.push(s('line', { x1: m.l, x2: w - m.r, y1: tall - m.b + 0.5, y2: tall - m.b + 0.5, stroke: 'var(--line2)' }), s('text', { x: w - m.r, y: tall - 6, 'text-anchor': 'end', class: 'sc-title' }, qx.name), s('text', { x: m.l - 40, y: 14, class: 'sc-title' }, `${qy.name}${yi.startsWith('m:') && (qy.lower || qy.higher) ? ', best' : ''}`));
    const better = (a, b) => (qy.lower ? a < b : a > b), sorted = [...points].sort((a, b) => a.x - b.x || (qy.lower ? a.y - b.y : b.y - a.y)), front = [];
    for (const p of sorted) if (!front.length || better(p.y, front[front.length - 1].y)) front.push(p);
    const on = new Set(front.map((p) => p.id)), colour = (id) => (colours ? colourOf(Math.max(0, groups.indexOf(param(runs.param(id, colours)))) + 1) : 'var(--ink3)');
    const title = (p) => s('title', {}, `${runs.field(p.id, 'name')}: ${qx.name} ${qx.text(p.x)}, ${qy.name} ${qy.text(p.y)}`);
    for (const p of points.slice(0, 3000)) if (!on.has(p.id) && p.y >= Y.lo && p.y <= Y.hi) kids.push(s('a', { href: `/run/${p.id}` }, s('circle', { cx: X(p.x), cy: Y(p.y), r: 4, fill: colour(p.id), 'fill-opacity': 0.55 }, title(p))));
    let d = '';
    front.forEach((p, i) => { d += i ? `H${X(p.x)}V${Y(p.y)}` : `M${X(p.x)} ${Y(p.y)}`; });
    kids.push(s('path', { d: `${d}H${w - m.r}`, fill: 'none', stroke: 'var(--ink)', 'stroke-width': 1.25 }));
    let ly = -99;
    for (const p of front) {
      const x = X(p.x), y = Y(p.y), best = p.id === ctx.best, name = runs.field(p.id, 'name');
      kids.push(s('a', { href: `/run/${p.id}` }, best ? starAt(x, y, 1.4) : s('circle', { cx: x, cy: y, r: 5.5, fill: colour(p.id), stroke: 'var(--surface)', 'stroke-width': 2 }, title(p))));
      if (best || (x - 9 - name.length * 6.4 > m.l && Math.abs(y - ly) > 18)) { ly = y; const flip = x + 20 + name.length * 7 < w; kids.push(s('text', { x: best && flip ? x + 14 : x - 12, y: y - 9, 'text-anchor': best && flip ? 'start' : 'end', class: best ? 'px-best halo' : 'sc-name' }, name)); }
    }
    this.svg.setAttribute('width', w); this.svg.setAttribute('height', tall); this.svg.setAttribute('aria-label', `${qx.name} against ${qy.name} of ${plural(points.length, 'run')}`);
    this.svg.replaceChildren(...kids);
    this.said.textContent = `${plural(front.length, 'run')}, ${qx.name === 'duration' ? 'quickest' : `smallest ${qx.name}`} first`;
    this.list.replaceChildren(h('table', {}, h('thead', {}, h('tr', {}, ['Name', qx.name, qy.name].map((t, i) => h('th', { class: i ? 'r' : '' }, t)))), h('tbody', {}, front.map((p) => h('tr', { class: p.id === ctx.best ? 'best' : '' }, h('td', { class: 'md' }, h('span', { class: 'row' }, key(colour(p.id)), h('a', { class: 'ell', href: `/run/${p.id}` }, runs.field(p.id, 'name')))), h('td', { class: 'r' }, qx.text(p.x)), h('td', { class: 'r' }, p.id === ctx.best ? h('span', { class: 'g-star' }, star()) : '', qy.text(p.y)))))));
    this.says(front, qx, qy);
  }

  says(front, qx, qy) {
    const { data, ctx, runs } = this.x, best = front.find((p) => p.id === ctx.best), d = runs.scale(ctx.primary).decimals, other = best && front[front.indexOf(best) - 1];
    const words = best && other && qx.name === 'duration' ? `${runs.field(other.id, 'name')} gets ${qy.text(other.y)} in ${qx.text(other.x)}: ${difference(best.y, other.y, d).slice(1)} ${qy.lower ? 'more' : 'less'} in ${percent(1 - other.x / best.x)} less time.` : `${plural(front.length, 'run')} of ${count(data.finished)} ${front.length === 1 ? 'is' : 'are'} on the front.`;
    this.x.verdictBox.replaceChildren(h('section', { class: 'verdict px-verdict', 'data-testid': 'verdict' }, data.best ? h('div', { class: 'v-who' }, h('div', { class: 'col v-left' }, h('div', { class: 'v-lab' }, star(), `Best of ${count(data.finished)} finished`), h('div', { class: 'v-name' }, key(this.x.selection.colour(data.best.id) || 'var(--ink3)', 10), h('span', { class: 'ell' }, data.best.name))), h('div', { class: 'v-num' }, number(data.best.value, d))) : null,
      h('div', { class: 'v-why' }, h('div', { class: 'c-says' }, h('div', { class: 't15 md ell', title: words }, words), h('div', { class: 'm2 ell' }, `A run is on the front when no other is better in both ${qx.name} and ${qy.name}.`)))));
  }

  destroy() { this.sizes.disconnect(); this.host.replaceChildren(); this.x.answer(); }
}
