// The runs of a filter, as columns. What changes later is put into the same arrays, so that a row keeps its place in them.
import { get } from './api.js';
import { columnDecimals } from './format.js';

export const PAGE = 5000;
const METRIC_FIELDS = ['value', 'last', 'min', 'max', 'step', 'count', 'best', 'best_step'];

export class Runs {
  constructor() { this.clear(); }

  clear() {
    this.length = 0; this.total = 0; this.version = 0; this.index = new Map(); this.order = [];
    this.fields = {}; this.params = {}; this.metrics = {}; this.tags = {}; this.scales = new Map();
  }

  /** Take an answer of `/runs` in; returns the ids in its order and which of them are new. */
  ingest(answer) {
    const ids = answer.runs.id, at = new Array(ids.length), fresh = [];
    ids.forEach((id, i) => {
      let row = this.index.get(id);
      if (row === undefined) { row = this.length++; this.index.set(id, row); fresh.push(id); }
      at[i] = row;
    });
    const into = (store, name, values) => {
      const column = store[name] ||= [];
      while (column.length < this.length) column.push(null);
      for (let i = 0; i < at.length; i++) column[at[i]] = values[i];
    };
    for (const [name, values] of Object.entries(answer.runs)) into(this.fields, name, values);
    for (const [name, values] of Object.entries(answer.params)) into(this.params, name, values);
    for (const [name, values] of Object.entries(answer.tags || {})) into(this.tags, name, values);
    for (const [name, m] of Object.entries(answer.metrics)) {
      const mine = this.metrics[name] ||= { direction: m.direction, special: {} };
      mine.direction = m.direction;
      for (const f of METRIC_FIELDS) if (m[f]) into(mine, f, m[f]);
      for (const [i, word] of Object.entries(m.special || {})) mine.special[at[i]] = word;
    }
    this.version = Math.max(this.version, answer.version);
    this.scales.clear();
    return { ids, fresh };
  }

  async load(query, options) {
    const answer = await get('runs', { ...query, offset: 0, limit: PAGE }, options);
    this.clear();
    this.total = answer.total;
    this.order = this.ingest(answer).ids;
    return answer;
  }

  async page(query, offset, limit) {
    const answer = await get('runs', { ...query, offset, limit });
    this.total = answer.total;
    return this.ingest(answer).ids;
  }

  /** What has changed since the last answer: {changed, fresh, removed} as ids. */
  async refresh(query) {
    const answer = await get('runs', { ...query, since: this.version, limit: PAGE });
    const { ids, fresh } = this.ingest(answer);
    const removed = (answer.removed || []).filter((id) => this.index.has(id));
    const gone = new Set(removed);
    this.order = this.order.filter((id) => !gone.has(id)).concat(fresh);
    this.version = answer.version;
    if (answer.total !== undefined) this.total = answer.total;
    return { changed: ids, fresh, removed };
  }

  row(id) { return this.index.get(id); }
  field(id, name) { return this.fields[name]?.[this.row(id)] ?? null; }
  param(id, name) { return this.params[name]?.[this.row(id)] ?? null; }

  /** The number that counts of a metric: its best where a direction is known, else its value; a word where it is not finite. */
  metric(id, name) {
    const m = this.metrics[name], row = this.row(id);
    if (!m || row === undefined) return null;
    return (m.direction && this.counts !== 'value' ? m.best?.[row] : null) ?? m.value?.[row] ?? m.special[row] ?? null;
  }

  metricStep(id, name) {
    const m = this.metrics[name], row = this.row(id);
    if (!m?.direction) return null;
    return this.counts === 'value' && m.value?.[row] !== m.best?.[row] ? m.step?.[row] ?? null : m.best_step?.[row] ?? null;
  }

  /** Runs are ranked by what the verdict ranks them by, so that its number is the one in the first row: the best of each run, or the
   * value of its kept model. The verdict goes by values if some finished run was better than its best along the way. */
  rankAs(best, name) {
    const m = this.metrics[name], up = m?.direction === 'higher';
    let counts = 'best';
    if (best && m?.best) {
      for (let row = 0; row < this.length; row++) {
        const v = m.best[row];
        if (v !== null && this.fields.status[row] === 'finished' && (up ? v > best.value : v < best.value)) { counts = 'value'; break; }
      }
    }
    if (counts !== this.counts) { this.counts = counts; this.scales.clear(); }
  }

  /** What the value bar and the number of decimals of a column are made from. */
  scale(name) {
    let scale = this.scales.get(name);
    if (!scale) {
      const values = [];
      for (const id of this.order) { const v = this.metric(id, name); if (typeof v === 'number') values.push(v); }
      values.sort((a, b) => a - b);
      const down = this.metrics[name]?.direction === 'lower', n = values.length;
      scale = { decimals: columnDecimals(values), from: down ? values[Math.floor((n - 1) * 0.9)] : values[Math.floor(n * 0.1)], to: down ? values[0] : values[n - 1] };
      this.scales.set(name, scale);
    }
    return scale;
  }

  /** The best values of each metric among finished runs; they are gold. */
  best(name) {
    const key = `best ${name}`;
    let found = this.scales.get(key);
    if (found === undefined) {
      const direction = this.metrics[name]?.direction;
      found = { id: null };
      if (direction) {
        let top = null, n = 0;
        for (const id of this.order) {
          if (this.field(id, 'status') !== 'finished') continue;
          const v = this.metric(id, name);
          if (typeof v === 'number') n++;
          if (typeof v === 'number' && (top === null || (direction === 'higher' ? v > top : v < top))) { top = v; found = { id, value: v }; }
        }
        if (n < 2) found = { id: null };
      }
      this.scales.set(key, found);
    }
    return found;
  }

  /** Params with more than one value, and how many values each has. */
  differing() {
    const out = new Map();
    for (const [name, values] of Object.entries(this.params)) {
      const seen = new Set();
      for (let i = 0; i < this.length && seen.size < 60; i++) seen.add(typeof values[i] === 'object' ? JSON.stringify(values[i]) : values[i]);
      if (seen.size > 1) out.set(name, seen.size);
    }
    return out;
  }

  plain(id) { return { id, name: this.field(id, 'name'), status: this.field(id, 'status'), step: this.field(id, 'step'), duration: this.field(id, 'duration'), steps: this.steps(id) }; }

  /** How many steps a run will make, where a param says so. */
  steps(id) {
    for (const name of ['epochs', 'max_epochs', 'n_estimators', 'num_boost_round', 'num_train_epochs', 'max_iter']) {
      const v = this.params[name]?.[this.row(id)], step = this.field(id, 'step');
      if (typeof v === 'number' && step !== null && v > step && v < 1e7) return v;
    }
    return null;
  }
}
