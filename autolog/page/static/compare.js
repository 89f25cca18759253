// Runs beside each other: columns are runs, the best first; only what differs, unless one asks for all; the curves beside.
import { h, star, key, icon, menu } from './dom.js';
import { get, on, ApiError } from './api.js';
import { Selection, read, write, onChange } from './state.js';
import { asRuns, bestOf } from './run.js';
import { status } from './status.js';
import { Charts } from './charts.js';
import { diff } from './run_parts.js';
import { metric as number, param, difference, columnDecimals, duration, plural, decimalsOf } from './format.js';
import * as bar from './topbar.js';

export class Compare {
  constructor(root) {
    this.root = root;
    this.selection = new Selection();
    this.offs = [onChange(() => this.sync()), on('changed', () => this.live()), on('back', () => this.live()), on('points', (p) => this.charts?.points(p))];
    this.themed = () => this.charts?.themed();
    window.addEventListener('autolog-theme', this.themed);
    this.load();
  }

  sync() { if (location.pathname !== '/compare') return; const u = read(); if (u.ids !== this.url.ids || u.metric !== this.url.metric) this.load(); else { this.url = u; this.table(); } }

  async load() {
    this.url = read();
    bar.show({ view: 'compare' });
    this.selection.load(this.url.ids || '');
    const ids = this.selection.ids.slice(0, 40);
    if (!ids.length) { this.root.replaceChildren(h('div', { class: 'empty' }, h('div', { class: 't15 md' }, 'No runs chosen'), h('div', { class: 'm2' }, 'Select runs in the table, then press c.'), h('a', { class: 'btn sm', href: '/runs' }, 'All runs'))); return; }
    const got = await Promise.all(ids.map((id) => get(`run/${id}`).catch((e) => (e instanceof ApiError ? null : Promise.reject(e))))).catch(() => null);
    if (!got) return;
    this.list = got.filter(Boolean);
    if (!this.list.length) { this.root.replaceChildren(h('div', { class: 'empty m2' }, 'These runs are not in the store any more.')); return; }
    this.verdict = await get('verdict', { experiment: new Set(this.list.map((r) => r.experiment)).size === 1 ? this.list[0].experiment : '', metric: this.url.metric }).catch(() => null);
    const metrics = this.list.map((r) => r.metrics);
    this.metric = this.verdict?.metric && metrics.some((m) => m[this.verdict.metric]) ? this.verdict.metric : Object.keys(metrics[0]).find((n) => metrics[0][n].direction) || null;
    this.direction = this.metric ? metrics.find((m) => m[this.metric])?.[this.metric].direction : null;
    const value = (r) => bestOf(r.metrics[this.metric] || {}), down = this.direction === 'lower' ? 1 : -1;
    if (this.direction) this.list.sort((a, b) => down * ((value(a) ?? down * Infinity) - (value(b) ?? down * Infinity)) || 0);
    const finished = this.list.filter((r) => r.status === 'finished' && value(r) !== null);
    this.best = this.direction ? finished[0] || null : null;
    if (this.best) { this.list.splice(this.list.indexOf(this.best), 1); this.list.unshift(this.best); }
    this.build();
  }

  base() { return this.list.find((r) => r.id === this.url.base) || this.best || this.list[0]; }

  build() {
    this.runs = asRuns(this.list);
    this.box = h('div', { class: 'scroll cmp', 'data-testid': 'compare-table' });
    this.head = h('div', { class: 'v-box' });
    this.charts?.destroy();
    this.charts = new Charts({ runs: this.runs, selection: this.selection, primary: this.metric, direction: this.direction, best: this.best?.id, metricOrder: (this.verdict?.candidates || []).map((c) => c.name), differ: [], context: () => [] }, { tools: (p) => write(p, false) });
    this.charts.read(this.url);
    this.root.replaceChildren(this.head, h('main', { class: 'split' }, h('div', { class: 'pane p-left' }, this.box), h('div', { class: 'pane p-right' }, this.charts.root)));
    this.table();
    this.charts.update();
    this.sources();
  }

  says() {
    const best = this.best, second = this.list.find((r) => r !== best && r.status === 'finished' && bestOf(r.metrics[this.metric] || {}) !== null), base = this.base();
    const toggle = h('span', { class: 'seg' }, [['Only differences', null], ['All', '1']].map(([t, v]) => h('a', { href: '#', class: (this.url.all || null) === v ? 'on' : '', 'data-testid': v ? 'all' : 'differences', onclick: (e) => { e.preventDefault(); write({ all: v }); } }, t)));
    const pick = h('button', { class: 'btn', 'data-testid': 'baseline', onclick: () => menu(pick, this.list.map((r) => [r.name, () => write({ base: r.id }), r === base])) }, base === best ? star() : null, h('span', { class: 'ell' }, base === best ? 'Best run' : base.name), icon('chev'));
    const tools = h('span', { class: 'row hide-s' }, h('span', { class: 'm3 t12' }, 'Baseline'), pick, toggle);
    if (!best) return h('section', { class: 'verdict h-verdict', 'data-testid': 'verdict' }, h('div', { class: 'v-why gap' }, h('div', { class: 't15 md' }, this.metric && this.direction ? `None of these ${plural(this.list.length, 'run')} has finished` : 'No metric that counts is known'), h('span', { class: 'sp' }), tools));
    const v = bestOf(best.metrics[this.metric]), d = decimalsOf(v), differ = this.differing(second ? [best, second] : this.list), open = this.list.filter((r) => r.status === 'running').map((r) => r.name);
    const names = differ.slice(0, 4).join(', ').replace(/, ([^,]*)$/, ' and $1');
    const words = second ? `Leads ${second.name} by ${difference(v, bestOf(second.metrics[this.metric]), d).slice(1)}. ${differ.length ? `They differ in ${differ.length > 4 ? `${differ.slice(0, 4).join(', ')} and ${differ.length - 4} more` : names}.` : 'Their params are equal.'}` : 'It is the only one that has finished.';
    return h('section', { class: 'verdict h-verdict', 'data-testid': 'verdict' }, h('div', { class: 'v-who' }, h('div', { class: 'col v-left' }, h('div', { class: 'v-lab' }, star(), `Best of these ${this.list.length}`), h('div', { class: 'v-name' }, key(this.selection.colour(best.id), 10), h('a', { class: 'ell', href: `/run/${best.id}` }, best.name))), h('div', { class: 'col' }, h('div', { class: 'v-num' }, number(v, d)), h('div', { class: 't12 m2 nw' }, this.metric))),
      h('div', { class: 'v-why gap' }, h('div', { class: 'c-says' }, h('div', { class: 't15 md ell', title: words }, words), open.length ? h('div', { class: 'm2 ell' }, `${open.slice(0, 3).join(', ')} ${open.length > 1 ? 'are' : 'is'} still training.`) : null), h('span', { class: 'sp' }), tools));
  }

  differing(list) {
    const share = new Map((this.verdict?.shares || []).map((x) => [x.param, x.share]));
    return [...new Set(list.flatMap((r) => Object.keys(r.params)))].filter((k) => new Set(list.map((r) => JSON.stringify(r.params[k]))).size > 1).sort((a, b) => (share.get(b) || 0) - (share.get(a) || 0));
  }

  table() {
    if (!this.list) return;
    this.head.replaceChildren(this.says());
    const list = this.list, base = this.base(), all = this.url.all === '1', label = innerWidth < 700 ? 104 : 144, many = list.length > 6 || this.box.clientWidth < label + list.length * 104, body = h('tbody');
    const section = (t, more) => body.append(h('tr', { class: 'sec' }, h('th', { colspan: list.length + 1 }, `${t} `, h('span', { class: 'm3' }, more || ''))));
    const row = (label, cells) => body.append(h('tr', {}, h('td', { class: 'm2 ell c-label', title: label }, label), cells));
    const cls = (r, ...more) => [r === base ? 'base' : '', ...more].filter(Boolean).join(' ');
    const order = (this.verdict?.candidates || []).map((c) => c.name), at = (n) => (n === this.metric ? -1 : order.indexOf(n) < 0 ? 1e6 : order.indexOf(n)), names = [...new Set(list.flatMap((r) => Object.keys(r.metrics)))].sort((a, b) => at(a) - at(b));
    let shownMetrics = 0;
    section('Metrics', names.length ? 'best value, and the difference to the baseline' : 'none');
    for (const n of names) {
      const direction = list.find((r) => r.metrics[n])?.metrics[n].direction, value = (r) => (r.metrics[n] ? bestOf(r.metrics[n]) ?? r.metrics[n].value : null), values = list.map(value), nums = values.filter((v) => typeof v === 'number');
      if (!all && new Set(values).size < 2 && list.length > 1) continue;
      if (shownMetrics++ > 60 && !all) break;
      const d = columnDecimals(nums), top = direction && nums.length ? Math[direction === 'higher' ? 'max' : 'min'](...list.filter((r) => r.status !== 'running').map(value).filter((v) => typeof v === 'number')) : null, b = value(base);
      row(n, list.map((r) => {
        const v = value(r), win = top !== null && v === top && r.status !== 'running' && list.length > 1, m = r.metrics[n];
        if (typeof v !== 'number') return h('td', { class: cls(r, 'm3') }, v ?? '–');
        const delta = r === base || typeof b !== 'number' || /e/.test(number(v, d) + number(b, d)) ? '' : difference(v, b, d), good = direction && (direction === 'higher' ? v > b : v < b);
        return h('td', { class: cls(r, win ? 'win' : ''), title: `${n}: best ${v}, last ${m.last}, min ${m.min}, max ${m.max}${delta ? `, ${delta} to the baseline` : ''}` }, h('span', { class: 'row c-num' }, win && n === this.metric ? star() : null, number(v, d), many ? null : h('span', { class: `dlt${good ? ' up' : ''}` }, delta)));
      }));
      if (n === this.metric) row('last value', list.map((r) => h('td', { class: cls(r) }, r.metrics[n] ? [number(r.metrics[n].last, typeof r.metrics[n].last === 'number' ? d : undefined), h('span', { class: 'dlt' }, r.metrics[n].step === null ? '' : `@${r.metrics[n].step}`)] : '–')));
    }
    const differ = this.differing(list), every = [...new Set(list.flatMap((r) => Object.keys(r.params)))], params = all ? [...differ, ...every.filter((k) => !differ.includes(k))] : differ;
    section('Params', every.length ? `${differ.length} of ${every.length} differ${differ.length ? ', strongest first; grey is equal to the baseline' : ''}` : 'none');
    const same = (r, a, b) => r !== base && JSON.stringify(a) === JSON.stringify(b);
    for (const k of params.slice(0, 300)) row(k, list.map((r) => h('td', { class: cls(r, same(r, r.params[k], base.params[k]) ? 'm3' : 'md'), title: param(r.params[k]) }, param(r.params[k]))));
    section('Run');
    const plainRow = (label, f) => { const v = list.map(f); if (all || new Set(v).size > 1) row(label, list.map((r, i) => h('td', { class: cls(r, same(r, v[i], f(base)) ? 'm3' : ''), title: v[i] }, v[i]))); };
    plainRow('duration', (r) => (r.status === 'running' ? 'training' : duration(r.duration)));
    for (const f of ['experiment', 'framework', 'framework_version', 'estimator']) plainRow(f.replace('_', ' '), (r) => r[f] ?? '–');
    const env = (r) => ({ commit: r.environment?.git?.commit?.slice(0, 7), host: r.environment?.host, python: r.environment?.python, ...(r.environment?.distributions || r.environment?.packages || {}) }), envs = new Map(list.map((r) => [r, env(r)])), keys = [...new Set(list.flatMap((r) => Object.keys(envs.get(r))))], changed = keys.filter((k) => new Set(list.map((r) => envs.get(r)[k])).size > 1);
    section('Code and environment', `${changed.length} of ${keys.length} differ`);
    for (const k of (all ? keys : changed).slice(0, 200)) row(k, list.map((r) => h('td', { class: cls(r, same(r, envs.get(r)[k], envs.get(base)[k]) ? 'm3' : '') }, envs.get(r)[k] ?? '–')));
    const head = h('tr', {}, h('th', { class: 'c-label' }), list.map((r) => h('th', { class: cls(r, 'c-head') }, h('div', { class: 'row c-run' }, key(this.selection.colour(r.id), 10), h('a', { class: 'ell', href: `/run/${r.id}`, title: r.name }, r.name)), h('div', { class: 'row c-st' }, status({ ...r, step: Object.values(r.metrics).reduce((a, m) => Math.max(a, m.step ?? 0), 0) }), r === base ? h('span', { class: 'm3 t11' }, 'baseline') : null))));
    const scrolled = [this.box.scrollTop, this.box.scrollLeft];
    this.box.replaceChildren(h('table', { class: many ? 'many' : '', style: many ? { width: `${label + list.length * 112}px` } : {} }, h('colgroup', {}, h('col', { style: { width: `${label}px` } }), list.map(() => h('col', {}))), h('thead', {}, head), body), this.diffs || '');
    [this.box.scrollTop, this.box.scrollLeft] = scrolled;
  }

  /** How the code of the baseline differs from its own commit, if it was recorded; between runs where the patches differ. */
  async sources() {
    const list = this.list.slice(0, 2);
    if (list.length < 2) return;
    const [a, b] = await Promise.all(list.map((r) => get(`run/${r.id}/code`).catch(() => null)));
    if (!a || !b || (a.diff || '') === (b.diff || '')) return;
    this.diffs = h('div', {}, [[list[0], a], [list[1], b]].filter((x) => x[1].diff).map(([r, c]) => h('div', {}, h('div', { class: 'm3 pad t12' }, `${r.name}: changes since its commit`), h('div', { class: 'scrollx' }, diff(c.diff)))));
    this.table();
  }

  live() {
    clearTimeout(this.timer);
    if (!this.list?.some((r) => r.status === 'running')) return;
    this.timer = setTimeout(async () => {
      for (const r of this.list.filter((x) => x.status === 'running')) { const now = await get(`run/${r.id}`).catch(() => null); if (now) Object.assign(r, now); }
      Object.assign(this.runs, asRuns(this.list));
      this.table();
    }, 600);
  }

  destroy() { for (const off of this.offs) off(); clearTimeout(this.timer); window.removeEventListener('autolog-theme', this.themed); this.charts?.destroy(); }
}
