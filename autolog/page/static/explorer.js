// The explorer: the verdict, the filter line, the table, the charts; what is shown is in the address.
import { h, icon, menu, popover, debounce, onceAFrame } from './dom.js';
import { get, post, on, ApiError } from './api.js';
import { Runs, PAGE } from './runs.js';
import { Selection, read, write, remember, onChange, go } from './state.js';
import { verdict } from './verdict.js';
import { Filter } from './filter.js';
import { Table, BLOCK } from './table.js';
import { Charts } from './charts.js';
import { columnMenu, headMenu } from './choose.js';
import { sortKey } from './columns.js';
import { count, plural } from './format.js';
import * as bar from './topbar.js';

const VIEWS = ['table', 'charts', 'parallel', 'scatter'];

export class Explorer {
  constructor(root) {
    this.root = root;
    this.runs = new Runs(); this.selection = new Selection();
    this.ctx = { runs: this.runs, selection: this.selection, differ: [], context: () => this.behind() };
    this.filter = new Filter({ apply: (text) => write({ q: text.trim() || null }), names: () => this.names() });
    this.table = new Table(this.ctx, { sorted: (sort) => { this.ctx.sort = sort; this.url.sort = sort || undefined; write({ sort }); }, query: () => this.good || this.query(), columns: (ids) => { this.url.cols = ids?.map(encodeURIComponent).join(','); write({ cols: this.url.cols ?? null }, false); this.counts(); }, sparked: () => this.charts.redraw(), headMenu: (head, id) => headMenu(head, id, this) });
    this.charts = new Charts(this.ctx, { tools: (patch) => write(patch, false) });
    this.build();
    this.offs = [onChange((url) => this.sync(url)), on('changed', (said) => this.live(said)), on('back', () => this.live({})), on('points', (p) => this.charts.points(p)),
      this.selection.on(() => this.chosen())];
    this.chosenSoon = onceAFrame(() => this.selected());
    this.keys = (e) => this.key(e);
    document.addEventListener('keydown', this.keys);
    this.themed = () => { this.table.themed(); this.charts.themed(); this.other?.themed?.(); };
    window.addEventListener('autolog-theme', this.themed);
    this.sized = debounce(() => { if (this.data) this.answer(); }, 200);
    window.addEventListener('resize', this.sized);
    this.sync(read());
  }

  build() {
    this.verdictBox = h('div', { class: 'v-box' });
    this.compareButton = h('button', { class: 'btn pri', 'data-testid': 'compare', onclick: () => this.compare() });
    this.groupButton = h('button', { class: 'btn', 'data-testid': 'group', onclick: () => this.groupMenu() });
    this.columnsButton = h('button', { class: 'btn', 'data-testid': 'columns', onclick: () => columnMenu(this.columnsButton, this) });
    this.seg = h('span', { class: 'seg', role: 'tablist' }, VIEWS.map((v) => h('a', { role: 'tab', href: '#', 'data-view': v, 'data-testid': `view-${v}`, onclick: (e) => { e.preventDefault(); write({ view: v === 'table' ? null : v }); } }, v[0].toUpperCase() + v.slice(1))));
    this.barBox = h('div', { class: 'bar' }, this.filter.root, h('span', { class: 'hide-s row' }, this.groupButton, this.columnsButton, this.seg, this.compareButton));
    this.selectedText = h('button', { class: 'lnk m2', 'data-testid': 'selected', onclick: () => this.selectionMenu() });
    const k = (t) => h('span', { class: 'kbd' }, t);
    this.foot = h('div', { class: 'foot' }, this.selectedText, h('span', { class: 'sp' }), h('span', { class: 'hide-s keys' }, k('↑'), k('↓'), ' move', k('space'), ' select', k('enter'), ' open', k('c'), ' compare', k('?'), ' all keys'));
    this.loading = h('div', { class: 'loading', hidden: true, 'aria-hidden': 'true' }, Array.from({ length: 14 }, (_, i) => h('div', { class: 'dl' }, h('span', { class: 'sk', style: { width: `${86 + (i * 17) % 40}px` } }), h('span', { class: 'sp' }), h('span', { class: 'sk', style: { width: '48px' } }), h('span', { class: 'sk', style: { width: '88px' } }))));
    this.left = h('div', { class: 'pane p-left' }, this.loading, this.table.root, this.foot);
    this.divider = h('div', { class: 'divider', role: 'separator', 'aria-label': 'Width of the table', onpointerdown: (e) => this.divide(e) });
    this.right = h('div', { class: 'pane p-right' }, this.charts.root);
    this.wide = h('div', { class: 'pane p-wide', hidden: true });
    this.split = h('main', { class: 'split' }, this.left, this.divider, this.right, this.wide);
    this.split.style.setProperty('--left', `${remember.get('split', 0.6) * 100}%`);
    this.root.replaceChildren(this.verdictBox, this.barBox, this.filter.said, this.split);
  }

  divide(e) {
    const move = (m) => { const f = Math.max(0.25, Math.min(0.8, m.clientX / innerWidth)); this.split.style.setProperty('--left', `${f * 100}%`); remember.set('split', f); };
    const up = () => { removeEventListener('pointermove', move); removeEventListener('pointerup', up); if (!this.ctx.cols) this.table.show(); };
    e.preventDefault();
    addEventListener('pointermove', move); addEventListener('pointerup', up);
  }

  query() { return { q: this.url.q || '', experiment: this.url.exp || '' }; }

  names() {
    const r = this.runs, safe = (g) => (n) => (/^[\w.]+$/.test(n) ? `${g}.${n}` : `${g}['${n}']`);
    return ['status', 'name', 'experiment', 'started', 'duration', 'framework', 'estimator', 'archived', 'starred', ...Object.keys(r.metrics).map(safe('metrics')), ...Object.keys(r.params).map(safe('params')), ...Object.keys(r.tags).map(safe('tags'))];
  }

  /** Bring the page to what the address says. */
  async sync(url) {
    if (location.pathname !== '/runs') return;
    const old = this.url || {}, first = !this.url;
    this.url = url;
    Object.assign(this.ctx, { experiment: url.exp, cols: url.cols, sort: url.sort });
    if (url.sel !== old.sel && url.sel !== this.selection.text()) { this.quiet = true; this.selection.load(url.sel); this.quiet = false; } else if (first) this.selection.load(url.sel);
    this.charts.read(url);
    if (first || url.q !== old.q || url.exp !== old.exp || url.metric !== old.metric) await this.load();
    else if (url.cols !== old.cols && url.cols !== this.table.visible?.().map(encodeURIComponent).join(',') || url.sort !== old.sort) { if (this.data) this.table.show(); }
    this.view();
    if (!first) this.charts.redraw();
  }

  async load() {
    const mine = this.job = new AbortController();
    this.filter.set(this.url.q || '');
    const slow = setTimeout(() => { if (!this.data) this.loading.hidden = false; }, 200);
    try {
      const [data] = await Promise.all([get('verdict', { ...this.query(), metric: this.url.metric }, { signal: mine.signal }), this.fetchRuns(mine)]);
      if (mine !== this.job) return;
      this.data = data;
      this.good = this.query();
      this.filter.error(null);
      this.answer();
      if (this.runs.total > PAGE && this.ctx.primary && !this.url.sort) await this.bestPage();
      this.autoSelect();
      this.verdictColour();
      this.table.show();
      this.loading.hidden = true;
      performance.mark('table');
      this.charts.layout = null;
      this.charts.update();
      this.view();
    } catch (e) {
      if (mine !== this.job || e.name === 'AbortError') return;
      if (e instanceof ApiError && e.status === 400) {
        // A wrong filter in the address of a page that shows nothing yet: show all runs, and say what is wrong.
        if (!this.data && this.url.q) { const asked = this.url.q; this.url.q = undefined; await this.load(); this.url.q = asked; this.filter.input.value = asked; }
        this.filter.error(e);
      }
      else if (!(e instanceof TypeError)) console.error(e);
    } finally { clearTimeout(slow); }
  }

  /** Of more runs than are loaded at once, the best; the table shows them first. */
  async bestPage() {
    const key = (this.ctx.direction === 'lower' ? '' : '-') + sortKey(`m:${this.ctx.primary}`, this.runs);
    this.ctx.firstPage = { key, ids: await this.runs.page({ ...this.query(), sort: key }, 0, BLOCK) };
    this.runs.order = [...new Set([...this.ctx.firstPage.ids, ...this.runs.order])];
  }

  async fetchRuns(mine) {
    const fresh = new Runs(), answer = await fresh.load(this.query(), { signal: mine.signal });
    if (mine === this.job) { Object.assign(this.runs, fresh); }
    return answer;
  }

  /** Everything that follows from the runs and the verdict: which metric counts, which run is best, which params differ. */
  answer() {
    const d = this.data, r = this.runs, share = new Map(d.shares.map((s) => [s.param, s.share]));
    const differing = [...r.differing().keys()];
    differing.sort((a, b) => (share.get(b) || 0) - (share.get(a) || 0));
    Object.assign(this.ctx, { primary: d.metric && r.metrics[d.metric] ? d.metric : null, direction: d.direction, best: d.best?.id || null, differ: differing });
    r.rankAs(d.best, d.metric);
    this.ctx.metricOrder = d.candidates.map((c) => c.name);
    if (!d.best && d.direction && this.ctx.primary) d.open = this.openBest();
    const decimals = this.ctx.primary ? r.scale(this.ctx.primary).decimals : 4;
    this.verdictBox.replaceChildren(r.total || this.url.q ? verdict(d, { decimals, colour: (id) => this.selection.colour(id), filter: (w) => this.filter.add(w), pick: (m) => write({ metric: m }), choose: (a) => menu(a, d.candidates.slice(0, 40).map((c) => [`${c.name}${c.direction ? '' : ', no direction'}`, () => write({ metric: c.name }), c.name === d.metric])) }) : '');
    if (!r.total && this.url.q) this.verdictBox.replaceChildren(h('section', { class: 'verdict none', 'data-testid': 'verdict' }, h('div', { class: 'v-who v-pick t15 md' }, 'No run matches the filter')));
    this.filter.counted(r.total);
    this.root.classList.toggle('no-runs', !r.total && !this.url.q);
    if (!r.total && !this.url.q) this.empty();
    this.counts();
    bar.show({ experiment: this.url.exp, total: r.total, view: 'runs' });
  }

  openBest() {
    let top = null;
    for (const id of this.runs.order) {
      const v = this.runs.metric(id, this.ctx.primary);
      if (typeof v === 'number' && (!top || (this.data.direction === 'higher' ? v > top.value : v < top.value))) top = { id, name: this.runs.field(id, 'name'), value: v, step: this.runs.metricStep(id, this.ctx.primary) };
    }
    return top;
  }

  empty() {
    const code = 'import autolog\nautolog.autolog()';
    this.verdictBox.replaceChildren(h('div', { class: 'empty', 'data-testid': 'empty' }, h('div', { class: 't15 md' }, 'No runs here yet'), h('div', { class: 'm2' }, 'Add two lines to a training script; the run appears here within 3 seconds.'),
      h('pre', { class: 'mono code' }, code), h('button', { class: 'btn sm', onclick: () => navigator.clipboard?.writeText(code) }, icon('copy'), 'Copy')));
  }

  autoSelect() {
    if (this.selection.given || !this.ctx.primary) return;
    const r = this.runs, down = this.ctx.direction === 'lower' ? 1 : -1;
    const top = r.order.map((id) => [id, r.metric(id, this.ctx.primary)]).filter((x) => typeof x[1] === 'number').sort((a, b) => down * (a[1] - b[1])).slice(0, 5);
    this.quiet = true;
    this.selection.set(this.ctx.best ? [this.ctx.best, ...top.map((x) => x[0]).filter((id) => id !== this.ctx.best)].slice(0, 5) : top.map((x) => x[0]));
    this.selection.given = false;
    this.quiet = false;
    this.counts();
  }

  chosen() { if (!this.quiet) this.chosenSoon(); }

  selected() {
    if (!this.table.ctx) return;
    if (this.selection.given) { this.url.sel = this.selection.text(); write({ sel: this.url.sel }, false); }
    this.table.selected();
    this.counts();
    if (this.data) { this.charts.update(); this.verdictColour(); }
    this.other?.selected?.();
  }

  verdictColour() { const k = this.verdictBox.querySelector('.v-name .key'); if (k && this.ctx.best) k.style.setProperty('--rc', this.selection.colour(this.ctx.best) || 'var(--ink3)'); }

  /** Up to 26 other runs of the filter, as quiet lines behind. */
  behind() {
    const out = [];
    for (const [id, c] of this.table.sparks) {
      if (out.length >= 26) break;
      if (this.selection.has(id) || c.points.length < 2) continue;
      out.push({ pairs: Float64Array.from(c.points.flatMap((p) => [p[0], (p[1] + p[2]) / 2])), ys: Float64Array.from(c.points.map((p) => (p[1] + p[2]) / 2)) });
    }
    return out;
  }

  counts() {
    const n = this.selection.size;
    this.selectedText.textContent = `${n} selected`;
    this.compareButton.textContent = n > 1 ? `Compare ${n}` : 'Compare';
    this.compareButton.disabled = n < 2;
    const columns = this.table.columns, shown = this.table.api ? this.table.visible().filter((c) => c !== 'select').length : 0;
    this.columnsButton.replaceChildren(icon('cols'), 'Columns', columns ? h('span', { class: 'm3' }, ` ${shown} of ${count(columns.length - 1)}`) : '');
    const g = this.url.group;
    this.groupButton.replaceChildren(icon('group'), g ? g.slice(2) : 'Group', g ? icon('x') : '');
    this.groupButton.classList.toggle('on', Boolean(g));
  }

  async view() {
    const v = VIEWS.includes(this.url.view) ? this.url.view : 'table', group = this.url.group;
    for (const a of this.seg.children) { a.classList.toggle('on', a.dataset.view === v); a.setAttribute('aria-selected', a.dataset.view === v); }
    this.split.dataset.view = v;
    const kind = v === 'parallel' || v === 'scatter' ? v : group ? 'grouped' : null;
    this.split.dataset.kind = kind || '';
    if (!this.data) return;
    const wanted = kind ? `${kind}|${group || ''}` : null;
    if (this.otherKind === wanted) { this.other?.update?.(); return; }
    this.other?.destroy?.(); this.other = null; this.otherKind = wanted; this.wide.replaceChildren();
    const hadGroups = this.ctx.groups;
    this.ctx.groups = null;
    if (kind) {
      const module = await import(`./${kind}.js`);
      if (this.otherKind !== wanted) return;
      this.other = new module.View(this, this.wide);
    } else if (this.data && hadGroups) { this.answer(); this.charts.update(); }
    this.wide.hidden = !kind;
    this.counts();
  }

  groupMenu() {
    if (this.url.group) { write({ group: null }); return; }
    menu(this.groupButton, this.ctx.differ.slice(0, 30).map((p) => [p, () => write({ group: `p:${p}`, view: null })]).concat([['framework', () => write({ group: 'r:framework' })], ['estimator', () => write({ group: 'r:estimator' })]]));
  }

  selectionMenu() {
    const ids = this.selection.ids, names = ids.map((id) => this.runs.field(id, 'name'));
    if (!ids.length) return;
    const change = async (what) => { await post('change', { runs: ids, ...what }); this.live({}); };
    menu(this.selectedText, [['Compare', () => this.compare()], ['Clear the selection', () => this.selection.clear()], ['Star', () => change({ starred: true })], ['Archive', () => change({ archived: true })],
      [`Delete ${plural(ids.length, 'run')}…`, () => popover(this.selectedText, (close) => h('div', { class: 'ask' }, h('div', { class: 'b' }, `Delete ${plural(ids.length, 'run')}?`), h('div', { class: 'm2 t12' }, names.slice(0, 6).join(', ') + (names.length > 6 ? ', …' : '')), h('div', { class: 'row' },
        h('button', { class: 'btn sm', onclick: close }, 'Keep'), h('button', { class: 'btn sm err', onclick: async () => { close(); await post('remove', { runs: ids }); this.selection.clear(); this.live({}); } }, 'Delete'))))]]);
  }

  compare() { if (this.selection.size > 1) go(`/compare?ids=${this.selection.text()}${this.url.metric ? `&metric=${encodeURIComponent(this.url.metric)}` : ''}`); }

  /** Something has been recorded: take what changed in, without moving what is looked at. */
  live(said) {
    if (said.restarted) this.again = true;
    if (!this.liveTimer) this.liveTimer = setTimeout(async () => {
      this.liveTimer = null;
      if (!this.data || location.pathname !== '/runs') return;
      try {
        const [what, data] = await Promise.all([this.runs.refresh(this.good), get('verdict', { ...this.good, metric: this.url.metric })]);
        this.data = data;
        this.answer();
        this.table.changed(what);
        this.charts.stale(what.changed.filter((id) => this.selection.has(id) && this.runs.field(id, 'status') !== 'running'));
        this.charts.redraw();
        this.charts.watch();
        this.other?.update?.();
      } catch (e) { if (e instanceof ApiError) this.load(); }
    }, 150);
  }

  key(e) {
    const typing = e.target.matches?.('input, textarea, select');
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (typing) return;
    const acts = { '/': () => this.filter.input.focus(), c: () => this.compare(), g: () => this.groupMenu(), '?': () => bar.keys(), ArrowDown: () => this.table.focus() };
    if (e.key in acts && !(e.key === 'ArrowDown' && e.target !== document.body)) { e.preventDefault(); acts[e.key](); } else if ('1234'.includes(e.key)) { const v = VIEWS[e.key - 1]; write({ view: v === 'table' ? null : v }); }
  }

  destroy() {
    for (const off of this.offs) off();
    document.removeEventListener('keydown', this.keys);
    window.removeEventListener('autolog-theme', this.themed);
    window.removeEventListener('resize', this.sized);
    this.job?.abort();
    this.other?.destroy?.();
    this.charts.destroy(); this.table.destroy();
  }
}
