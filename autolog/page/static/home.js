// The first page: experiments, which of them still moves, and the last runs.
import { h, s, star, starAt } from './dom.js';
import { get, on, place } from './api.js';
import { metric as number, ago, count, plural, padding, mostDecimals } from './format.js';
import { num } from './dom.js';
import { status } from './status.js';
import * as bar from './topbar.js';

export class Home {
  constructor(root) {
    this.root = root;
    this.off = [on('changed', () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.load(), 800); }), on('back', () => this.load())];
    this.load();
  }

  sync() {}

  async load() {
    let experiments, last;
    try { [experiments, last] = await Promise.all([get('experiments'), get('runs', { sort: '-started', limit: 12 })]); } catch { return; }
    bar.show({ view: 'home' });
    if (!experiments.length) { this.empty(); return; }
    experiments.sort((a, b) => b.last - a.last);
    const scrolled = this.main?.scrollTop || 0;
    this.main = h('main', { class: 'pane h-main', 'data-testid': 'experiments' }, this.table(experiments), h('div', { class: 't15 md h-sec' }, 'Last runs'), this.runs(last, experiments));
    this.root.replaceChildren(this.verdict(experiments, last), this.main);
    this.main.scrollTop = scrolled;
  }

  empty() {
    const code = 'import autolog\nautolog.autolog()';
    this.root.replaceChildren(h('div', { class: 'empty', 'data-testid': 'empty' }, h('div', { class: 't15 md' }, `No runs in ${place() || '.autolog'} yet`), h('div', { class: 'm2' }, 'Add two lines to a training script; the run appears here within 3 seconds.'), h('pre', { class: 'mono code' }, code), h('button', { class: 'btn sm', onclick: () => navigator.clipboard?.writeText(code) }, 'Copy')));
  }

  verdict(experiments, last) {
    let newest = null;
    for (const e of experiments) { const so = e.best_so_far; if (e.best && so.length && (!newest || so[so.length - 1][0] > newest.when)) newest = { e, when: so[so.length - 1][0], was: so.length > 1 ? so[so.length - 2][1] : null }; }
    const open = last.runs.id.map((_, i) => i).filter((i) => last.runs.status[i] === 'running');
    const total = experiments.reduce((n, e) => n + e.runs, 0), e = newest?.e;
    return h('section', { class: 'verdict h-verdict', 'data-testid': 'verdict' },
      newest ? h('div', { class: 'v-who' }, h('div', { class: 'col v-left' }, h('div', { class: 'v-lab' }, star(), `New best, ${ago(newest.when)}`), h('div', { class: 'v-name' }, h('a', { class: 'ell', href: `/run/${e.best.id}` }, e.best.name), h('span', { class: 'm2 in nw' }, `in ${e.name}`))),
        h('div', { class: 'col' }, h('div', { class: 'v-num' }, number(e.best.value)), h('div', { class: 't12 m2 nw' }, `${e.metric}${newest.was === null ? '' : `, was ${number(newest.was)}`}`))) : null,
      h('div', { class: 'v-why gap' }, open.length ? h('div', { class: 'hide-s' }, h('div', { class: 'm3 t12' }, 'Training now'), h('div', { class: 'row' }, open.slice(0, 3).map((i) => [h('a', { class: 'st md live', href: `/run/${last.runs.id[i]}` }, h('span', { class: 'dot pulse' }), last.runs.name[i]), h('span', { class: 'm2' }, last.runs.step[i] === null ? '' : `step ${last.runs.step[i]}`)]))) : null,
        h('span', { class: 'sp' }), h('div', { class: 'm2 nw ell' }, `${plural(experiments.length, 'experiment')}, ${plural(total, 'run')}`, place() ? [' in ', h('span', { class: 'mono' }, place())] : null)));
  }

  table(list) {
    const texts = list.map((e) => (e.best ? number(e.best.value) : '–')), most = mostDecimals(texts), heads = [['Experiment', 220], ['Runs', 70, 'r'], ['Now', 100, 'now'], ['Best', 220], ['Best so far', 230, 'hide-s'], ['Best run', 150, 'hide-s'], ['Last 24 h', 96, 'r hide-s'], ['Last activity', null, 'hide-s']];
    return h('table', { class: 'h-table' }, h('colgroup', {}, heads.map(([, w, c]) => h('col', { class: c?.includes('hide-s') || c === 'now' ? 'hide-col' : '', style: w ? { width: `${w}px` } : {} }))), h('thead', {}, h('tr', {}, heads.map(([t, , c]) => h('th', { class: c || '' }, t)))),
      h('tbody', {}, list.map((e, i) => { const day = e.activity.reduce((a, b) => a + b, 0); return h('tr', {}, h('td', { class: 'b' }, h('a', { href: `/runs?exp=${encodeURIComponent(e.name)}`, title: e.name }, e.name)), h('td', { class: 'r' }, count(e.runs)), h('td', { class: 'now' }, e.running ? h('span', { class: 'st md live' }, h('span', { class: 'dot' }), `${e.running} training`) : ''),
        h('td', {}, e.best ? h('span', { class: 'row h-best' }, star(), h('span', { class: 'md h-num' }, num(texts[i], padding(texts[i], most))), h('span', { class: 'm2 t12 ell' }, `${e.metric} ${e.direction === 'lower' ? '↓' : '↑'}`)) : h('span', { class: 'm3' }, e.metric ? 'nothing finished' : 'no metric that counts')),
        h('td', { class: 'hide-s' }, steps(e)), h('td', { class: 'hide-s' }, e.best ? h('a', { href: `/run/${e.best.id}` }, e.best.name) : ''), h('td', { class: `r hide-s ${day ? '' : 'm3'}` }, day ? `+${day}` : '0'), h('td', { class: 'm2 hide-s' }, ago(e.last))); })));
  }

  runs(a, experiments) {
    const by = new Map(experiments.map((e) => [e.name, e])), heads = [['Run', 220], ['Status', 110], ['Experiment', 150, 'hide-s'], ['Result', 200], ['Against the best so far', 250, 'hide-s'], ['', null, 'hide-s'], ['Started', 110, 'hide-s']];
    const floor = new Map();
    for (const [i, name] of a.runs.experiment.entries()) { const e = by.get(name), v = e?.metric && (a.metrics[e.metric]?.best?.[i] ?? null); if (typeof v === 'number') floor.set(e, Math[e.direction === 'lower' ? 'max' : 'min'](v, floor.get(e) ?? e.best_so_far[0]?.[1] ?? v)); }
    const rows = a.runs.id.map((id, i) => {
      const e = by.get(a.runs.experiment[i]), m = e?.metric && a.metrics[e.metric], v = m ? m.best?.[i] ?? m.value[i] : null, text = typeof v === 'number' ? number(v) : '';
      return h('tr', {}, h('td', { class: 'md' }, h('a', { href: `/run/${id}`, title: a.runs.name[i] }, a.runs.name[i])), h('td', {}, status({ status: a.runs.status[i], step: a.runs.step[i], duration: a.runs.duration[i] })), h('td', { class: 'm2 hide-s' }, a.runs.experiment[i] ?? ''),
        h('td', {}, h('span', { class: 'row h-best' }, h('span', { class: 'md h-num' }, text), h('span', { class: 'm2 t12 ell' }, text ? e.metric : ''))), h('td', { class: 'hide-s' }, near(e, v, id, floor.get(e))), h('td', { class: `hide-s ${a.runs.status[i] === 'failed' ? 'err' : 'm2'}` }, a.runs.status[i] === 'failed' && a.runs.error[i] ? String(a.runs.error[i]).trim().split('\n').pop() : [a.runs.framework[i], a.runs.estimator[i]].filter(Boolean).join(', ')), h('td', { class: 'm2 hide-s' }, ago(a.runs.started[i])));
    });
    return h('table', { class: 'h-runs' }, h('colgroup', {}, heads.map(([, w, c]) => h('col', { class: c ? 'hide-col' : '', style: w ? { width: `${w}px` } : {} }))), h('thead', {}, h('tr', {}, heads.map(([t, , c]) => h('th', { class: c || '' }, t)))), h('tbody', {}, rows));
  }

  destroy() { for (const off of this.off) off(); clearTimeout(this.timer); }
}

/** Best so far, as steps over time; the last step is gold. */
function steps(e) {
  const v = e.best_so_far.slice(-60);
  if (v.length < 2) return '';
  const t0 = v[0][0], t1 = Math.max(e.last, v[v.length - 1][0]), ys = v.map((p) => p[1]), lo = Math.min(...ys), hi = Math.max(...ys), X = (t) => 2 + ((t - t0) / ((t1 - t0) || 1)) * 202, Y = (y) => 23 - ((y - lo) / ((hi - lo) || 1)) * 18;
  let d = `M${X(t0).toFixed(1)} ${Y(v[0][1]).toFixed(1)}`;
  for (const [t, y] of v.slice(1)) d += `H${X(t).toFixed(1)}V${Y(y).toFixed(1)}`;
  const end = v[v.length - 1];
  return s('svg', { width: 212, height: 28, 'aria-hidden': 'true' }, s('path', { d: `${d}H204`, fill: 'none', stroke: 'var(--ink2)', 'stroke-width': 1.4 }), s('circle', { cx: X(end[0]), cy: Y(end[1]), r: 3.4, fill: 'var(--goldfill)', stroke: 'var(--surface)', 'stroke-width': 1.2 }));
}

/** How near a run came to the best of its experiment, from the worst that is shown. */
function near(e, v, id, first) {
  if (!e?.best || typeof v !== 'number') return '';
  const span = e.best.value - first, best = e.best.id === id, f = best ? 1 : span ? Math.max(0.02, Math.min(1, (v - first) / span)) : 0.02;
  const g = s('svg', { width: 220, height: 16, 'aria-hidden': 'true' }, s('rect', { x: 0, y: 6, width: 206, height: 4, rx: 2, fill: 'var(--bar)' }), s('rect', { x: 0, y: 6, width: 206 * f, height: 4, rx: 2, fill: best ? 'var(--goldfill)' : 'var(--ink3)' }));
  if (best) g.append(starAt(206, 8));
  return g;
}
