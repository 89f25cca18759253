// Runs grouped by a param: which value wins, and how surely. One tick a run, the mean as a bar, members below on the same scale.
import { h, s, star, starAt, swatch, key } from './dom.js';
import { status } from './status.js';
import { metric as number, param, percent, plural, count, difference } from './format.js';
import { colourOf } from './state.js';

const SHOWN = 5;

export class View {
  constructor(explorer, host) { this.x = explorer; this.host = host; this.open = new Set(); this.update(); }

  update() {
    const { ctx, runs, data, url } = this.x, by = url.group, name = by.slice(2), metric = ctx.primary, down = ctx.direction === 'lower';
    const value = by.startsWith('p:') ? (id) => runs.param(id, name) : by.startsWith('t:') ? (id) => runs.tags[name]?.[runs.row(id)] ?? null : (id) => runs.field(id, name);
    const groups = new Map();
    for (const id of runs.order) { const v = value(id), k = JSON.stringify(v); if (!groups.has(k)) groups.set(k, { id: k, value: v, name: v === null ? 'none' : param(v), all: [] }); groups.get(k).all.push(id); }
    const list = [...groups.values()], v = (id) => runs.metric(id, metric), better = (a, b) => (down ? a - b : b - a);
    for (const g of list) {
      g.all.sort((a, b) => { const p = v(a), q = v(b); return typeof p !== 'number' ? 1 : typeof q !== 'number' ? -1 : better(p, q); });
      g.finished = g.all.filter((id) => runs.field(id, 'status') === 'finished' && typeof v(id) === 'number');
      g.values = g.finished.map(v); g.ids = g.finished;
      g.mean = g.values.length ? g.values.reduce((a, b) => a + b, 0) / g.values.length : null;
      g.sd = g.values.length > 1 ? Math.sqrt(g.values.reduce((a, b) => a + (b - g.mean) ** 2, 0) / (g.values.length - 1)) : null;
      g.running = g.all.filter((id) => runs.field(id, 'status') === 'running').length;
    }
    list.sort((a, b) => (a.mean === null ? 1 : b.mean === null ? -1 : better(a.mean, b.mean)));
    list.forEach((g, i) => { g.colour = colourOf(i + 1); });
    this.groups = list;
    ctx.groups = list.filter((g) => g.ids.length).slice(0, 10);
    this.x.filter.n.textContent = `${plural(runs.total, 'run')} in ${plural(list.length, 'group')}`;
    this.says(list, name, metric, data);
    this.table(list, metric, down);
    this.x.charts.update();
  }

  says(list, name, metric, data) {
    const top = list[0];
    if (!top || top.mean === null || !this.x.ctx.direction) return;
    const d = this.x.runs.scale(metric).decimals, rest = list.slice(1).filter((g) => g.mean !== null), share = data.shares.find((q) => q.param === name), down = this.x.ctx.direction === 'lower', best = top.finished[0];
    const words = rest.length ? `${top.name} is ${difference(top.mean, rest[0].mean, d).slice(1)} ${down ? 'below' : 'above'} ${rest[0].name} on the mean${rest.length > 1 ? `, and ${difference(top.mean, rest[rest.length - 1].mean, d).slice(1)} ${down ? 'below' : 'above'} ${rest[rest.length - 1].name}` : ''}.` : `All finished runs have ${name} = ${top.name}.`;
    this.x.verdictBox.replaceChildren(h('section', { class: 'verdict h-verdict', 'data-testid': 'verdict' }, h('div', { class: 'v-who' }, h('div', { class: 'col v-left' }, h('div', { class: 'v-lab' }, star(), `Best group of ${list.length}, by mean`), h('div', { class: 'v-name' }, key(top.colour, 10), h('span', { class: 'ell' }, `${name} = ${top.name}`))), h('div', { class: 'col' }, h('div', { class: 'v-num' }, number(top.mean, d)), h('div', { class: 't12 m2 nw' }, `mean of the best ${metric}`))),
      h('div', { class: 'v-why' }, h('div', {}, h('div', { class: 't15 md' }, words), h('div', { class: 'm2' }, `Its best run, ${this.x.runs.field(best, 'name')}, reaches ${number(this.x.runs.metric(best, metric), d)}. ${share ? `${percent(share.share)} of the spread over ${count(data.finished)} finished runs goes with ${name}.` : ''}`)))));
  }

  table(list, metric, down) {
    const { runs, ctx } = this.x, W = 232, values = list.flatMap((g) => g.values).sort((a, b) => a - b), d = runs.scale(metric || '').decimals;
    const lo = values[Math.floor((values.length - 1) * (down ? 0 : 0.03))], hi = values[Math.floor((values.length - 1) * (down ? 0.97 : 1))];
    const X = (v) => { const f = (Math.max(lo, Math.min(hi, v)) - lo) / ((hi - lo) || 1); return 8 + (down ? 1 - f : f) * (W - 20); };
    const rows = [], widths = [38, 170, 104, 190, 240, null], heads = ['', 'Group', 'Status', 'Mean', 'Each run; better to the right', 'Best run'];
    list.slice(0, 60).forEach((g, i) => {
      const strip = s('svg', { width: W, height: 22, 'aria-hidden': 'true' });
      for (const v of g.values.slice(0, 400)) strip.append(s('line', { x1: X(v), x2: X(v), y1: 6, y2: 16, stroke: g.colour, opacity: 0.45, 'stroke-width': 1.2 }));
      if (g.mean !== null) strip.append(s('line', { x1: X(g.mean), x2: X(g.mean), y1: 2, y2: 20, stroke: 'var(--ink)', 'stroke-width': 2 }));
      if (g.finished.includes(ctx.best)) strip.append(starAt(X(runs.metric(ctx.best, metric)), 11));
      rows.push(h('tr', { class: `sel${i === 0 && ctx.direction ? ' best' : ''}`, style: { '--rc': g.colour }, 'data-testid': 'group-row' }, h('td', { class: 'g-sw' }, swatch(g.colour)), h('td', {}, h('span', { class: 'b' }, g.name), h('span', { class: 'm2' }, ` ${plural(g.all.length, 'run')}`)),
        h('td', {}, g.running ? h('span', { class: 'st md live' }, h('span', { class: 'dot' }), `${g.running} training`) : h('span', { class: 'm2 t12' }, 'finished')), h('td', { class: 'r' }, i === 0 && ctx.direction ? h('span', { class: 'g-star' }, star()) : '', h('span', { class: 'md' }, number(g.mean, d)), h('span', { class: 'm2 t11 g-sd' }, g.sd === null ? '' : `± ${number(g.sd, d)}`)), h('td', {}, strip), h('td', { class: 'md' }, g.finished[0] ? h('a', { href: `/run/${g.finished[0]}` }, runs.field(g.finished[0], 'name')) : '')));
      const most = this.open.has(g.id) ? 200 : Math.max(1, Math.min(SHOWN + (i === 0 ? 1 : 0), 24 - rows.length));
      for (const id of g.all.slice(0, most)) {
        const v = runs.metric(id, metric), point = s('svg', { width: W, height: 20, 'aria-hidden': 'true' }), step = runs.metricStep(id, metric);
        if (typeof v === 'number') point.append(s('circle', { cx: X(v), cy: 10, r: 3, fill: id === ctx.best ? 'var(--goldfill)' : g.colour }));
        rows.push(h('tr', {}, h('td', {}), h('td', { class: 'g-in' }, h('a', { href: `/run/${id}`, title: runs.field(id, 'name') }, runs.field(id, 'name'))), h('td', {}, status(runs.plain(id))), h('td', { class: 'r' }, number(v, typeof v === 'number' ? d : undefined), h('span', { class: 'at g-sd' }, step === null ? '' : `@${step}`)), h('td', {}, point), h('td', { class: 'm2' }, ctx.differ.filter((p) => `p:${p}` !== this.x.url.group).slice(0, innerWidth >= 2000 ? 3 : 1).map((p) => `${p} ${param(runs.param(id, p))}`).join(', '))));
      }
      if (g.all.length > most) rows.push(h('tr', {}, h('td', {}), h('td', { colspan: 5, class: 'g-in' }, h('button', { class: 'm3', onclick: () => { this.open.add(g.id); this.table(this.groups, metric, down); } }, `${count(g.all.length - most)} more`))));
    });
    const scrolled = this.host.querySelector('.scroll')?.scrollTop || 0;
    this.host.replaceChildren(h('div', { class: 'scroll y' }, h('table', { class: 'g-table' }, h('colgroup', {}, widths.map((w) => h('col', { style: w ? { width: `${w}px` } : {} }))), h('thead', {}, h('tr', {}, heads.map((t, i) => h('th', { class: i === 3 ? 'r g-head' : '' }, t)))), h('tbody', {}, rows))), h('div', { class: 'foot' }, 'A running run makes its group running; open runs are not in the mean'));
    this.host.querySelector('.scroll').scrollTop = scrolled;
  }

  destroy() { this.host.replaceChildren(); }
}
