// The table of runs: AG Grid with our cells. Selection, colours and live changes are ours; sorting and columns are the grid's.
import * as AgGrid from './lib/aggrid/index.js';
import { h, debounce, onceAFrame } from './dom.js';
import { plural } from './format.js';
import { get } from './api.js';
import { all, byDefault, definitions, kept, save, sortKey } from './columns.js';
import { drawSpark } from './cells.js';
import { token, go } from './state.js';
import { PAGE } from './runs.js';

AgGrid.ModuleRegistry.registerModules([AgGrid.AllCommunityModule]);

export const BLOCK = 200;

const theme = () => AgGrid.themeQuartz.withParams({
  backgroundColor: 'var(--surface)', foregroundColor: 'var(--ink)', borderColor: 'var(--line)', headerBackgroundColor: 'var(--surface)', headerTextColor: 'var(--ink3)',
  rowHoverColor: 'var(--hover)', oddRowBackgroundColor: 'transparent', fontFamily: 'inherit', fontSize: 13, headerFontSize: 12, headerFontWeight: 500, cellHorizontalPadding: 8,
  wrapperBorder: false, wrapperBorderRadius: 0, headerColumnBorder: false, headerColumnResizeHandleColor: 'transparent', columnBorder: false, rowBorder: { color: 'var(--line)' },
  pinnedColumnBorder: false, accentColor: 'var(--ink)', focusShadow: 'none', iconSize: 12, spacing: 4, rangeSelectionBorderColor: 'transparent', cellTextColor: 'var(--ink)', headerRowBorder: { color: 'var(--line)' },
});

export class Table {
  /** `ctx` has runs, primary, direction, best, differ, selection, experiment, cols; `act` has sorted(key), columns(ids), open(id), query(). */
  constructor(ctx, act) {
    this.ctx = ctx; this.act = act;
    this.note = h('div', { class: 'banner t-note', hidden: true, 'data-testid': 'new-runs' });
    this.host = h('div', { class: 'grid', 'data-testid': 'table' });
    this.root = h('div', { class: 't-root' }, this.note, this.host);
    this.sparks = new Map(); this.ranges = null; this.asked = new Set(); this.canvases = new Map(); this.fresh = [];
    ctx.spark = (id) => this.spark(id);
    this.host.addEventListener('pointerenter', () => { this.over = true; });
    this.host.addEventListener('pointerleave', () => { this.over = false; this.settle(); });
    this.host.addEventListener('contextmenu', (e) => { const head = e.target.closest('.ag-header-cell'); if (head && act.headMenu) { e.preventDefault(); act.headMenu(head, head.getAttribute('col-id')); } });
    this.saved = debounce(() => this.keep(), 250);
    this.needSparks = debounce(() => this.fetchSparks(), 40);
    this.redraw = onceAFrame(() => this.drawAll());
  }

  get infinite() { return this.ctx.runs.total > PAGE; }

  /** Show the runs that are loaded now. */
  show() {
    const mode = this.infinite;
    this.columns = all(this.ctx);
    const chosen = this.chosen();
    const defs = definitions(this.columns, chosen, this.ctx);
    if (!this.ctx.cols && !kept(this.ctx)?.order) this.fillUp(defs);
    this.withSort(defs);
    this.fresh = []; this.note.hidden = true;
    if (this.api && this.mode === mode) {
      this.api.setGridOption('columnDefs', defs);
      if (mode) this.api.setGridOption('datasource', this.source()); else this.api.setGridOption('rowData', this.ctx.runs.order.map((id) => ({ id })));
      this.api.refreshCells({ force: true });
      this.needSparks();
      return;
    }
    this.api?.destroy();
    this.mode = mode;
    this.api = AgGrid.createGrid(this.host, {
      theme: theme(), columnDefs: defs, getRowId: (p) => p.data.id, rowHeight: matchMedia('(pointer: coarse)').matches ? 36 : 30, headerHeight: innerWidth < 700 ? 0 : 28, groupHeaderHeight: innerWidth < 700 ? 0 : 24,
      ...(mode ? { rowModelType: 'infinite', cacheBlockSize: BLOCK, maxBlocksInCache: 40, datasource: this.source() } : { rowData: this.ctx.runs.order.map((id) => ({ id })) }),
      defaultColDef: { sortable: true, resizable: true, suppressHeaderMenuButton: true, suppressHeaderContextMenu: true, suppressHeaderFilterButton: true, minWidth: 36 },
      rowClassRules: { best: (p) => p.data?.id === this.ctx.best, sel: (p) => p.data && this.ctx.selection.has(p.data.id) },
      animateRows: false, suppressColumnMoveAnimation: true, maintainColumnOrder: true, suppressCellFocus: false, suppressDragLeaveHidesColumns: true, rowBuffer: 12, suppressScrollOnNewData: true, alwaysMultiSort: false,
      overlayNoRowsTemplate: '<span>No run matches the filter.</span>', overlayLoadingTemplate: '<span></span>', tooltipShowDelay: 600,
      onCellClicked: (e) => this.clicked(e), onCellKeyDown: (e) => this.key(e),
      onSortChanged: (e) => { if (e.source !== 'api' && e.source !== 'gridOptionsChanged') this.sorted(); this.needSparks(); },
      onColumnMoved: (e) => { if (e.finished && e.source.startsWith('ui')) this.saved(); }, onColumnResized: (e) => { if (e.finished && e.source.startsWith('ui')) this.saved(); }, onColumnPinned: () => this.saved(),
      onModelUpdated: () => this.needSparks(), onBodyScroll: () => { this.needSparks(); this.atTop() && this.settle(); }, onViewportChanged: () => this.needSparks(),
    });
  }

  chosen() {
    const asked = this.ctx.cols?.split(',').map(decodeURIComponent) || kept(this.ctx)?.order;
    const ids = asked ? ['select', 'name', ...asked.filter((id) => id !== 'select' && id !== 'name')] : byDefault(this.columns, this.ctx, this.host.clientWidth - 12);
    return ids.filter((id) => this.columns.some((c) => c.id === id));
  }

  /** Share what is left of the width among the columns that scroll. */
  fillUp(defs) {
    const all = defs.flatMap((g) => g.children), loose = all.filter((d) => !d.pinned && d.colId !== 'curve');
    const left = this.host.clientWidth - 1 - all.reduce((w, d) => w + d.width, 0);
    if (left > 0 && loose.length) { const each = Math.min(28, Math.floor(left / loose.length)); for (const d of loose) d.width += each; }
  }

  withSort(defs) {
    const { sort, down } = this.wanted();
    this.showsSort = false;
    for (const g of defs) for (const d of g.children) { d.sort = d.colId === sort ? (down ? 'desc' : 'asc') : null; if (d.colId === sort) this.showsSort = true; }
    if (!this.showsSort && sort) {
      const hidden = this.columns.find((c) => c.id === sort);
      if (hidden) defs.push({ headerName: '', children: [{ ...hidden.def, hide: true, sort: down ? 'desc' : 'asc' }] });
    }
  }

  /** The column and direction that the address asks for; without one, the primary metric, best first. */
  wanted() {
    const text = this.ctx.sort;
    if (text) { const down = text.startsWith('-'), key = text.replace(/^-/, ''); return { sort: this.columns.find((c) => sortKey(c.id, this.ctx.runs) === key || c.id === key)?.id || null, down }; }
    if (this.ctx.primary) return { sort: `m:${this.ctx.primary}`, down: this.ctx.direction !== 'lower' };
    return { sort: 'r:started', down: true };
  }

  sorted() {
    const s = this.api.getColumnState().find((c) => c.sort);
    this.act.sorted(s ? (s.sort === 'desc' ? '-' : '') + sortKey(s.colId, this.ctx.runs) : null);
  }

  source() {
    return { getRows: async (p) => {
      const s = p.sortModel[0], key = s ? (s.sort === 'desc' ? '-' : '') + sortKey(s.colId, this.ctx.runs) : '';
      try {
        const first = this.ctx.firstPage, ids = p.startRow === 0 && first?.key === key ? first.ids : await this.ctx.runs.page({ ...this.act.query(), sort: key }, p.startRow, p.endRow - p.startRow);
        this.ctx.firstPage = null;
        p.successCallback(ids.map((id) => ({ id })), this.ctx.runs.total);
        this.needSparks();
      } catch { p.failCallback(); }
    } };
  }

  clicked(e) {
    if (!e.data) return;
    const id = e.data.id, touch = innerWidth < 700;
    if (e.column.getColId() === 'select') this.pick(id, e.event?.shiftKey);
    else if (touch && !e.event.target.closest('a')) go(`/run/${id}`);
  }

  pick(id, toHere) {
    if (toHere && this.lastPicked) {
      const shown = this.shown(), a = shown.indexOf(this.lastPicked), b = shown.indexOf(id);
      if (a >= 0 && b >= 0) this.ctx.selection.toggle(shown.slice(Math.min(a, b), Math.max(a, b) + 1).slice(0, 50), true);
    } else this.ctx.selection.toggle(id);
    this.lastPicked = id;
  }

  key(e) {
    if (!e.data) return;
    if (e.event.key === ' ') { e.event.preventDefault(); this.pick(e.data.id, e.event.shiftKey); }
    if (e.event.key === 'Enter') { e.event.preventDefault(); go(`/run/${e.data.id}`); }
  }

  focus() { if (this.api && this.api.getDisplayedRowCount()) { const r = this.api.getFirstDisplayedRowIndex?.() ?? 0; this.api.setFocusedCell(r, 'name'); } }

  /** The ids of rows in their order, as far as they are loaded. */
  shown() { const out = []; this.api.forEachNode((n) => { if (n.data && n.displayed !== false) out[n.rowIndex] = n.data.id; }); return out.filter(Boolean); }

  /** The selection has changed: colour the rows anew. */
  selected() {
    if (!this.api) return;
    const now = new Map(this.ctx.selection.slots), before = this.before || new Map(), nodes = [];
    for (const id of new Set([...now.keys(), ...before.keys()])) if (now.get(id) !== before.get(id)) { const n = this.api.getRowNode(id); if (n) nodes.push(n); }
    this.before = now;
    if (nodes.length) this.api.redrawRows({ rowNodes: nodes });
    this.redraw();
  }

  // --- live: figures change in place; rows move only when nobody is looking at one
  changed({ changed, fresh, removed }) {
    if (!this.api) return;
    for (const id of changed) this.asked.delete(id);
    if (this.mode) { this.cells(changed); if (fresh.length || removed.length) { if (!this.over && this.atTop()) this.api.refreshInfiniteCache(); else this.announce(fresh.length); } this.needSparks(); return; }
    const known = changed.filter((id) => !fresh.includes(id));
    if (removed.length) this.api.applyTransaction({ remove: removed.filter((id) => this.api.getRowNode(id)).map((id) => ({ id })) });
    this.cells(known);
    this.moved = new Set([...(this.moved || []), ...known]);
    this.fresh.push(...fresh);
    this.settle();
    this.needSparks();
  }

  cells(ids) { const rowNodes = ids.map((id) => this.api.getRowNode(id)).filter(Boolean); if (rowNodes.length) this.api.refreshCells({ rowNodes, force: true }); }

  atTop() { return (this.api?.getVerticalPixelRange().top || 0) < 30; }

  settle(now) {
    if (!this.api || this.mode || (this.over && !now)) { this.announce(this.fresh.length); return; }
    if (this.moved?.size) { this.api.applyTransaction({ update: [...this.moved].filter((id) => this.api.getRowNode(id)).map((id) => ({ id })) }); this.moved = null; }
    if (this.fresh.length && (this.atTop() || now)) { this.api.applyTransaction({ add: this.fresh.map((id) => ({ id })) }); this.fresh = []; this.needSparks(); }
    this.announce(this.fresh.length);
  }

  announce(n) {
    this.note.hidden = !n;
    if (n) this.note.replaceChildren(`${plural(n, 'new run')}`, h('span', { class: 'sp' }), h('button', { class: 'btn sm', onclick: () => { if (this.mode) { this.api.refreshInfiniteCache(); this.note.hidden = true; } else this.settle(true); } }, 'Show'));
  }

  // --- curves in cells
  spark(id) {
    const canvas = h('canvas', { class: 'spark' });
    this.canvases.set(id, canvas);
    this.drawOne(id, canvas);
    return canvas;
  }

  drawOne(id, canvas) {
    const look = this.look ||= this.looks();
    const c = this.ctx.selection.colour(id), status = this.ctx.runs.field(id, 'status');
    drawSpark(canvas, this.sparks.get(id), this.ranges || { x: [0, 1], y: [0, 1] }, { ...look, width: innerWidth >= 2000 ? 158 : 80, line: c ? token(c) : look.ink3, status, gold: this.ctx.best === id ? look.goldfill : null });
  }

  looks() { return { ink3: token('--ink3'), live: token('--live'), warn: token('--warn'), bad: token('--bad'), paper: token('--surface'), goldfill: token('--goldfill') }; }
  themed() { this.look = this.looks(); this.redraw(); }

  drawAll() { for (const [id, canvas] of this.canvases) { if (canvas.isConnected) this.drawOne(id, canvas); else this.canvases.delete(id); } }

  async fetchSparks() {
    if (!this.api || !this.ctx.primary) return;
    if (this.sparkOf !== this.ctx.primary) { this.sparks.clear(); this.asked.clear(); this.ranges = null; this.sparkOf = this.ctx.primary; }
    const ids = this.api.getRenderedNodes().map((n) => n.data?.id).filter((id) => id && !this.asked.has(id)).slice(0, 200);
    if (!ids.length) return;
    for (const id of ids) this.asked.add(id);
    try {
      const got = await get('sparks', { runs: ids.join(','), metric: this.ctx.primary });
      if (this.sparkOf !== this.ctx.primary) return;
      for (const [id, c] of Object.entries(got.curves)) this.sparks.set(id, c);
      const r = this.ranges;
      this.ranges = r ? { x: [Math.min(r.x[0], got.x[0]), Math.max(r.x[1], got.x[1])], y: [Math.min(r.y[0], got.y[0]), Math.max(r.y[1], got.y[1])] } : { x: got.x, y: got.y };
      this.redraw();
      this.act.sparked?.();
    } catch { for (const id of ids) this.asked.delete(id); }
  }

  // --- columns
  keep() {
    const state = this.api.getColumnState().filter((c) => !c.hide), widths = { ...(kept(this.ctx)?.widths || {}) }, pinned = {};
    for (const c of state) { const d = this.columns.find((x) => x.id === c.colId); if (d && Math.round(c.width) !== d.width) widths[c.colId] = Math.round(c.width); pinned[c.colId] = c.pinned || null; }
    const order = state.map((c) => c.colId);
    save(this.ctx, { order, widths, pinned });
    this.act.columns(order);
  }

  setColumns(ids, pinned) {
    const old = kept(this.ctx) || { widths: {}, pinned: {} };
    save(this.ctx, ids ? { ...old, order: ids, pinned: { ...old.pinned, ...pinned } } : null);
    this.ctx.cols = ids ? ids.map(encodeURIComponent).join(',') : null;
    this.show();
    this.act.columns(ids);
  }

  visible() { return this.api.getColumnState().filter((c) => !c.hide).map((c) => c.colId); }
  destroy() { this.api?.destroy(); this.api = null; }
}
