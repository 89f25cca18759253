// Numbers, times and sizes as text. Pure functions: nothing here touches the page.

const MINUS = '−';
export const MISSING = '–';

export const minus = (text) => text.replace(/-/g, MINUS);

const exponential = (x, digits) => minus(x.toExponential(digits).replace('e+', 'e'));

const tooSmallOrLarge = (x) => { const a = Math.abs(x); return a !== 0 && (a < 1e-4 || a >= 1e7); };

/** How many decimals show four significant digits of `x`. */
export function decimalsOf(x) {
  const a = Math.abs(x);
  if (!Number.isFinite(a) || a === 0) return 4;
  return Math.max(0, Math.min(7, 3 - Math.floor(Math.log10(a))));
}

/** The decimals of a whole column: those of its largest value. */
export function columnDecimals(values) {
  let largest = 0;
  for (const v of values) if (typeof v === 'number' && Number.isFinite(v) && !tooSmallOrLarge(v)) largest = Math.max(largest, Math.abs(v));
  return largest ? decimalsOf(largest) : 4;
}

/** A metric: four significant digits, or `decimals` where a column has decided. */
export function metric(x, decimals) {
  if (x === null || x === undefined) return MISSING;
  if (typeof x === 'string') return x;
  if (Number.isNaN(x)) return 'NaN';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : `${MINUS}inf`;
  if (tooSmallOrLarge(x)) return exponential(x, 1);
  return grouped(minus(x.toFixed(decimals ?? decimalsOf(x))));
}

/** All digits, for tooltips and the clipboard. */
export const exact = (x) => (x === null || x === undefined ? MISSING : minus(String(x)));

/** A difference, taken from the values as they are shown, so that it agrees with what a reader subtracts. */
export function difference(a, b, decimals) {
  const d = Number(a.toFixed(decimals)) - Number(b.toFixed(decimals));
  return d.toFixed(decimals).replace('-', '') === (0).toFixed(decimals) ? (0).toFixed(decimals) : (d > 0 ? '+' : MINUS) + Math.abs(d).toFixed(decimals);
}

/** A param, as its user wrote it. */
export function param(v) {
  if (v === null || v === undefined) return MISSING;
  if (typeof v === 'number') return v === 0 ? '0' : Math.abs(v) < 1e-4 ? minus(v.toExponential()) : minus(String(v));
  if (typeof v === 'object') return JSON.stringify(v);
  return String(v);
}

function grouped(text) {
  const [whole, rest] = text.split('.');
  if (whole.replace(MINUS, '').length < 5) return text;
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',') + (rest === undefined ? '' : `.${rest}`);
}

export const count = (n) => grouped(String(n));

/** Which invisible digits make the points of a column align: how many zeros, and whether the point itself is missing. */
export function padding(text, decimals) {
  if (/[e–a-z]/i.test(text)) return '';
  const have = text.includes('.') ? text.split('.')[1].length : -1;
  if (decimals <= 0 || have >= decimals) return '';
  return (have < 0 ? '.' : '') + '0'.repeat(decimals - Math.max(0, have));
}

/** The most decimals among texts, for `padding`. */
export function mostDecimals(texts) {
  let most = 0;
  for (const t of texts) if (t.includes('.') && !/[e–a-z]/i.test(t)) most = Math.max(most, t.split('.')[1].length);
  return most;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} m`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (n) => String(n).padStart(2, '0');

export function ago(ms, now = Date.now()) {
  if (ms === null || ms === undefined) return MISSING;
  const s = (now - ms) / 1000;
  if (s < 60) return 'now';
  if (s < 3600) return `${Math.floor(s / 60)} m ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  if (s < 7 * 86400) return `${Math.floor(s / 86400)} d ago`;
  const d = new Date(ms);
  return `${d.getDate()} ${MONTHS[d.getMonth()]}` + (d.getFullYear() === new Date(now).getFullYear() ? '' : ` ${d.getFullYear()}`);
}

export function moment(ms, now = Date.now()) {
  if (ms === null || ms === undefined) return MISSING;
  const d = new Date(ms), today = new Date(now).toDateString() === d.toDateString();
  return `${today ? 'today' : `${d.getDate()} ${MONTHS[d.getMonth()]} ${d.getFullYear()}`}, ${two(d.getHours())}:${two(d.getMinutes())}`;
}

export const clock = (ms) => { const d = new Date(ms); return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`; };

export function bytes(n) {
  if (n === null || n === undefined) return MISSING;
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let i = 0;
  while (n >= 1000 && i < 4) { n /= 1000; i++; }
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export const percent = (share) => (share < 0.01 ? '< 1 %' : `${Math.round(share * 100)} %`);

export function ordinal(n) {
  const t = n % 100, e = n % 10;
  return `${n}${t > 10 && t < 14 ? 'th' : e === 1 ? 'st' : e === 2 ? 'nd' : e === 3 ? 'rd' : 'th'}`;
}

export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;

/** Round values for an axis from `lo` to `hi`, about `n` of them, and their step. */
export function ticks(lo, hi, n) {
  const raw = (hi - lo) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= raw * 0.999) || 10 * power;
  const values = [];
  for (let v = Math.ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step) values.push(Number(v.toPrecision(12)));
  return { step, values };
}

/** A label of an axis whose labels are `step` apart. */
export function tick(v, step) {
  if (v === 0) return '0';
  const a = Math.abs(v);
  if (a < 1e-4 || a >= 1e6) return exponential(v, step && step < a * 0.1 ? 1 : 0);
  if (!step) return minus(String(Number(v.toPrecision(3))));
  let d = 0;
  while (d < 7 && Math.abs(Number(step.toFixed(d)) - step) > step * 1e-6) d++;
  return grouped(minus(v.toFixed(d)));
}
