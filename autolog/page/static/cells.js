// What stands in a cell of the table. Each returns an element; text becomes text nodes.
import { h, star, num, swatch, s } from './dom.js';
import { metric as number, param, padding, mostDecimals, ago, moment, duration, MISSING } from './format.js';
import { status } from './status.js';

const missing = () => h('span', { class: 'm3' }, MISSING);

export const selectCell = (id, ctx) => { const c = ctx.selection.colour(id); return h('span', { class: 'c-sel', style: c ? { '--rc': c } : {}, role: 'checkbox', 'aria-checked': c ? 'true' : 'false', 'aria-label': `Select ${ctx.runs.field(id, 'name')}`, 'data-testid': 'select' }, swatch(c)); };

export const nameCell = (id, ctx) => h('a', { class: `c-name${ctx.selection.has(id) ? ' md' : ''}`, href: `/run/${id}`, tabindex: '-1', title: ctx.runs.field(id, 'name') },
  ctx.runs.field(id, 'name'), ctx.runs.field(id, 'children') ? h('span', { class: 'm3' }, ` +${ctx.runs.field(id, 'children')}`) : null);

export const statusCell = (id, ctx) => status(ctx.runs.plain(id));

/** The primary metric: its value, where it was reached, and a bar from the 10th percentile to the best. */
export function primaryCell(id, ctx) {
  const v = ctx.runs.metric(id, ctx.primary), scale = ctx.runs.scale(ctx.primary), best = ctx.best === id;
  if (typeof v !== 'number') return h('span', { class: 'vb' }, h('b', { class: 'm3' }, v ?? MISSING), h('span', { class: 'at' }));
  const text = number(v, scale.decimals), step = ctx.runs.metricStep(id, ctx.primary), f = (v - scale.from) / ((scale.to - scale.from) || 1);
  return h('span', { class: 'vb', title: String(v) }, ctx.direction ? h('i', { style: { width: `${Math.max(2, Math.min(1, f) * 100)}%` } }) : null,
    h('b', {}, best ? star() : null, num(text, padding(text, scale.decimals))), h('span', { class: 'at' }, step === null ? '' : `@${step}`));
}

export function metricCell(id, name, ctx) {
  const v = ctx.runs.metric(id, name);
  if (v === null) return missing();
  if (typeof v !== 'number') return h('span', {}, v);
  const scale = ctx.runs.scale(name), text = number(v, scale.decimals);
  return h('span', { title: String(v), class: ctx.runs.best(name).id === id ? 'best-in' : '' }, num(text, padding(text, scale.decimals)));
}

const widths = new WeakMap();
function paramDecimals(values) {
  let d = widths.get(values);
  if (d === undefined) {
    const texts = new Set();
    for (let i = 0; i < values.length && texts.size < 200; i++) if (typeof values[i] === 'number') texts.add(param(values[i]));
    widths.set(values, d = mostDecimals(texts));
  }
  return d;
}

export function paramCell(id, name, ctx) {
  const v = ctx.runs.param(id, name);
  if (v === null) return missing();
  const text = param(v);
  return typeof v === 'number' ? num(text, padding(text, paramDecimals(ctx.runs.params[name]))) : h('span', { title: text }, text);
}

export const RUN_FIELDS = {
  started: ['Started', (v) => h('span', { class: 'm2', title: moment(v) }, ago(v)), 92],
  duration: ['Duration', (v) => h('span', {}, duration(v)), 86],
  experiment: ['Experiment', (v) => h('span', { class: 'm2' }, v ?? MISSING), 130],
  framework: ['Framework', (v) => h('span', { class: 'm2' }, v ?? MISSING), 100],
  estimator: ['Estimator', (v) => h('span', { class: 'm2' }, v ?? MISSING), 140],
  kind: ['Kind', (v) => h('span', { class: 'm2' }, v ?? MISSING), 80],
  error: ['Error', (v) => h('span', { class: 'err', title: v || '' }, v ?? ''), 200],
  description: ['Note', (v) => h('span', { class: 'm2', title: v || '' }, v ?? ''), 200],
};

/** The curve of a cell, on one canvas. All rows share the same ranges, so that a run that stopped early looks short. */
export function drawSpark(canvas, curve, ranges, look) {
  const ratio = window.devicePixelRatio || 1, w = look.width, tall = 20;
  canvas.width = w * ratio; canvas.height = tall * ratio;
  canvas.style.width = `${w}px`; canvas.style.height = `${tall}px`;
  const c = canvas.getContext('2d');
  c.scale(ratio, ratio);
  if (!curve || !curve.points.length) return;
  const [x0, x1] = ranges.x, [y0, y1] = ranges.y;
  const X = (x) => 2 + ((x - x0) / ((x1 - x0) || 1)) * (w - 8), Y = (y) => 17 - ((Math.max(y0, Math.min(y1, y)) - y0) / ((y1 - y0) || 1)) * 14;
  const inside = (p) => p[2] >= y0 && p[1] <= y1;
  c.lineWidth = 1.4; c.lineJoin = 'round'; c.strokeStyle = look.line;
  c.beginPath();
  let pen = false;
  for (const p of curve.points) {
    if (!inside(p)) { pen = false; continue; }
    const x = X(p[0]);
    if (!pen) c.moveTo(x, Y((p[1] + p[2]) / 2)); else if (p[1] === p[2]) c.lineTo(x, Y(p[1])); else { c.lineTo(x, Y(p[1])); c.lineTo(x, Y(p[2])); }
    pen = true;
  }
  c.stroke();
  const dot = (x, y, r, fill, line) => { c.beginPath(); c.arc(x, y, r, 0, 7); c.fillStyle = fill; c.fill(); if (line) { c.strokeStyle = line; c.lineWidth = 1; c.stroke(); } };
  const last = curve.points[curve.points.length - 1], lx = X(last[0]), ly = Y((last[1] + last[2]) / 2);
  if (look.status === 'running') { c.globalAlpha = 0.25; dot(lx, ly, 4.6, look.live); c.globalAlpha = 1; dot(lx, ly, 2.6, look.live); } else if (look.status === 'lost') dot(lx, ly, 2.5, look.paper, look.warn);
  else if (look.status === 'failed') { c.strokeStyle = look.bad; c.lineWidth = 1.5; c.beginPath(); c.moveTo(lx - 2.5, ly - 2.5); c.lineTo(lx + 2.5, ly + 2.5); c.moveTo(lx + 2.5, ly - 2.5); c.lineTo(lx - 2.5, ly + 2.5); c.stroke(); }
  if (curve.best && look.status !== 'running') dot(X(curve.best[0]), Y(curve.best[1]), 2.6, look.gold || look.line, look.paper);
}

/** A curve as SVG, where there are few of them. `points` are [x, y]. */
export function miniCurve(points, width, look) {
  let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
  for (const [x, y] of points) if (Number.isFinite(y)) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
  const g = s('svg', { width, height: 20, 'aria-hidden': 'true' });
  if (x0 > x1) return g;
  const X = (x) => 2 + ((x - x0) / ((x1 - x0) || 1)) * (width - 8), Y = (y) => 17 - ((y - y0) / ((y1 - y0) || 1)) * 14;
  let d = '', pen = false;
  for (const [x, y] of points) { if (!Number.isFinite(y)) { pen = false; continue; } d += `${pen ? 'L' : 'M'}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`; pen = true; }
  g.append(s('path', { d, fill: 'none', stroke: look.colour, 'stroke-width': 1.4, 'stroke-linejoin': 'round' }));
  if (look.best) g.append(s('circle', { cx: X(look.best[0]), cy: Y(look.best[1]), r: 2.6, fill: look.gold ? 'var(--goldfill)' : look.colour, stroke: 'var(--surface)' }));
  return g;
}
