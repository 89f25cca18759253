// The way to the server: answers kept by ETag, curves as binary blocks, one WebSocket, and the line that says the server is away.
import { h } from './dom.js';
import { clock } from './format.js';

export class ApiError extends Error {
  constructor(status, message, at) { super(message); this.status = status; this.at = at; }
}

const meta = (name) => document.querySelector(`meta[name="autolog-${name}"]`)?.content || '';
export const place = () => meta('place');
/** The token goes with each request: in a frame of another page the cookie may be kept back. */
export const own = () => ({ 'X-Autolog-Token': meta('token') });

const kept = new Map();        // url → {etag, data}
const listeners = { changed: new Set(), points: new Set(), back: new Set() };
export const live = { version: 0, watch: [] };

export function on(type, act) { listeners[type].add(act); return () => listeners[type].delete(act); }
const emit = (type, value) => { for (const act of [...listeners[type]]) act(value); };

const url = (path, query) => {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query || {})) if (v !== null && v !== undefined && v !== '') q.set(k, v);
  const text = q.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
};

async function request(address, options) {
  let response;
  try { response = await fetch(address, options); } catch (e) {
    if (e.name !== 'AbortError') away.start();
    throw e;
  }
  away.stop();
  if (response.ok || response.status === 304) return response;
  let said = {};
  try { said = await response.json(); } catch { /* not JSON: the status says enough */ }
  throw new ApiError(response.status, said.error || `The server answered ${response.status}.`, said.at ?? null);
}

/** JSON of one address. Unchanged answers come out of memory. */
export async function get(path, query, options = {}) {
  const address = url(path, query), known = kept.get(address);
  const response = await request(address, { signal: options.signal, cache: 'no-store', headers: known ? { ...own(), 'If-None-Match': known.etag } : own() });
  if (response.status === 304 && known) return known.data;
  const data = await response.json(), etag = response.headers.get('ETag');
  if (etag && query?.since === undefined) { kept.delete(address); kept.set(address, { etag, data }); if (kept.size > 40) kept.delete(kept.keys().next().value); }
  return data;
}

export const address = url;

export async function post(path, body) {
  const response = await request(url(path), { method: 'POST', headers: { 'Content-Type': 'application/json', ...own() }, body: JSON.stringify(body) });
  return response.json();
}

/** Curves. Returns a list of {run, metric, count, thinned, gaps, step, epoch, time, lo, hi}; the arrays are Float64Array. */
export async function series(runs, metrics, options = {}) {
  if (!runs.length || !metrics.length) return [];
  const response = await request(url('series', { runs: runs.join(','), metrics: metrics.join(','), points: options.points || 2000 }), { signal: options.signal, cache: 'no-store', headers: own() });
  return decode(await response.arrayBuffer());
}

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true), start = 4 + length;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)).trimEnd());
  const body = start % 8 === 0 ? buffer : buffer.slice(start), base = start % 8 === 0 ? start : 0;
  return header.series.map((one) => {
    const part = (i) => new Float64Array(body, base + one.offset + i * one.length * 8, one.length);
    return { ...one, step: part(0), epoch: part(1), time: part(2), lo: part(3), hi: part(4) };
  });
}

// --- the line that says that the server is away
const away = {
  since: 0, tries: 0, next: 0, timer: null, seen: Date.now(),
  start() {
    if (this.since) return;
    this.since = Date.now(); this.tries = 0; this.plan();
    this.timer = setInterval(() => this.show(), 500);
  },
  plan() { this.next = Date.now() + Math.min(8000, 1000 * 2 ** Math.min(3, this.tries++)); this.show(); },
  async show() {
    const line = document.getElementById('away');
    if (Date.now() >= this.next && this.since) {
      this.next = Date.now() + 60000;
      try { await fetch('/api/v1/experiments', { cache: 'no-store', headers: own() }); this.stop(); return; } catch { this.plan(); return; }
    }
    if (!this.since) return;
    line.replaceChildren(h('div', { class: 'banner w', 'data-testid': 'away' },
      `Server away for ${Math.round((Date.now() - this.since) / 1000)} s. What is shown is from ${clock(this.seen)}; trying again in ${Math.max(0, Math.ceil((this.next - Date.now()) / 1000))} s`));
  },
  stop() {
    this.seen = Date.now();
    if (!this.since) return;
    this.since = 0; clearInterval(this.timer);
    document.getElementById('away').replaceChildren();
    connect();
    emit('back');
  },
};

// --- one WebSocket for all that is live
let socket = null;
export function connect() {
  if (socket && socket.readyState <= 1) return;
  const mine = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/live`);
  socket = mine;
  mine.onmessage = (event) => {
    const said = JSON.parse(event.data);
    away.seen = Date.now();
    if (said.type === 'hello') {
      const restarted = live.started !== undefined && live.started !== said.started;
      live.started = said.started;
      if (restarted) kept.clear();
      if (live.watch.length) mine.send(JSON.stringify({ watch: live.watch }));
      if (live.version && (live.version !== said.version || restarted)) emit('changed', { version: said.version, restarted });
      live.version = said.version;
    } else if (said.type === 'changed') { live.version = said.version; emit('changed', said); } else if (said.type === 'points') emit('points', said);
  };
  mine.onclose = () => { if (socket === mine) { socket = null; away.start(); } };
}

/** Ask for new points of these curves: [[run, metric, count known], …]. */
export function watch(list) {
  live.watch = list;
  if (socket?.readyState === 1) socket.send(JSON.stringify({ watch: list }));
}
