// Which columns the table has, how wide, and in which order: by default those that fit whole, else those that somebody chose.
import { RUN_FIELDS, selectCell, nameCell, statusCell, primaryCell, metricCell, paramCell } from './cells.js';
import { textWidth } from './dom.js';
import { metric as number, param } from './format.js';
import { nameOf } from './verdict.js';
import { remember } from './state.js';

const measured = (head, samples, extra = 18) => Math.ceil(Math.max(textWidth(head, '500 12px') + 18, ...samples.map((t) => textWidth(t) + extra)));
const clamp = (w, lo, hi) => Math.max(lo, Math.min(hi, w));

/** The key by which the server sorts a column. */
export function sortKey(colId, runs) {
  const name = colId.slice(2);
  if (colId.startsWith('m:')) {
    const direction = runs.counts === 'value' ? null : runs.metrics[name]?.direction, field = nameOf('metrics', name);
    return direction === 'higher' ? `max(${field})` : direction === 'lower' ? `min(${field})` : field;
  }
  if (colId.startsWith('p:')) return nameOf('params', name);
  if (colId.startsWith('t:')) return nameOf('tags', name);
  return colId === 'status' || colId === 'name' ? colId : name;
}

const last = (v) => v === null || v === undefined || (typeof v === 'number' && Number.isNaN(v));
/** Missing values come last in both directions; text sorts after numbers. */
export function compare(a, b, x, y, down) {
  if (last(a) || last(b)) return last(a) && last(b) ? 0 : (last(a) ? 1 : -1) * (down ? -1 : 1);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'number') return -1;
  if (typeof b === 'number') return 1;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** The names of metrics, those first by which runs are most likely compared. */
export function metricOrder(ctx) {
  const have = ctx.runs.metrics, first = (ctx.metricOrder || []).filter((n) => n in have), seen = new Set(first);
  return [...first, ...Object.keys(have).filter((n) => !seen.has(n))];
}

/** All columns there are: [{id, group, head, width, def}], in the order of the page. */
export function all(ctx) {
  const { runs, primary } = ctx, small = innerWidth < 700, wide = innerWidth >= 2000, out = [];
  const sample = (get) => { const o = []; for (let i = 0; i < runs.order.length && o.length < 40; i += Math.max(1, Math.floor(runs.order.length / 40))) { const v = get(runs.order[i]); if (v !== null && v !== undefined) o.push(v); } return o; };
  const add = (id, group, head, width, render, value, extra = {}) => out.push({ id, group, head, width, def: {
    colId: id, headerName: head, width, valueGetter: (p) => (p.data ? value(p.data.id) : null), comparator: compare,
    cellRenderer: (p) => (p.data ? render(p.data.id, ctx) : document.createElement('span')), ...extra } });
  add('select', 'Run', '', 38, selectCell, () => null, { sortable: false, resizable: false, pinned: 'left', lockPosition: 'left', suppressMovable: true, cellClass: 'c-check', headerName: '', suppressNavigable: false });
  const names = sample((id) => runs.field(id, 'name'));
  add('name', 'Run', 'Name', small ? 136 : wide ? 190 : clamp(measured('Name', names, 20), 112, 190), nameCell, (id) => runs.field(id, 'name'), small ? {} : { pinned: 'left' });
  add('status', 'Run', 'Status', wide ? 110 : 88, statusCell, (id) => runs.field(id, 'status'), small ? {} : { pinned: 'left' });
  for (const [f, [head, cell, width]] of Object.entries(RUN_FIELDS)) add(`r:${f}`, 'Run', head, width, (id) => cell(runs.field(id, f)), (id) => runs.field(id, f));
  const metricNames = metricOrder(ctx);
  const right = { type: 'rightAligned' };
  const order = primary ? [primary, ...metricNames.filter((n) => n !== primary)] : metricNames;
  for (const n of order) {
    const main = n === primary, width = clamp(measured(n, sample((id) => { const v = runs.metric(id, n); return typeof v === 'number' ? number(v, runs.scale(n).decimals) : null; }), main ? 74 : 20), main ? (wide ? 150 : 128) : 66, 240);
    add(`m:${n}`, 'Metrics', n, width, main ? primaryCell : (id, c) => metricCell(id, n, c), (id) => { const v = runs.metric(id, n); return typeof v === 'number' ? v : null; }, { ...right, cellClass: main ? 'ag-right-aligned-cell c-vb' : 'ag-right-aligned-cell', sortingOrder: runs.metrics[n].direction === 'higher' ? ['desc', 'asc', null] : ['asc', 'desc', null] });
    if (main) add('curve', 'Metrics', '', wide ? 174 : 96, (id, c) => c.spark(id), () => null, { sortable: false, headerTooltip: `${n} by step` });
  }
  const differ = ctx.differ, rest = Object.keys(runs.params).filter((n) => !differ.includes(n));
  for (const n of [...differ, ...rest]) {
    const values = sample((id) => runs.param(id, n)), numeric = values.length > 0 && values.every((v) => typeof v === 'number');
    add(`p:${n}`, 'Params', n, clamp(measured(n, values.map(param), 20), 56, 180), (id, c) => paramCell(id, n, c), (id) => { const v = runs.param(id, n); return typeof v === 'object' && v !== null ? JSON.stringify(v) : v; }, numeric ? right : {});
  }
  for (const n of Object.keys(runs.tags)) add(`t:${n}`, 'Tags', n, clamp(measured(n, sample((id) => runs.tags[n][runs.row(id)]).map(String), 20), 56, 180), (id) => { const v = runs.tags[n][runs.row(id)]; const e = document.createElement('span'); e.append(v ?? ''); return e; }, (id) => runs.tags[n][runs.row(id)]);
  return out;
}

/** The ids of the columns to show when nobody has chosen: as many as fit whole. */
export function byDefault(columns, ctx, room) {
  const by = new Map(columns.map((c) => [c.id, c])), small = innerWidth < 700;
  const chosen = ['select', 'name', ...(small ? [] : ['status'])];
  if (ctx.primary && by.has(`m:${ctx.primary}`)) chosen.push(`m:${ctx.primary}`, 'curve');
  let left = room - chosen.reduce((w, id) => w + by.get(id).width, 0);
  if (small) return chosen;
  const metrics = columns.filter((c) => c.id.startsWith('m:') && c.id !== `m:${ctx.primary}` && ctx.runs.metrics[c.head].direction);
  const params = columns.filter((c) => c.id.startsWith('p:') && ctx.differ.includes(c.head));
  const take = (list, most) => { for (const c of list.slice(0, most)) { if (c.width > left) return false; chosen.push(c.id); left -= c.width; } return true; };
  const one = metrics.slice(0, 1);
  take(one, 1);
  const before = chosen.length;
  const whole = take(params, 99);
  const more = [];
  if (whole) { for (const c of metrics.slice(1, 2)) if (c.width <= left) { more.push(c.id); left -= c.width; } }
  chosen.splice(before, 0, ...more);
  for (const id of ['r:started', 'r:duration']) if (whole && by.get(id).width <= left && by.get(id)) { chosen.push(id); left -= by.get(id).width; }
  return chosen;
}

const keep = (ctx) => `columns.${ctx.experiment || ''}`;
export const kept = (ctx) => remember.get(keep(ctx), null);
export const save = (ctx, state) => remember.set(keep(ctx), state);

/** Definitions for the grid: chosen columns in their order, groups Run, Metrics, Params, Tags. */
export function definitions(columns, chosen, ctx) {
  const by = new Map(columns.map((c) => [c.id, c])), widths = kept(ctx)?.widths || {}, pins = kept(ctx)?.pinned || {}, groups = [];
  const n = ctx.differ.length, of = Object.keys(ctx.runs.params).length;
  const title = { Run: 'Run', Metrics: ctx.direction && ctx.runs.counts !== 'value' ? 'Metrics, best' : 'Metrics', Params: n < of ? `Params, ${n} of ${of} differ` : 'Params', Tags: 'Tags' };
  for (const id of chosen) {
    const c = by.get(id);
    if (!c) continue;
    const def = { ...c.def };
    if (widths[id]) def.width = widths[id];
    if (id in pins) def.pinned = pins[id];
    let group = groups[groups.length - 1];
    if (!group || group.kind !== c.group) {
      group = { kind: c.group, headerName: title[c.group], children: [], headerClass: groups.length ? 'gl' : '' };
      if (groups.length) { def.cellClass = `${def.cellClass || (def.type === 'rightAligned' ? 'ag-right-aligned-cell' : '')} gl`; def.headerClass = 'gl'; }
      groups.push(group);
    }
    if (def.type === 'rightAligned') def.headerClass = `ag-right-aligned-header ${def.headerClass || ''}`;
    group.children.push(def);
  }
  return groups.map(({ kind, ...g }) => g);
}
