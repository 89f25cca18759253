// The frame of a chart: where a value stands in pixels, and which round values its axes show.
import { ticks, tick, clock, ago } from './format.js';

const log10 = Math.log10;

export function scale(lo, hi, from, to, log) {
  const a = log ? log10(lo) : lo, b = log ? log10(hi) : hi, span = b - a || 1;
  const f = (v) => from + (((log ? log10(v) : v) - a) / span) * (to - from);
  f.inverse = (p) => { const v = a + ((p - from) / (to - from)) * span; return log ? 10 ** v : v; };
  f.lo = lo; f.hi = hi; f.log = log;
  return f;
}

/** Round values and their labels. */
export function marks(lo, hi, n, log, kind) {
  if (log && hi / lo < 12) {
    let found = ticks(lo, hi, n);
    for (let k = n + 1; found.values.length < 3 && k < n + 5; k++) found = ticks(lo, hi, k);
    return found.values.filter((v) => v > 0).map((v) => [v, tick(v, found.step)]);
  }
  if (log) {
    const out = [], a = Math.floor(log10(lo)), b = Math.ceil(log10(hi)), fine = hi / lo < 60 ? [1, 2, 5] : [1], every = Math.max(1, Math.ceil((b - a) / 6));
    for (let e = a; e <= b; e += every) for (const k of fine) { const v = k * 10 ** e; if (v >= lo * 0.999 && v <= hi * 1.001) out.push([v, tick(v)]); }
    return out;
  }
  if (kind === 'wall') {
    const steps = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 3 * 86400, 7 * 86400, 14 * 86400, 30 * 86400].map((x) => x * 1000), step = steps.find((x) => (hi - lo) / x <= n) || 90 * 86400000, out = [];
    const zone = new Date(lo).getTimezoneOffset() * 60000;
    for (let v = Math.ceil((lo - zone) / step) * step + zone; v <= hi; v += step) out.push([v, step >= 86400000 ? ago(v, v + 8 * 86400000) : step < 60000 ? clock(v) : clock(v).slice(0, 5)]);
    return out;
  }
  if (kind === 'relative') {
    const unit = hi > 7200 ? 3600 : hi > 180 ? 60 : 1, { step, values } = ticks(lo / unit, hi / unit, n), word = unit === 3600 ? ' h' : unit === 60 ? ' m' : ' s';
    return values.map((v) => [v * unit, v === 0 ? '0' : tick(v, step) + word]);
  }
  let found = ticks(lo, hi, n);
  for (let k = n + 1; found.values.length < 3 && k < n + 5; k++) found = ticks(lo, hi, k);
  return found.values.map((v) => [v, tick(v, found.step)]);
}
