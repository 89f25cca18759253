// One run's page: its name and place, then tabs. A part that a run does not have leaves no empty box.
import { h, icon, star, key, menu } from './dom.js';
import { get, post, on, ApiError } from './api.js';
import { Runs } from './runs.js';
import { Selection, keptColour, remember } from './state.js';
import { status, shape } from './status.js';
import { count, duration, moment, ordinal, metric as number, decimalsOf, difference } from './format.js';
import { Charts } from './charts.js';
import { overview } from './run_overview.js';
import { files, models, code, environment, children } from './run_parts.js';
import * as bar from './topbar.js';

export const ms = (t) => (typeof t === 'string' ? Date.parse(t) : t);

/** A run's details in the shape of a table of one row, so that the charts can draw it. */
export function asRuns(list) {
  const runs = new Runs(), answer = { version: 0, total: list.length, runs: {}, params: {}, metrics: {}, tags: {} };
  for (const f of ['id', 'name', 'status', 'duration', 'experiment', 'framework', 'estimator']) answer.runs[f] = list.map((r) => r[f] ?? null);
  answer.runs.started = list.map((r) => ms(r.started));
  answer.runs.step = list.map((r) => Object.values(r.metrics).reduce((s, m) => Math.max(s, m.step ?? 0), -1)).map((x) => (x < 0 ? null : x));
  for (const n of new Set(list.flatMap((r) => Object.keys(r.params)))) answer.params[n] = list.map((r) => r.params[n] ?? null);
  for (const n of new Set(list.flatMap((r) => Object.keys(r.metrics)))) {
    const of = list.map((r) => r.metrics[n] || {}), direction = of.find((m) => m.direction)?.direction ?? null, pick = (f) => of.map((m) => (typeof m[f] === 'number' ? m[f] : null));
    answer.metrics[n] = { direction, value: pick('value'), last: pick('last'), min: pick('min'), max: pick('max'), step: pick('step'), count: pick('count'), best: of.map((m) => bestOf(m)), best_step: of.map((m) => m.best_step ?? null), special: Object.fromEntries(of.map((m, i) => [i, m.value]).filter((x) => typeof x[1] === 'string')) };
  }
  runs.order = runs.ingest(answer).ids;
  runs.total = list.length;
  return runs;
}

export const bestOf = (m) => { const v = m.best ?? (m.direction === 'higher' ? m.max : m.direction === 'lower' ? m.min : null); return typeof v === 'number' ? v : null; };

export class RunPage {
  constructor(root, parts) {
    this.root = root; this.id = decodeURIComponent(parts[1] || ''); this.tab = parts[2] || 'overview';
    this.offs = [on('changed', () => this.live()), on('back', () => this.live()), on('points', (p) => this.charts?.points(p))];
    this.themed = () => { this.charts?.themed(); this.view?.themed?.(); };
    window.addEventListener('autolog-theme', this.themed);
    this.load();
  }

  sync(url, parts) { const tab = parts[2] || 'overview'; if (tab !== this.tab) { this.tab = tab; this.show(); } }

  async load() {
    try {
      this.run = await get(`run/${encodeURIComponent(this.id)}`);
    } catch (e) {
      if (e instanceof ApiError) this.root.replaceChildren(h('div', { class: 'empty' }, h('div', { class: 't15 md' }, 'There is no such run'), h('div', { class: 'm2' }, e.message), h('a', { class: 'btn sm', href: '/runs' }, 'All runs')));
      return;
    }
    this.id = this.run.id;
    document.title = `${this.run.name} · autolog`;
    this.extra = { verdict: null, files: null, code: null };
    this.show();
    const quiet = (p) => p.catch(() => null);
    const [verdict, list, source] = await Promise.all([quiet(get('verdict', { experiment: this.run.experiment })), quiet(get(`run/${this.id}/files`)), quiet(get(`run/${this.id}/code`))]);
    this.extra = { verdict, files: list, code: source };
    const other = this.other();
    if (other) this.extra.other = await quiet(get(`run/${other.id}`));
    this.show();
  }

  /** The run to compare with: the second if this is the best, else the best. */
  other() { const v = this.extra.verdict; return !v?.best ? null : v.best.id === this.id ? v.second : v.best; }

  primary() { const v = this.extra.verdict; return v?.metric && this.run.metrics[v.metric] ? v.metric : Object.keys(this.run.metrics).find((n) => this.run.metrics[n].direction) || null; }

  /** The names of metrics: the one that counts, then as the verdict orders them. */
  metricNames() {
    const have = this.run.metrics, first = (this.extra.verdict?.candidates || []).map((c) => c.name).filter((n) => n in have), seen = new Set(first);
    return [...first, ...Object.keys(have).filter((n) => !seen.has(n))];
  }

  head() {
    const r = this.run, v = this.extra.verdict, env = r.environment || {}, git = env.git, place = v && r.places?.[v.metric], colour = keptColour(this.id), best = v?.best?.id === this.id;
    const facts = [h('span', { class: 'fact' }, r.status === 'finished' ? h('span', { class: 'st' }, shape('finished')) : status({ ...r, step: Object.values(r.metrics).reduce((a, m) => Math.max(a, m.step ?? 0), 0), steps: null, duration: null }), r.status === 'finished' ? h('span', { class: 'facts-in' }, h('b', {}, ' finished'), ` in ${duration(r.duration)}`) : '')];
    const fact = (...parts) => facts.push(h('span', {}, ...parts));
    if (r.started) fact('started ', h('b', {}, moment(ms(r.started))));
    if (r.framework) fact(h('b', {}, r.framework), ` ${r.framework_version || ''} ${r.estimator || ''}`);
    if (git?.commit) fact('commit ', h('b', { class: 'mono' }, String(git.commit).slice(0, 7)), git.dirty ? ' changed' : '');
    if (env.host) fact('on ', h('b', {}, env.host));
    if (r.ancestors?.length) fact('in ', ...r.ancestors.flatMap((a, i) => [i ? ' / ' : '', h('a', { href: `/run/${a.id}` }, h('b', {}, a.name))]));
    const other = this.other(), tags = Object.entries(r.tags || {});
    let standing = null;
    if (best) standing = h('span', { class: 'goldtag' }, star(), `Best of ${count(v.finished)}`);
    else if (place && r.status === 'finished' && v.best) standing = h('span', { class: 'chip' }, `${ordinal(place.rank)} of ${count(place.of)}`, this.behind(v));
    const line = `autolog.load_model("${r.name}")`;
    return h('section', { class: 'hd' }, h('div', { class: 'col hd-l' }, h('div', { class: 'row wrap' }, key(colour, 12), h('h1', { class: 't20', 'data-testid': 'run-name' }, r.name), r.starred ? h('span', { class: 'chip' }, 'starred') : null, r.archived ? h('span', { class: 'chip' }, 'archived') : null, standing,
      tags.slice(0, 8).map(([k, t]) => h('span', { class: 'chip', title: `${k}: ${t}` }, t === true || t === 'true' || t === '' ? k : `${k}: ${t}`))), h('div', { class: 'facts' }, facts)),
      h('div', { class: 'row' }, r.models?.length ? h('button', { class: 'btn', onclick: (e) => { navigator.clipboard?.writeText(line); e.currentTarget.lastChild.textContent = 'Copied'; } }, icon('copy'), h('span', {}, 'Copy load line')) : null,
        h('button', { class: 'btn', 'data-testid': 'more', onclick: (e) => this.menu(e.currentTarget) }, icon('dots'), 'More'),
        other ? h('a', { class: 'btn pri', href: `/compare?ids=${best ? `${this.id}:1,${other.id}:2` : `${other.id}:1,${this.id}:2`}` }, best ? 'Compare with 2nd' : 'Compare with the best') : null));
  }

  behind(v) {
    const mine = bestOf(this.run.metrics[v.metric] || {}), d = decimalsOf(v.best.value);
    return mine === null ? '' : `, ${difference(mine, v.best.value, d).slice(1)} behind ${v.best.name}`;
  }

  menu(anchor) {
    const change = async (what) => { await post('change', { runs: [this.id], ...what }); this.load(); };
    menu(anchor, [[this.run.starred ? 'Remove the star' : 'Star', () => change({ starred: !this.run.starred })], [this.run.archived ? 'Take out of the archive' : 'Archive', () => change({ archived: !this.run.archived })],
      ['Rename…', () => this.edit('name', this.run.name, change)], ['Note…', () => this.edit('description', this.run.description || '', change)], ['Copy the id', () => navigator.clipboard?.writeText(this.id)]]);
  }

  edit(field, old, change) {
    const input = field === 'name' ? h('input', { class: 'ed-in', 'aria-label': 'Name' }) : h('textarea', { class: 'ed-in', rows: 4, 'aria-label': 'Note' }), box = h('div', { class: 'ed' }, input, h('div', { class: 'row' }, h('button', { class: 'btn sm pri', onclick: () => { box.remove(); change({ [field]: input.value }); } }, 'Save'), h('button', { class: 'btn sm', onclick: () => box.remove() }, 'Keep as it is')));
    input.value = old;
    this.root.querySelector('.hd').after(box);
    input.focus();
  }

  tabs() {
    const r = this.run, x = this.extra, curves = Object.values(r.metrics).filter((m) => m.count > 1).length, changed = (x.code?.diff || '').split('\n'), plus = changed.filter((l) => /^\+(?!\+\+)/.test(l)).length, less = changed.filter((l) => /^-(?!--)/.test(l)).length;
    const has = x.code && (x.code.commit || x.code.diff || Object.keys(x.code.files || {}).length || Object.keys(x.code.cells || {}).length);
    return [['overview', 'Overview', ''], curves && ['charts', 'Charts', count(curves)], r.children && ['children', 'Children', count(typeof r.children === 'number' ? r.children : 0)], x.files?.length && ['artifacts', 'Artifacts', count(x.files.length)],
      r.models?.length && ['model', 'Model', ''], has && ['code', 'Code', plus || less ? `+${plus} −${less}` : ''], Object.keys(r.environment || {}).length && ['environment', 'Environment', '']].filter(Boolean);
  }

  banner() {
    const r = this.run, env = r.environment || {};
    const last = () => { const n = this.primary(), m = n && r.metrics[n]; return m ? `Last: step ${m.step}, ${n} ${number(m.last)}` : ''; };
    if (r.status === 'lost') return h('div', { class: 'banner w', 'data-testid': 'lost' }, [`${r.name} is lost`, [env.host, env.pid && `pid ${env.pid}`, r.ended && `silent since ${moment(ms(r.ended))}`].filter(Boolean).join(', ')].filter(Boolean).join(': ') + `. ${last()}`);
    if (r.status === 'failed' || r.status === 'interrupted') {
      const trace = (r.errors || []).map((e) => (typeof e === 'string' ? e : e.traceback || e.message || JSON.stringify(e))).join('\n\n'), pre = h('pre', { class: 'mono trace', hidden: true }, trace);
      return h('div', {}, h('div', { class: `banner ${r.status === 'failed' ? 'b' : 'w'}` }, `${r.name} ${r.status === 'failed' ? 'failed' : 'was interrupted'}${last() ? ` at step ${Object.values(r.metrics).reduce((a, m) => Math.max(a, m.step ?? 0), 0)}` : ''}${r.error ? `: ${String(r.error).trim().split('\n').pop()}` : ''}`, h('span', { class: 'sp' }), trace ? h('button', { class: 'b', onclick: () => { pre.hidden = !pre.hidden; } }, 'Traceback') : null), pre);
    }
    return null;
  }

  show() {
    const tabs = this.tabs();
    bar.show({ experiment: this.run.experiment, view: 'run' });
    const body = h('div', { class: 'r-body', 'data-testid': `tab-${this.tab}` });
    const scrolled = this.body?.scrollTop || 0, same = this.shownTab === this.tab;
    if (!(same && this.tab === 'charts' && this.charts)) { this.charts?.destroy(); this.charts = null; this.view?.destroy?.(); this.view = null; } else { this.root.firstChild.replaceWith(this.head()); this.root.querySelector('.tabs').replaceWith(this.nav(tabs)); return; }
    this.shownTab = this.tab;
    this.body = body;
    this.root.replaceChildren(this.head(), this.nav(tabs), this.banner() || '', body);
    if (this.tab === 'charts') this.chartsTab(body);
    else this.view = { overview, children, artifacts: files, model: models, code, environment }[this.tab]?.(body, this) || null;
    if (same) body.scrollTop = scrolled;
  }

  nav(tabs) {
    return h('nav', { class: 'tabs', 'aria-label': 'Parts of the run' }, tabs.map(([id, text, n]) => h('a', { href: `/run/${this.id}/${id}`, class: id === this.tab ? 'on' : '', 'data-testid': `to-${id}`, 'aria-current': id === this.tab ? 'page' : null }, text, n ? h('span', { class: 'n' }, n) : null)));
  }

  chartsTab(body) {
    const runs = asRuns([this.run]), selection = new Selection(), primary = this.primary();
    selection.slots.set(this.id, remember.get('colours', {})[this.id] || 1);
    body.classList.add('flush');
    this.charts = new Charts({ runs, selection, primary, direction: this.run.metrics[primary]?.direction, best: this.id, metricOrder: this.metricNames(), context: () => [], differ: [], all: false }, {});
    this.charts.read({ smooth: remember.get('smooth', 0.6) });
    body.append(this.charts.root);
    this.charts.update();
  }

  live() {
    clearTimeout(this.timer);
    if (!this.run || (this.run.status !== 'running' && this.tab !== 'children')) return;
    this.timer = setTimeout(async () => {
      try { this.run = await get(`run/${this.id}`); this.show(); } catch { /* away: shown above */ }
    }, 400);
  }

  destroy() { for (const off of this.offs) off(); clearTimeout(this.timer); window.removeEventListener('autolog-theme', this.themed); this.charts?.destroy(); this.view?.destroy?.(); document.title = 'autolog'; }
}
