// Curves as arrays: smoothing, x axes, looking values up, gaps. Pure functions.

/** The values along one x axis: {x, y, thin}. A thinned curve has two points a column, its lowest and its highest. */
export function along(series, axis, started) {
  const { lo, hi } = series, n = lo.length;
  let x = axis === 'epoch' ? series.epoch : axis === 'wall' || axis === 'relative' ? series.time : series.step;
  if (axis === 'epoch' && n && Number.isNaN(x[0])) x = series.step;
  if (axis === 'relative') { const zero = started ?? x[0]; x = x.map((t) => (t - zero) / 1000); }
  const mid = series.thinned ? lo.map((v, i) => (Number.isFinite(v) && Number.isFinite(hi[i]) ? (v + hi[i]) / 2 : NaN)) : lo.map((v) => (Number.isFinite(v) ? v : NaN));
  return { x, mid, lo, hi, thinned: series.thinned };
}

/** Exponential smoothing, corrected for its start; a gap stays a gap. */
export function smooth(values, alpha) {
  if (!alpha) return values;
  const out = new Float64Array(values.length);
  let s = 0, w = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v !== v) { out[i] = NaN; continue; }
    s = alpha * s + (1 - alpha) * v;
    w = alpha * w + (1 - alpha);
    out[i] = s / w;
  }
  return out;
}

/** Index of the point nearest to `at` in ascending `x`, or −1. */
export function nearest(x, at) {
  let a = 0, b = x.length - 1;
  if (b < 0) return -1;
  while (a < b) { const m = (a + b) >> 1; if (x[m] < at) a = m + 1; else b = m; }
  return a > 0 && at - x[a - 1] < x[a] - at ? a - 1 : a;
}

/** Pairs [x0, y0, x1, y1, …] for drawing. */
export function pairs(curve, values) {
  const { x, lo, hi, thinned } = curve, n = x.length;
  if (values || !thinned) {
    const y = values || curve.mid, out = new Float64Array(n * 2);
    for (let i = 0; i < n; i++) { out[2 * i] = x[i]; out[2 * i + 1] = y[i]; }
    return out;
  }
  const out = new Float64Array(n * 4);
  for (let i = 0; i < n; i++) {
    out[4 * i] = out[4 * i + 2] = x[i];
    out[4 * i + 1] = Number.isFinite(lo[i]) ? lo[i] : NaN; out[4 * i + 3] = Number.isFinite(hi[i]) ? hi[i] : NaN;
  }
  return out;
}

/** From the 25th percentile of all points to the best, padded by 6 %: differences are at the end, not at the first step. */
export function range(curves, direction, whole, log) {
  let values = [];
  for (const c of curves) for (let i = 0; i < c.mid.length; i++) { const v = c.mid[i]; if (v === v && (!log || v > 0)) values.push(v); }
  if (!values.length) return [0, 1];
  values = Float64Array.from(values).sort();
  let lo = values[0], hi = values[values.length - 1];
  if (!whole && direction === 'higher') lo = values[Math.floor(values.length * 0.25)];
  if (!whole && direction === 'lower') hi = values[Math.floor((values.length - 1) * 0.75)];
  if (log) return lo === hi ? [lo / 2, hi * 2] : [lo / (hi / lo) ** 0.06, hi * (hi / lo) ** 0.06];
  const pad = (hi - lo || Math.abs(hi) || 1) * 0.06;
  return [lo - pad, hi + pad];
}

/** Stretches of x where values are not finite, as [from, to] pairs. */
export function holes(x, values) {
  const out = [];
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    const from = i;
    while (i + 1 < values.length && !Number.isFinite(values[i + 1])) i++;
    out.push([x[Math.max(0, from - 1)], x[Math.min(values.length - 1, i + 1)]]);
  }
  return out;
}

/** Stretches that overlap, as one. */
export function merged(stretches) {
  const out = [];
  for (const [a, b] of [...stretches].sort((p, q) => p[0] - q[0])) { const last = out[out.length - 1]; if (last && a <= last[1]) last[1] = Math.max(last[1], b); else out.push([a, b]); }
  return out;
}

/** "6 points not finite: 5 NaN, 1 inf", or nothing. */
export function gapNote(list) {
  let nan = 0, inf = 0;
  for (const s of list) { nan += s.gaps?.nan || 0; inf += s.gaps?.inf || 0; }
  if (!nan && !inf) return '';
  const n = nan + inf;
  return `${n} ${n === 1 ? 'point' : 'points'} not finite: ${[nan && `${nan} NaN`, inf && `${inf} inf`].filter(Boolean).join(', ')}`;
}

/** Mean, lowest and highest of several curves at each x that any of them has. */
export function band(curves) {
  const at = new Map();
  for (const c of curves) for (let i = 0; i < c.x.length; i++) {
    const v = c.mid[i];
    if (v !== v) continue;
    const e = at.get(c.x[i]);
    if (!e) at.set(c.x[i], [v, v, v, 1]); else { e[0] += v; e[1] = Math.min(e[1], v); e[2] = Math.max(e[2], v); e[3]++; }
  }
  const xs = Float64Array.from(at.keys()).sort(), mean = new Float64Array(xs.length), lo = new Float64Array(xs.length), hi = new Float64Array(xs.length);
  xs.forEach((x, i) => { const e = at.get(x); mean[i] = e[0] / e[3]; lo[i] = e[1]; hi[i] = e[2]; });
  return { x: xs, mid: mean, lo, hi, thinned: false };
}

/** A curve with new points [[step, epoch, time, value], …] at its end. */
export function extended(series, points) {
  const last = series.step.length ? series.step[series.step.length - 1] : -Infinity;
  const fresh = points.filter((p) => p[0] > last);
  if (!fresh.length) return series;
  const join = (old, part) => { const out = new Float64Array(old.length + fresh.length); out.set(old); fresh.forEach((p, i) => { out[old.length + i] = p[part] ?? NaN; }); return out; };
  return { ...series, step: join(series.step, 0), epoch: join(series.epoch, 1), time: join(series.time, 2), lo: join(series.lo, 3), hi: join(series.hi, 3), count: series.count + fresh.length };
}
