// An axis of the parallel view: where a param's values stand. Logarithmic where they span 100×; categories by their median.
import { scale, marks } from './scales.js';
import { param } from './format.js';

export function axisOf(name, values, scores, top, bottom, down) {
  const numeric = values.every((v) => v === null || typeof v === 'number'), known = values.filter((v) => v !== null);
  if (numeric && known.length) {
    const lo = Math.min(...known), hi = Math.max(...known), log = lo > 0 && hi / lo >= 100, distinct = [...new Set(known)].sort((a, b) => a - b);
    const flip = down ? [top, bottom] : [bottom, top], y = lo === hi ? Object.assign(() => (top + bottom) / 2, { inverse: () => lo }) : scale(lo, hi, ...flip, log);
    const ticks = distinct.length <= 8 ? distinct.map((v) => [v, param(v)]) : marks(lo, hi, 6, log).filter(([v]) => v >= lo && v <= hi);
    return { name, y, ticks, numeric: true, log, values, lo, hi };
  }
  const at = new Map();
  values.forEach((v, i) => { const k = param(v); if (!at.has(k)) at.set(k, { value: v, scores: [] }); at.get(k).scores.push(scores[i]); });
  const median = (a) => { const b = a.filter((x) => typeof x === 'number').sort((p, q) => p - q); return b.length ? b[b.length >> 1] : -Infinity; };
  const keys = [...at.keys()].sort((a, b) => median(at.get(a).scores) - median(at.get(b).scores)).slice(0, 40), n = keys.length, place = new Map(keys.map((k, i) => [k, bottom - (bottom - top) * (n === 1 ? 0.5 : (i / (n - 1)) * 0.84 + 0.08)]));
  return { name, y: (v) => place.get(param(v)) ?? bottom, ticks: keys.map((k) => [at.get(k).value, k.length > 14 ? `${k.slice(0, 13)}…` : k]), numeric: false, keys: keys.map((k) => at.get(k).value), values };
}
