// One chart: ECharts draws the lines; names, stars, ends and hover stand above them as SVG, where text is text.
import { h, s, starAt, textWidth } from './dom.js';
import { scale, marks } from './scales.js';
import { token } from './state.js';
import { nearest } from './curves.js';

let library = null;
export const echarts = () => (library ||= import('./lib/echart/index.js').then((m) => m.echarts, () => { library = null; return null; }));

const LINE = { type: 'line', showSymbol: false, silent: true, animation: false, emphasis: { disabled: true }, connectNulls: false, large: true };

export class Chart {
  /** `act` has hover(x, chart, y), leave(), zoom(from, to), reset(). */
  constructor(act, options = {}) {
    this.act = act; this.options = options;
    this.under = s('svg', { class: 'under', 'aria-hidden': 'true' });
    this.canvas = h('div', { class: 'lines' });
    this.over = s('svg', { class: 'over', 'aria-hidden': 'true' });
    this.root = h('div', { class: 'plotbox', role: 'img', style: { height: `${options.height || 126}px` } }, this.under, this.canvas, this.over);
    this.root.addEventListener('pointermove', (e) => this.moved(e));
    this.root.addEventListener('pointerleave', () => { if (!this.drag) act.leave(); });
    this.root.addEventListener('pointerdown', (e) => { if (e.button === 0 && e.pointerType === 'mouse' && this.X) this.drag = { from: this.at(e).px }; });
    this.root.addEventListener('pointerup', (e) => this.dropped(e));
    this.root.addEventListener('dblclick', () => act.reset());
    this.resizer = new ResizeObserver(() => { if (this.width !== this.root.clientWidth || this.tall !== this.root.clientHeight) this.draw(); });
    this.resizer.observe(this.root);
  }

  /** `data`: {lines: [{id, name, colour, dash, best, status, x, y, pairs, raw}], context: [pairs], bands, x: [lo, hi], y: [lo, hi], logx, logy, kind, star: [x, y], holes, title}. */
  set(data) { this.data = data; this.root.setAttribute('aria-label', data.title || ''); this.draw(); }

  async draw() {
    const d = this.data, w = this.root.clientWidth, tall = this.root.clientHeight;
    if (!d || !w || !tall) return;
    this.width = w; this.tall = tall;
    const margin = this.margin = { t: 8, b: 20, l: this.options.left || 44, r: this.options.names && d.lines.length ? Math.min(w < 420 ? 84 : 124, 34 + Math.max(...d.lines.map((x) => textWidth(x.name, `${x.best ? '600 ' : ''}11px`)))) : 12 };
    this.X = scale(d.x[0], d.x[1], margin.l, w - margin.r, d.logx);
    this.Y = scale(d.y[0], d.y[1], tall - margin.b, margin.t, d.logy);
    this.frame();
    const lib = await echarts();
    if (!lib || this.gone || this.data !== d) return;
    if (!this.chart) this.chart = lib.init(this.canvas, null, { renderer: 'canvas', width: w, height: tall });
    else if (this.chart.getWidth() !== w || this.chart.getHeight() !== tall) this.chart.resize({ width: w, height: tall });
    const series = [], ctx = token('--ctx');
    (d.context || []).forEach((p, i) => series.push({ ...LINE, id: `c${i}`, data: p, lineStyle: { color: ctx, width: 1 }, z: 1 }));
    for (const b of d.bands || []) {
      const c = token(b.colour);
      series.push({ ...LINE, id: `${b.id} lo`, stack: b.id, stackStrategy: 'all', data: b.lo, lineStyle: { opacity: 0 }, z: 2 }, { ...LINE, id: `${b.id} hi`, stack: b.id, stackStrategy: 'all', data: b.gap, lineStyle: { opacity: 0 }, areaStyle: { color: c, opacity: 0.13 }, z: 2 });
    }
    const order = [...d.lines].sort((a, b) => (a.best ? 1 : 0) - (b.best ? 1 : 0));
    for (const l of order) {
      const color = token(l.colour);
      if (l.raw) series.push({ ...LINE, id: `${l.id} raw`, data: l.raw, lineStyle: { color, width: 1, opacity: l.curve.thinned ? 0.12 : 0.28 }, z: 3 });
      series.push({ ...LINE, id: l.id, data: l.pairs, lineStyle: { color, width: l.best ? 2.25 : 1.5, type: l.dash || 'solid', join: 'round', cap: l.dash ? 'butt' : 'round' }, z: l.best ? 5 : 4 });
    }
    const axis = { show: false, animation: false };
    this.chart.setOption({
      animation: false, tooltip: { show: false }, grid: { left: margin.l, right: margin.r, top: margin.t, bottom: margin.b },
      xAxis: { ...axis, type: d.logx ? 'log' : 'value', min: d.x[0], max: d.x[1] }, yAxis: { ...axis, type: d.logy ? 'log' : 'value', min: d.y[0], max: d.y[1] }, series,
    }, { replaceMerge: ['series'], lazyUpdate: false });
    this.marks();
    this.drawn?.();
  }

  frame() {
    const { l, r, b, t } = this.margin, w = this.width, tall = this.tall, d = this.data, u = this.under;
    const kids = [];
    for (const [x0, x1] of d.holes || []) { const a = Math.max(l, this.X(x0)), z = Math.min(w - r, this.X(x1)); if (z > a) kids.push(s('rect', { x: a, y: t, width: Math.max(2, z - a), height: tall - b - t, fill: 'var(--ink3)', opacity: 0.1 })); }
    for (const [v, text] of marks(d.y[0], d.y[1], this.options.names ? 4 : 3, d.logy)) {
      const y = this.Y(v);
      if (y < t - 4 || y > tall - b + 1) continue;
      kids.push(s('line', { x1: l, x2: w - r, y1: y, y2: y, stroke: 'var(--grid)' }), s('text', { x: l - 8, y: y + 4, 'text-anchor': 'end' }, text));
    }
    let free = -Infinity;
    for (const [v, text] of marks(d.x[0], d.x[1], w < 420 ? 3 : 5, d.logx, d.kind)) {
      const x = this.X(v), half = text.length * 3.4;
      if (x - half < free || x > w - r + 2) continue;
      free = x + half + 8;
      kids.push(s('text', { x, y: tall - 4, 'text-anchor': x - half < l - 6 ? 'start' : 'middle' }, text));
    }
    kids.push(s('line', { x1: l, x2: w - r, y1: tall - b + 0.5, y2: tall - b + 0.5, stroke: 'var(--line2)' }));
    if (this.options.unit) kids.push(s('text', { x: w - r, y: tall - 4, 'text-anchor': 'end' }, this.options.unit));
    u.replaceChildren(...kids);
  }

  /** Names at the line ends, ends of open and lost runs, the star on the best raw point, and what hangs on the pointer. */
  marks() {
    const d = this.data, { r, b, t, l } = this.margin, w = this.width, tall = this.tall, kids = [], ends = [];
    const inY = (y) => Math.max(t, Math.min(tall - b, y));
    for (const line of d.lines) {
      let i = line.y.length - 1;
      while (i >= 0 && !(line.x[i] <= d.x[1] && Number.isFinite(line.y[i]))) i--;
      if (i < 0 || line.x[i] < d.x[0]) continue;
      const x = this.X(line.x[i]), y = this.Y(line.y[i]), seen = y >= t - 2 && y <= tall - b + 2, early = i === line.y.length - 1 && x < w - r - 3;
      if (seen && early && line.status === 'running') kids.push(s('circle', { cx: x, cy: y, r: 6, fill: line.colour, opacity: 0.22 }), s('circle', { cx: x, cy: y, r: 3, fill: line.colour }));
      else if (seen && early && line.status && line.status !== 'finished') kids.push(s('circle', { cx: x, cy: y, r: 3.2, fill: 'var(--surface)', stroke: line.colour, 'stroke-width': 1.5 }));
      if (this.options.names) ends.push({ line, x, y: inY(y) });
    }
    if (this.options.names) this.names(ends, kids);
    if (d.star) { const x = this.X(d.star[0]), y = this.Y(d.star[1]); if (x >= l && x <= w - r && y >= 0 && y <= tall - b) kids.push(starAt(x, y, 1.1)); }
    this.hung = s('g', {});
    kids.push(this.hung);
    this.over.replaceChildren(...kids);
    if (this.hoverX !== undefined) this.hover(this.hoverX);
  }

  names(ends, kids) {
    const { r, b, t } = this.margin, w = this.width, floor = this.tall - b - 2;
    let shown = ends;
    if (ends.length > 12) shown = ends.filter((e) => e.line.best || e.line.place < 3 || e.line.id === this.hovered);
    shown.sort((a, z) => a.y - z.y);
    let p = -99;
    for (const e of shown) { e.ty = Math.max(e.y, p + 15, t + 4); p = e.ty; }
    for (let i = shown.length - 1, q = floor; i >= 0 && shown[i].ty > q; i--) { shown[i].ty = q; q -= 15; }
    const cut = (text, font) => { if (textWidth(text, font) <= r - 28) return text; while (text.length > 3 && textWidth(`${text}…`, font) > r - 28) text = text.slice(0, -1); return `${text}…`; };
    for (const { line, x, y, ty } of shown) {
      if (x >= w - r - 4) kids.push(s('path', { d: `M${w - r + 3} ${y}L${w - r + 10} ${ty}`, stroke: line.colour, fill: 'none', opacity: 0.6 }));
      const text = cut(line.name, `${line.best ? '600 ' : ''}11px`);
      kids.push(s('rect', { x: w - r + 13, y: ty - 4, width: 8, height: 8, rx: 2, fill: line.colour }),
        s('text', { x: w - r + 26, y: ty + 4, class: line.best ? 'n-best' : 'n-run' }, text, s('title', {}, line.name)));
    }
  }

  at(e) { const box = this.root.getBoundingClientRect(), px = e.clientX - box.left; return { px, py: e.clientY - box.top, x: this.X?.inverse(Math.max(this.margin.l, Math.min(this.width - this.margin.r, px))) }; }

  moved(e) {
    if (!this.X || !this.data.lines.length) return;
    const { px, py, x } = this.at(e);
    if (this.drag) {
      const a = Math.min(px, this.drag.from), z = Math.max(px, this.drag.from);
      if (z - a > 4) this.hung.replaceChildren(s('rect', { x: a, y: this.margin.t, width: z - a, height: this.tall - this.margin.t - this.margin.b, fill: 'var(--ink)', opacity: 0.08 }));
      return;
    }
    if (px < this.margin.l - 6 || px > this.width - this.margin.r + 6) { this.act.leave(); return; }
    let best = null, gap = Infinity;
    for (const line of this.data.lines) { const i = nearest(line.x, x); if (i >= 0 && Math.abs(line.x[i] - x) < gap) { gap = Math.abs(line.x[i] - x); best = line.x[i]; } }
    if (best !== null) this.act.hover(best, this, py);
  }

  dropped(e) {
    if (!this.drag) return;
    const from = this.drag.from, { px } = this.at(e);
    this.drag = null;
    if (Math.abs(px - from) > 6) this.act.zoom(this.X.inverse(Math.max(this.margin.l, Math.min(px, from))), this.X.inverse(Math.min(this.width - this.margin.r, Math.max(px, from))));
  }

  /** Draw the dotted line and a dot on each run that has a value there. */
  hover(x) {
    this.hoverX = x;
    if (!this.hung || !this.X) return;
    if (x === undefined || x < this.data.x[0] || x > this.data.x[1]) { this.hung.replaceChildren(); return; }
    const px = this.X(x), { t, b } = this.margin, kids = [s('line', { x1: px, x2: px, y1: t, y2: this.tall - b, stroke: 'var(--ink3)', 'stroke-dasharray': '2 3' })];
    for (const line of this.data.lines) {
      const i = nearest(line.x, x);
      if (i < 0 || line.x[i] !== x && Math.abs(this.X(line.x[i]) - px) > 3) continue;
      const y = this.Y(line.y[i]);
      if (y >= t - 3 && y <= this.tall - b + 3) kids.push(s('circle', { cx: px, cy: y, r: 3, fill: line.colour, stroke: 'var(--surface)', 'stroke-width': 1.5 }));
    }
    this.hung.replaceChildren(...kids);
  }

  destroy() { this.gone = true; this.resizer.disconnect(); this.chart?.dispose(); }
}
