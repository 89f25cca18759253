// The panel of charts: one tool bar, the primary chart, the others in pairs; one pointer and one tooltip over all of them.
import { h, icon, key, star, menu, debounce, onceAFrame, num } from './dom.js';
import { series as fetchSeries, watch, ApiError } from './api.js';
import { along, smooth, pairs, range, holes, merged, gapNote, band, extended, nearest } from './curves.js';
import { metric as number, decimalsOf, padding, duration, moment, plural, ticks } from './format.js';
import { Chart } from './chart.js';
import { metricOrder } from './columns.js';
import { remember } from './state.js';

const AXES = { step: 'Step', epoch: 'Epoch', wall: 'Wall time', relative: 'Time since start' };
const id = (run, metric) => `${run}\0${metric}`;
const POINTS = 2000;

export class Charts {
  /** `ctx` as the table's, with groups and context(): curves behind. `act`: tools(patch) writes x, smooth, logy, logx into the address. */
  constructor(ctx, act = {}) {
    this.ctx = ctx; this.act = act;
    this.data = new Map(); this.missing = new Set(); this.views = new Map(); this.more = 0; this.search = '';
    this.set = { x: 'step', smooth: remember.get('smooth', 0.6), logy: false, logx: false };
    this.tip = h('div', { class: 'tip fixed', hidden: true, 'data-testid': 'tooltip' });
    this.body = h('div', { class: 'scroll y', 'data-testid': 'charts' });
    this.root = h('div', { class: 'c-root' }, this.tools(), this.body);
    document.body.append(this.tip);
    this.redraw = onceAFrame(() => this.draw());
  }

  tools() {
    this.axis = h('button', { class: 'btn sm', 'data-testid': 'x-axis', onclick: () => menu(this.axis, [...Object.entries(AXES).map(([k, t]) => [t, () => this.change({ x: k }), this.set.x === k]), ['Log x', () => this.change({ logx: !this.set.logx }), this.set.logx]]) });
    this.slider = h('input', { type: 'range', class: 'slide', min: 0, max: 0.99, step: 0.01, 'aria-label': 'Smoothing', 'data-testid': 'smoothing', oninput: () => { this.set.smooth = Number(this.slider.value); this.shown(); this.redraw(); }, onchange: () => { remember.set('smooth', this.set.smooth); this.change({ smooth: this.set.smooth }); } });
    this.amount = h('span', { class: 't12 m2 amount' });
    this.logy = h('button', { class: 'btn sm', 'data-testid': 'log-y', onclick: () => this.change({ logy: !this.set.logy }) }, 'Log y');
    const find = h('input', { placeholder: 'Find a metric', 'aria-label': 'Find a metric', 'data-testid': 'find-metric', oninput: debounce(() => { this.search = find.value.trim().toLowerCase(); this.more = 0; this.update(); }, 120) });
    return h('div', { class: 'tools' }, this.axis, h('span', { class: 'm3 t12' }, 'Smooth'), this.slider, this.amount, this.logy, h('span', { class: 'sp' }), h('label', { class: 'search find' }, icon('search'), find));
  }

  shown() {
    this.axis.replaceChildren(AXES[this.set.x] + (this.set.logx ? ', log' : ''), icon('chev'));
    this.slider.value = this.set.smooth;
    this.slider.style.setProperty('--at', `${(this.set.smooth / 0.99) * 100}%`);
    this.amount.textContent = this.set.smooth.toFixed(2);
    this.logy.classList.toggle('on', this.set.logy);
    this.logy.setAttribute('aria-pressed', this.set.logy);
  }

  read(url) {
    this.set = { x: url.x in AXES ? url.x : 'step', smooth: url.smooth !== undefined ? Number(url.smooth) || 0 : remember.get('smooth', 0.6), logy: url.logy === '1', logx: url.logx === '1' };
    this.shown();
  }

  change(patch) {
    if ('x' in patch && patch.x !== this.set.x) this.zoomed = null;
    Object.assign(this.set, patch);
    this.shown();
    this.act.tools?.({ x: this.set.x === 'step' ? null : this.set.x, smooth: this.set.smooth, logy: this.set.logy ? '1' : null, logx: this.set.logx ? '1' : null });
    this.redraw();
  }

  metrics() {
    const { runs, primary } = this.ctx, names = metricOrder(this.ctx), curve = (n) => n === primary || this.ctx.all || runs.metrics[n].count?.some((c) => c > 1);
    const all = (primary && names.includes(primary) ? [primary, ...names.filter((n) => n !== primary)] : names).filter(curve);
    if (!this.search && !this.ctx.groups) {
      // What no selected run has stays away; the primary metric stands first in any case.
      const rows = this.lines().map((r) => runs.row(r)).filter((r) => r !== undefined), some = all.filter((n) => n === primary || rows.some((r) => runs.metrics[n].count?.[r] > 0));
      if (rows.length && some.length) return some;
    }
    return this.search ? all.filter((n) => n.toLowerCase().includes(this.search)) : all;
  }

  lines() { return this.ctx.groups ? this.ctx.groups.flatMap((g) => g.ids.slice(0, 30)) : this.ctx.selection.ids.slice(0, 60); }

  /** Lay out the charts for the metrics there are, fetch what is missing, draw. */
  async update() {
    const all = this.metrics(), n = 5 + this.more, names = all.slice(0, n);
    for (const [name, v] of this.views) if (!names.includes(name)) { v.chart.destroy(); v.root.remove(); this.views.delete(name); }
    this.order = names;
    const wide = innerWidth >= 2000, first = names[0];
    const layout = `${names.join('\0')}|${all.length}`;
    if (layout !== this.layout) {
      this.layout = layout;
      for (const name of names) {
        const big = name === first;
        let v = this.views.get(name);
        if (v && v.big !== big) { v.chart.destroy(); v.root.remove(); this.views.delete(name); v = null; }
        if (!v) {
          const chart = new Chart({ hover: (x, c, y) => this.hover(x, c, y), leave: () => this.hover(undefined), zoom: (a, b) => { this.zoomed = [a, b]; this.redraw(); }, reset: () => { if (this.zoomed) this.zoomed = null; else this.whole = !this.whole; this.redraw(); } },
            { height: big ? (wide ? 468 : 252) : wide ? 268 : 126, names: big, left: 44 });
          const sub = h('span', { class: 'm3 t12 ell' });
          v = { name, big, chart, sub, root: h('div', { class: 'chart', 'data-testid': 'chart' }, h('div', { class: 'h' }, h('span', { class: 'b ell' }, name), sub), chart.root) };
          this.views.set(name, v);
        }
      }
      const rest = all.length - names.length;
      this.body.replaceChildren(...(first ? [this.views.get(first).root, h('div', { class: 'grid2' }, names.slice(1).map((x) => this.views.get(x).root)),
        rest > 0 ? h('div', { class: 'c-more' }, h('button', { class: 'btn sm', onclick: () => { this.more += 8; this.update(); } }, `Show ${Math.min(8, rest)} more of ${plural(rest, 'metric')}`)) : ''] : [h('div', { class: 'empty m2' }, this.search ? 'No metric has this in its name.' : 'No run here has a curve.')]));
    }
    this.redraw();
    await this.fetch();
  }

  async fetch() {
    const runs = this.lines(), jobs = new Map();
    for (const name of this.order) {
      const need = runs.filter((r) => !this.data.has(id(r, name)) && !this.missing.has(id(r, name)));
      if (need.length) { const k = need.join(','); jobs.set(k, [...(jobs.get(k) || []), name]); }
    }
    this.job?.abort();
    const job = this.job = new AbortController();
    for (const [k, names] of jobs) {
      // The primary chart first: it is what people look at.
      const parts = names[0] === this.order[0] && names.length > 1 ? [[names[0]], names.slice(1)] : [names];
      for (const part of parts) {
        try {
          const got = await fetchSeries(k.split(','), part, { points: this.ctx.groups ? 300 : POINTS, signal: job.signal });
          for (const one of got) this.data.set(id(one.run, one.metric), one);
          for (const r of k.split(',')) for (const m of part) if (!this.data.has(id(r, m))) this.missing.add(id(r, m));
        } catch (e) { if (e instanceof ApiError) for (const r of k.split(',')) for (const m of part) this.missing.add(id(r, m)); else return; }
        this.redraw();
      }
    }
    while (this.data.size > 600) this.data.delete(this.data.keys().next().value);
    this.watch();
  }

  /** Ask for new points of the open runs that are drawn. */
  watch() {
    const list = [];
    for (const r of this.lines()) if (this.ctx.runs.field(r, 'status') === 'running') for (const m of this.order) list.push([r, m, this.data.get(id(r, m))?.count || 0]);
    const text = JSON.stringify(list.map((w) => w.slice(0, 2)));
    if (text !== this.watched) { this.watched = text; watch(list); }
  }

  points(said) {
    const k = id(said.run, said.metric), old = this.data.get(k);
    this.missing.delete(k);
    if (!old) { this.fetch(); return; }
    if (old.thinned && old.count > 4 * POINTS) { this.data.delete(k); this.fetch(); return; }
    this.data.set(k, extended(old, said.points));
    this.redraw();
  }

  /** Runs have ended, or the server has started again: what is known of their curves may be short. */
  stale(ids) { for (const r of ids) for (const m of Object.keys(this.ctx.runs.metrics)) { const s = this.data.get(id(r, m)), n = this.ctx.runs.metrics[m].count?.[this.ctx.runs.row(r)]; this.missing.delete(id(r, m)); if (s && n && s.count < n) { this.data.delete(id(r, m)); } } this.fetch(); }

  started(run) { return this.ctx.runs.field(run, 'started'); }

  linesOf(name) {
    const { runs, selection, best } = this.ctx, { x, smooth: alpha } = this.set, list = [], kept = [];
    if (this.ctx.groups) {
      for (const [i, g] of this.ctx.groups.entries()) {
        const parts = g.ids.slice(0, 30).map((r) => this.data.get(id(r, name)) && along(this.data.get(id(r, name)), x, this.started(r))).filter(Boolean);
        if (!parts.length) continue;
        const c = band(parts);
        list.push({ id: g.id, name: g.name, colour: g.colour, best: i === 0, x: c.x, y: c.mid, curve: c, band: c, place: i, from: g.ids });
      }
      return { list, kept };
    }
    for (const r of selection.ids.slice(0, 60)) {
      const s = this.data.get(id(r, name));
      if (!s || !s.lo.length) continue;
      kept.push(s);
      const curve = along(s, x, this.started(r)), y = smooth(curve.mid, alpha);
      list.push({ id: r, name: runs.field(r, 'name') || r, colour: selection.colour(r), dash: selection.dash(r), best: r === best, status: runs.field(r, 'status'), x: curve.x, y, curve, alpha });
    }
    return { list, kept };
  }

  draw() {
    for (const name of this.order || []) {
      if (!this.views.has(name)) continue;
      const v = this.views.get(name), { list, kept } = this.linesOf(name), m = this.ctx.runs.metrics[name], direction = m?.direction;
      v.lines = list; v.kept = kept;
      const { x: axis, logy, logx } = this.set;
      const words = [direction ? `${direction} is better` : ''];
      const behind = v.big && axis === 'step' && !this.ctx.groups ? this.ctx.context?.() || [] : [];
      if (this.ctx.groups && v.big) words[0] = 'mean of each group, band from min to max';
      if (behind.length) words.push(`${plural(behind.length, 'other run')} behind`);
      const note = gapNote(kept);
      if (note) words.push(note);
      v.sub.textContent = words.filter(Boolean).join('; ');
      if (!list.length) { v.chart.set({ lines: [], x: [0, 1], y: [0, 1], title: name, context: behind.map((c) => c.pairs) , ...this.contextRange(behind, direction) }); continue; }
      let x0 = Infinity, x1 = -Infinity;
      for (const l of list) { const n = l.x.length; for (const q of [l.x[0], l.x[n - 1]]) { if (q < x0) x0 = q; if (q > x1) x1 = q; } }
      const canLogX = logx && axis !== 'wall';
      if (canLogX) x0 = Math.max(x0, list.reduce((a, l) => Math.min(a, l.x.find((q) => q > 0) ?? Infinity), Infinity));
      if (this.zoomed) [x0, x1] = this.zoomed;
      if (x1 <= x0) x1 = x0 + 1;
      if (!this.zoomed && !canLogX && axis !== 'wall') { const up = ticks(x0, x1, 5), end = Math.ceil(x1 / up.step) * up.step; if ((end - x1) / (x1 - x0) < 0.04) x1 = end; }
      const positive = !logy || list.some((l) => l.curve.mid.some((q) => q > 0)), useLog = logy && positive;
      const inside = this.zoomed ? list.map((l) => ({ mid: l.curve.mid.filter((_, i) => l.x[i] >= x0 && l.x[i] <= x1) })) : list.map((l) => l.curve);
      const y = this.ctx.groups ? range(list.map((l) => ({ mid: l.y })), direction, this.whole, useLog) : range(inside, direction, this.whole || (!direction && true), useLog);
      if (this.ctx.groups && !direction) y.splice(0, 2, ...range(list.flatMap((l) => [{ mid: l.band.lo }, { mid: l.band.hi }]), null, true, useLog));
      else if (this.ctx.groups && !useLog) { const tops = list.flatMap((l) => [...(direction === 'lower' ? l.band.lo : l.band.hi)].slice(-20)); if (direction === 'lower') y[0] = Math.min(y[0], ...tops); else y[1] = Math.max(y[1], ...tops); }
      let top = null;
      if (v.big && this.ctx.best && direction) {
        const l = list.find((q) => q.id === this.ctx.best);
        const at = this.ctx.runs.counts === 'value' ? this.ctx.runs.metricStep(this.ctx.best, name) : null;
        if (l && at !== null) { const j = axis === 'step' ? nearest(l.x, at) : l.x.length - 1; if (j >= 0) top = [l.x[j], l.curve.mid[j]]; } else if (l) { let j = -1, w = null; for (let i = 0; i < l.x.length; i++) { const q = l.curve.thinned ? (direction === 'higher' ? l.curve.hi[i] : l.curve.lo[i]) : l.curve.mid[i]; if (Number.isFinite(q) && (w === null || (direction === 'higher' ? q > w : q < w))) { w = q; j = i; } } if (j >= 0) top = [l.x[j], w]; }
      }
      const rank = [...list].sort((a, b) => (direction === 'lower' ? 1 : -1) * (a.y[a.y.length - 1] - b.y[b.y.length - 1]));
      rank.forEach((l, i) => { l.place = i; });
      for (const l of list) { l.pairs = pairs(l.curve, l.alpha || this.ctx.groups ? l.y : null); l.raw = l.alpha && v.big ? pairs(l.curve, null) : null; }
      const bands = this.ctx.groups ? list.filter((l, i) => list.length <= 3 || i === 0).map((l) => ({ id: l.id, colour: l.colour, lo: pairs(l.band, l.band.lo), gap: pairs(l.band, l.band.hi.map((q, i) => q - l.band.lo[i])) })) : null;
      const gaps = list.length <= 6 ? merged(list.flatMap((l) => (l.curve.thinned ? [] : holes(l.x, l.curve.mid)))).slice(0, 30) : [];
      v.chart.set({ lines: list, context: behind.map((c) => c.pairs), bands, x: [x0, x1], y, logx: canLogX, logy: useLog, kind: axis === 'wall' ? 'wall' : axis === 'relative' ? 'relative' : '', star: top, holes: gaps, title: `${name} of ${plural(list.length, 'run')}` });
    }
    if (this.pointer) this.say();
    this.act.drawn?.();
  }

  contextRange(behind, direction) {
    if (!behind.length) return {};
    const mids = behind.map((c) => ({ mid: c.ys }));
    return { x: [Math.min(...behind.map((c) => c.pairs[0])), Math.max(...behind.map((c) => c.pairs[c.pairs.length - 2]), 1)], y: range(mids, direction, this.whole) };
  }

  // --- the pointer
  hover(x, chart, py) {
    if (x === undefined) { this.pointer = null; this.tip.hidden = true; for (const v of this.views.values()) v.chart.hover(undefined); return; }
    this.pointer = { x, chart, py };
    for (const v of this.views.values()) v.chart.hover(x);
    this.say();
  }

  say() {
    const { x, chart, py } = this.pointer, v = [...this.views.values()].find((w) => w.chart === chart);
    if (!v?.lines?.length || !chart.X) return;
    const direction = this.ctx.runs.metrics[v.name]?.direction, rows = [], axis = this.set.x;
    let seconds = null;
    for (const l of v.lines) {
      const i = nearest(l.x, x), n = l.x.length, gap = n > 1 ? Math.abs(l.x[Math.min(n - 1, i + 1)] - l.x[Math.max(0, i - 1)]) : 0;
      const near = i >= 0 && (l.x[i] === x || Math.abs(l.x[i] - x) <= gap * 0.51) && !(x > l.x[n - 1] && l.x[i] !== x);
      const raw = near ? (l.curve.thinned && !l.band ? (direction === 'lower' ? l.curve.lo[i] : l.curve.hi[i]) : l.band ? l.y[i] : l.curve.lo[i]) : null;
      const s = this.data.get(id(l.id, v.name));
      if (near && s && l.best !== false && (seconds === null || l.best)) seconds = (s.time[i] - (this.started(l.id) ?? s.time[0])) / 1000;
      const end = axis === 'wall' ? moment(l.x[n - 1]) : axis === 'relative' ? duration(l.x[n - 1]) : String(l.x[n - 1]);
      rows.push({ l, v: raw, why: near ? null : x > l.x[n - 1] ? `${l.status === 'lost' || l.status === 'failed' ? `${l.status} ` : ''}at ${end}` : x < l.x[0] ? 'not yet' : 'no value' });
    }
    const have = rows.filter((r) => r.v !== null).sort((a, b) => (Number.isNaN(a.v) ? 1 : Number.isNaN(b.v) ? -1 : (direction === 'lower' ? 1 : -1) * (a.v - b.v)));
    const finite = have.filter((r) => Number.isFinite(r.v)).map((r) => Math.abs(r.v)), d = Math.min(9, (finite.length ? decimalsOf(Math.max(...finite)) : 4) + (this.ctx.groups ? 0 : 2));
    const head = axis === 'wall' ? moment(x) : axis === 'relative' ? `${duration(x)} in` : `${AXES[axis]} ${number(x, Number.isInteger(x) ? 0 : 2)}${seconds !== null && seconds >= 0 && !this.ctx.groups ? ` · ${duration(seconds)} in` : ''}`;
    const shown = [...have, ...rows.filter((r) => r.v === null)];
    this.tip.replaceChildren(h('div', { class: 'h' }, head), ...shown.slice(0, 22).map((r) => {
      const text = r.v === null ? r.why : number(r.v, d);
      return h('div', { class: 'l' }, key(r.l.colour), h('span', { class: 'ell' }, r.l.name), r.l.best ? star() : '', h('b', { class: r.v === null ? 'm3' : '' }, r.v === null ? text : num(text, padding(text, d))));
    }), shown.length > 22 ? h('div', { class: 'm3' }, `and ${shown.length - 22} more`) : '');
    this.tip.hidden = false;
    const box = chart.root.getBoundingClientRect(), w = this.tip.offsetWidth, tall = this.tip.offsetHeight, px = box.left + chart.X(x);
    this.tip.style.left = `${Math.max(4, px - w - 14 < Math.max(4, box.left - 260) ? Math.min(px + 14, innerWidth - w - 4) : px - w - 14)}px`;
    this.tip.style.top = `${Math.max(4, Math.min(box.top + (py ?? 40) + 20, innerHeight - tall - 8))}px`;
  }

  themed() { this.redraw(); }
  destroy() { this.job?.abort(); watch([]); for (const v of this.views.values()) v.chart.destroy(); this.views.clear(); this.tip.remove(); }
}
