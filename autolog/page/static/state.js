// What the page shows, as its address says it: filter, sort, columns, selection, view. And what is kept: colours, widths.

const KEYS = ['exp', 'q', 'sort', 'cols', 'group', 'sel', 'view', 'metric', 'x', 'smooth', 'logy', 'logx', 'sx', 'sy', 'ids', 'base', 'all'];
const changed = new Set();

export function read() {
  const q = new URLSearchParams(location.search), out = {};
  for (const k of KEYS) if (q.has(k)) out[k] = q.get(k);
  return out;
}

/** Change the address. `push` makes a step that "back" returns from; otherwise the current one is replaced. */
export function write(patch, push = true) {
  const q = new URLSearchParams(location.search);
  for (const [k, v] of Object.entries(patch)) if (v === null || v === undefined) q.delete(k); else q.set(k, v);
  const text = q.toString().replace(/%2C/g, ',').replace(/%3A/g, ':').replace(/\+/g, '%20');
  const next = location.pathname + (text ? `?${text}` : '');
  if (next === location.pathname + location.search) return;
  history[push ? 'pushState' : 'replaceState'](null, '', next);
  for (const act of [...changed]) act(read());
}

export function onChange(act) { changed.add(act); return () => changed.delete(act); }

/** Go to another route. */
export function go(href) { history.pushState(null, '', href); window.dispatchEvent(new Event('autolog-route')); }

export const remember = {
  get(name, otherwise) { try { const t = localStorage.getItem(`autolog.${name}`); return t === null ? otherwise : JSON.parse(t); } catch { return otherwise; } },
  set(name, value) { try { localStorage.setItem(`autolog.${name}`, JSON.stringify(value)); } catch { /* full or switched off */ } },
};

/** The selected runs and their colours. A run keeps its number for as long as nobody else needs it; the address wins over what is kept. */
export class Selection {
  constructor() { this.slots = new Map(); this.kept = new Map(Object.entries(remember.get('colours', {}))); this.acts = new Set(); this.given = false; }

  load(text) {
    this.given = text !== undefined;
    this.slots.clear();
    for (const part of (text || '').split(',').filter(Boolean)) {
      const [id, slot] = part.split(':');
      this.slots.set(id, Number(slot) || this.free(id));
    }
    this.emit();
  }

  free(id) {
    const used = new Set(this.slots.values()), own = this.kept.get(id);
    if (own && !used.has(own)) return own;
    for (let n = 1; ; n++) if (!used.has(n)) return n;
  }

  toggle(ids, want) {
    for (const id of [ids].flat()) {
      const on = want ?? !this.slots.has(id);
      if (!on) this.slots.delete(id);
      else if (!this.slots.has(id)) { const n = this.free(id); this.slots.set(id, n); this.kept.delete(id); this.kept.set(id, n); }
    }
    while (this.kept.size > 500) this.kept.delete(this.kept.keys().next().value);
    remember.set('colours', Object.fromEntries(this.kept));
    this.given = true;
    this.emit();
  }

  set(ids) { this.slots.clear(); this.toggle(ids, true); }
  clear() { this.slots.clear(); this.given = true; this.emit(); }
  has(id) { return this.slots.has(id); }
  get size() { return this.slots.size; }
  get ids() { return [...this.slots.keys()]; }
  text() { return [...this.slots].map(([id, n]) => `${id}:${n}`).join(','); }
  colour(id) { const n = this.slots.get(id); return n ? colourOf(n) : null; }
  dash(id) { return dashOf(this.slots.get(id) || 1); }
  on(act) { this.acts.add(act); return () => this.acts.delete(act); }
  emit() { for (const act of [...this.acts]) act(); }
}

export const colourOf = (n) => `var(--c${((n - 1) % 10) + 1})`;
export const dashOf = (n) => (n <= 10 ? null : n <= 20 ? [5, 3] : [2, 3]);
/** The colour of a run outside the explorer: the one it was given there, else the first. */
export const keptColour = (id) => colourOf(remember.get('colours', {})[id] || 1);

/** The value of a CSS variable, for what is drawn on a canvas. */
export function token(name) {
  const clean = name.startsWith('var(') ? name.slice(4, -1) : name;
  return getComputedStyle(document.documentElement).getPropertyValue(clean).trim();
}
