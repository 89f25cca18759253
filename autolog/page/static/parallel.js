// Parallel coordinates: the ranges that lead to the best. A brush is a filter of the table below.
import { h, s, star, starAt, key } from './dom.js';
import { status } from './status.js';
import { axisOf } from './axes.js';
import { metric as number, param, percent, count, plural, padding } from './format.js';
import { nameOf, quoted } from './verdict.js';
import { token } from './state.js';

const MOST = 1000;

export class View {
  constructor(explorer, host) {
    this.x = explorer; this.host = host; this.brushes = new Map();
    this.canvas = h('canvas', { class: 'px-lines' }); this.svg = s('svg', { class: 'px-axes', role: 'img' });
    this.plot = h('div', { class: 'px', 'data-testid': 'parallel' }, this.canvas, this.svg);
    this.list = h('div', { class: 'px-list' });
    host.replaceChildren(this.plot, this.list);
    this.sizes = new ResizeObserver(() => this.update());
    this.sizes.observe(this.plot);
    this.update();
  }

  themed() { this.update(); }
  selected() {}

  update() {
    const { runs, ctx, data } = this.x, metric = ctx.primary, w = this.plot.clientWidth, tall = this.plot.clientHeight;
    if (!metric || !w) return;
    const value = (id) => runs.metric(id, metric), down = ctx.direction === 'lower';
    this.ids = runs.order.filter((id) => runs.field(id, 'status') === 'finished' && typeof value(id) === 'number').slice(0, MOST);
    const shares = new Map(data.shares.map((q) => [q.param, q.share])), most = Math.max(2, Math.min(9, Math.floor(w / 130) - 1));
    this.order ||= null;
    const names = (this.order || ctx.differ.slice(0, most)).filter((n) => runs.params[n]), scores = this.ids.map(value), top = 72, bottom = tall - 24;
    const list = this.order ? names : [...names].reverse();
    this.axes = [...list.map((n) => axisOf(n, this.ids.map((id) => runs.param(id, n)), scores, top, bottom)), Object.assign(this.metricAxis(metric, scores, top, bottom, down), { metric: true })];
    const left = 88, right = 150, gap = (w - left - right) / Math.max(1, this.axes.length - 1);
    this.axes.forEach((a, i) => { a.x = left + gap * i; });
    this.gap = gap; this.box = { w, tall, top, bottom };
    const kept = this.kept = new Set(this.ids.filter((id, i) => this.axes.every((a) => this.inside(a, a.values[i]))));
    this.lines(shares);
    this.marks(shares, metric);
    this.says(kept, metric);
    this.table(kept, metric);
  }

  metricAxis(metric, scores, top, bottom, down) {
    const sorted = [...scores].sort((a, b) => a - b), lo = sorted[Math.floor((sorted.length - 1) * (down ? 0 : 0.1))], hi = sorted[Math.floor((sorted.length - 1) * (down ? 0.9 : 1))];
    const a = axisOf(metric, scores.map((v) => Math.max(lo, Math.min(hi, v))), scores, top, bottom, down);
    if (!a.log) a.ticks = a.ticks.filter((_, i) => a.ticks.length <= 8 || i % 2 === 0);
    return a;
  }

  inside(axis, v) {
    const b = this.brushes.get(axis.name);
    if (!b) return true;
    if (b.values) return b.values.includes(v);
    return typeof v === 'number' && v >= b.from && v <= b.to;
  }

  lines() {
    const { w, tall } = this.box, ratio = devicePixelRatio || 1, c = this.canvas, g = c.getContext('2d'), { ctx } = this.x;
    c.width = w * ratio; c.height = tall * ratio; c.style.width = `${w}px`; c.style.height = `${tall}px`;
    g.scale(ratio, ratio);
    const jitter = (i, j) => ((Math.abs(Math.sin((i + 1) * 12.9898 + j * 78.233) * 43758.5453) % 1) - 0.5) * 12;
    const path = (i, still) => {
      g.beginPath();
      this.axes.forEach((a, j) => {
        const y = a.y(a.values[i]) + (still || a.metric ? 0 : jitter(i, j));
        if (j === 0) g.moveTo(a.x, y); else { const p = this.axes[j - 1], m = this.gap * 0.42; g.bezierCurveTo(p.x + m, this.last, a.x - m, y, a.x, y); }
        this.last = y;
      });
      g.stroke();
    };
    const n = this.ids.length, ramp = [1, 2, 3, 4, 5, 6].map((k) => token(`--s${k}`)), metric = this.axes[this.axes.length - 1], { top, bottom } = this.box;
    g.strokeStyle = token('--ctx'); g.lineWidth = 1; g.globalAlpha = 0.75;
    this.ids.forEach((id, i) => { if (!this.kept.has(id)) path(i); });
    this.shade = (i) => ramp[Math.max(0, Math.min(5, Math.round(((bottom - metric.y(metric.values[i])) / (bottom - top)) * 5)))];
    const order = [...this.ids.keys()].filter((i) => this.kept.has(this.ids[i])).sort((a, b) => metric.y(metric.values[b]) - metric.y(metric.values[a]));
    g.lineWidth = n > 300 ? 1 : 1.5; g.globalAlpha = n > 300 ? 0.6 : 0.9;
    for (const i of order) if (this.ids[i] !== ctx.best) { g.strokeStyle = this.shade(i); path(i); }
    const b = this.ids.indexOf(ctx.best);
    g.globalAlpha = 1;
    if (b >= 0) { g.strokeStyle = token('--surface'); g.lineWidth = 7; path(b, true); g.strokeStyle = token('--goldfill'); g.lineWidth = 3; path(b, true); }
  }

  marks(shares, metric) {
    const { w, tall, top, bottom } = this.box, { ctx, runs } = this.x, kids = [], b = this.ids.indexOf(ctx.best);
    this.svg.setAttribute('width', w); this.svg.setAttribute('height', tall);
    this.svg.setAttribute('aria-label', `Parallel coordinates of ${plural(this.ids.length, 'run')}`);
    for (const a of this.axes) {
      const share = shares.get(a.name), name = a.name.length > 18 ? `${a.name.slice(0, 17)}…` : a.name;
      kids.push(s('line', { x1: a.x, x2: a.x, y1: top - 6, y2: bottom + 6, stroke: 'var(--line2)' }), s('text', { x: a.x, y: 20, 'text-anchor': 'middle', class: `px-name${a.metric ? '' : ' px-drag'}`, onpointerdown: a.metric ? null : (e) => this.move(e, a) }, name, s('title', {}, a.name)),
        s('text', { x: a.x, y: 38, 'text-anchor': 'middle', class: 'px-sub' }, a.metric ? (ctx.direction ? `${ctx.direction} is better` : '') : share === undefined ? '< 2 % of spread' : `${percent(share)} of spread`));
      if (!a.metric) kids.push(s('rect', { x: a.x - 30, y: 45, width: 60, height: 3, rx: 1.5, fill: 'var(--bar)' }), s('rect', { x: a.x - 30, y: 45, width: Math.max(2, 60 * Math.min(1, (share || 0) / 0.5)), height: 3, rx: 1.5, fill: 'var(--ink2)' }));
      let free = Infinity;
      const ticks = [...a.ticks].sort((p, q) => a.y(q[0]) - a.y(p[0]));
      for (const [v, text] of ticks) {
        const y = a.y(v), gold = !a.metric && b >= 0 && JSON.stringify(a.values[b]) === JSON.stringify(v);
        if (free - y < 13 && !gold) continue;
        free = y;
        kids.push(s('line', { x1: a.x - 4, x2: a.x, y1: y, y2: y, stroke: 'var(--line2)' }), s('text', { x: a.x - 10, y: y + 4, 'text-anchor': 'end', class: `px-tick${gold ? ' gold' : ''}` }, text));
      }
      const brush = this.brushes.get(a.name);
      if (brush) {
        const ys = brush.values ? brush.values.map((v) => a.y(v)) : [a.y(brush.from), a.y(brush.to)], y1 = Math.max(top - 10, Math.min(...ys) - (brush.values ? 16 : 8)), y2 = Math.min(bottom + 10, Math.max(...ys) + (brush.values ? 16 : 8));
        kids.push(s('rect', { x: a.x - 6, y: y1, width: 12, height: Math.max(6, y2 - y1), rx: 6, fill: 'var(--ink)', 'fill-opacity': 0.16, stroke: 'var(--ink)', 'stroke-width': 1.2 }));
      }
      kids.push(s('rect', { class: 'px-hit', x: a.x - 16, y: top - 12, width: 32, height: bottom - top + 24, fill: 'transparent', 'data-testid': `axis-${a.name}`, onpointerdown: (e) => this.brush(e, a) }));
    }
    if (b >= 0) { const a = this.axes[this.axes.length - 1], y = a.y(a.values[b]); kids.push(starAt(a.x, y, 1.1), s('text', { x: a.x + 14, y: y + 4, class: 'px-best' }, runs.field(ctx.best, 'name')), s('text', { x: a.x + 14, y: y + 20, class: 'px-sub' }, number(runs.metric(ctx.best, metric), runs.scale(metric).decimals))); }
    this.svg.replaceChildren(...kids);
  }

  brush(e, a) {
    e.preventDefault();
    const box = this.svg.getBoundingClientRect(), from = e.clientY - box.top;
    const end = (up) => {
      removeEventListener('pointerup', end);
      const to = up.clientY - box.top;
      if (Math.abs(to - from) < 5) {
        const near = !a.numeric && !this.brushes.has(a.name) ? a.keys.reduce((m, v) => (Math.abs(a.y(v) - from) < Math.abs(a.y(m) - from) ? v : m), a.keys[0]) : undefined;
        if (near === undefined) this.brushes.delete(a.name); else this.brushes.set(a.name, { values: [near] });
      } else if (a.numeric) { const p = [a.y.inverse(Math.max(this.box.top, Math.min(this.box.bottom, from))), a.y.inverse(Math.max(this.box.top, Math.min(this.box.bottom, to)))].sort((x, y) => x - y), some = a.values.filter((v) => v !== null && v >= p[0] - 1e-12 && v <= p[1] + 1e-12); if (some.length) this.brushes.set(a.name, { from: Math.min(...some), to: Math.max(...some) }); } else { const some = a.keys.filter((v) => a.y(v) >= Math.min(from, to) && a.y(v) <= Math.max(from, to)); if (some.length) this.brushes.set(a.name, { values: some }); }
      this.update();
    };
    addEventListener('pointerup', end);
  }

  move(e, a) {
    e.preventDefault();
    const from = e.clientX, end = (up) => {
      removeEventListener('pointerup', end);
      const by = Math.round((up.clientX - from) / this.gap), names = this.axes.filter((q) => !q.metric).map((q) => q.name), i = names.indexOf(a.name), to = Math.max(0, Math.min(names.length - 1, i + by));
      if (to !== i) { names.splice(i, 1); names.splice(to, 0, a.name); this.order = names; this.update(); }
    };
    addEventListener('pointerup', end);
  }

  words() {
    const say = [], filter = [];
    for (const [name, b] of this.brushes) {
      const metric = name === this.x.ctx.primary, field = metric ? `${this.x.ctx.direction === 'lower' ? 'min' : 'max'}(${nameOf('metrics', name)})` : nameOf('params', name);
      if (b.values) { say.push(b.values.map(param).join(' or ')); filter.push(b.values.length === 1 ? `${field} == ${quoted(b.values[0])}` : `${field} in (${b.values.map(quoted).join(', ')})`); } else { say.push(`${name} from ${param(Number(b.from.toPrecision(4)))} to ${param(Number(b.to.toPrecision(4)))}`); filter.push(`${b.from} <= ${field} <= ${b.to}`); }
    }
    return { say: say.join(' and '), filter: filter.join(' and ') };
  }

  says(kept, metric) {
    const { data, runs } = this.x, d = runs.scale(metric).decimals, median = (ids) => { const v = ids.map((id) => runs.metric(id, metric)).sort((a, b) => a - b); return v.length ? number(v[v.length >> 1], d) : '–'; };
    const rest = this.ids.filter((id) => !kept.has(id)), { say } = this.words(), best = data.best;
    const words = this.brushes.size ? `${plural(kept.size, 'run')} with ${say}: median ${median([...kept])}, all others ${median(rest)}.` : `${plural(this.ids.length, 'finished run')}, median ${median(this.ids)}. Drag along an axis to keep a range.`;
    this.x.verdictBox.replaceChildren(h('section', { class: 'verdict px-verdict', 'data-testid': 'verdict' }, best ? h('div', { class: 'v-who' }, h('div', { class: 'col v-left' }, h('div', { class: 'v-lab' }, star(), `Best of ${count(data.finished)} finished`), h('div', { class: 'v-name' }, key(this.x.selection.colour(best.id) || 'var(--ink3)', 10), h('span', { class: 'ell' }, best.name))), h('div', { class: 'v-num' }, number(best.value, d))) : null,
      h('div', { class: 'v-why' }, h('div', { class: 'c-says' }, h('div', { class: 't15 md ell', title: words, 'data-testid': 'says' }, words), h('div', { class: 'm2 ell' }, 'Axes are in the order of how much of the spread goes with them. Drag a name to move it; a click on an axis lets its range go.')), h('span', { class: 'sp' }),
        this.brushes.size ? h('span', { class: 'row hide-s' }, h('button', { class: 'btn', onclick: () => { this.brushes.clear(); this.update(); } }, 'Clear'), h('button', { class: 'btn', 'data-testid': 'brush-to-filter', onclick: () => { const f = this.words().filter; this.brushes.clear(); this.x.filter.add(f); } }, 'Make it the filter')) : null)));
    this.x.filter.n.textContent = this.brushes.size ? `${count(kept.size)} of ${plural(this.ids.length, 'run')}` : plural(this.x.runs.total, 'run');
  }

  table(kept, metric) {
    const { runs, ctx } = this.x, down = ctx.direction === 'lower', d = runs.scale(metric).decimals, names = [...this.axes].reverse().filter((a) => !a.metric), index = new Map(this.ids.map((id, i) => [id, i]));
    const rows = [...kept].sort((a, b) => (down ? 1 : -1) * (runs.metric(a, metric) - runs.metric(b, metric))).slice(0, 50);
    const cols = ['Name', metric, ...names.map((a) => a.name), 'Status'];
    this.list.replaceChildren(h('table', {}, h('thead', {}, h('tr', {}, cols.map((t, i) => h('th', { class: i === 1 || names[i - 2]?.numeric ? 'r' : '', title: t }, t)))), h('tbody', {}, rows.map((id) => {
      const text = number(runs.metric(id, metric), d), best = id === ctx.best;
      return h('tr', { class: best ? 'best' : '' }, h('td', { class: 'md' }, h('span', { class: 'row' }, key(best ? 'var(--goldfill)' : this.shade(index.get(id))), h('a', { class: 'ell', href: `/run/${id}` }, runs.field(id, 'name')))), h('td', { class: 'r' }, best ? h('span', { class: 'g-star' }, star()) : '', h('span', { class: 'md' }, text, padding(text, d)), h('span', { class: 'at' }, runs.metricStep(id, metric) === null ? '' : `@${runs.metricStep(id, metric)}`)), names.map((a) => h('td', { class: a.numeric ? 'r' : '' }, param(runs.param(id, a.name)))), h('td', {}, status(runs.plain(id))));
    }))));
  }

  destroy() { this.sizes.disconnect(); this.host.replaceChildren(); this.x.answer(); }
}
