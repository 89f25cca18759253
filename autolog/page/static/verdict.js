// The strip at the top that answers first: which run is best, by how much, and which params go with it.
import { h, s, star, key, icon } from './dom.js';
import { metric as number, percent, plural, decimalsOf, param, count } from './format.js';
import { remember } from './state.js';

/** `act` has: pick(metric), filter(text to add), colour(id), decimals. */
export function verdict(data, act) {
  const small = remember.get('verdict', 'open') === 'small';
  const root = h('section', { class: `verdict${small ? ' small' : ''}`, 'aria-label': 'Best run', 'data-testid': 'verdict' });
  if (!data.direction && !data.best) {
    if (!data.candidates.length) return h('section', { class: 'verdict none', 'data-testid': 'verdict' });
    root.append(h('div', { class: 'v-who v-pick' }, h('div', {}, h('div', { class: 't15 md' }, 'Pick the metric that counts'),
      h('div', { class: 'row v-cand' }, data.candidates.slice(0, 8).map((c) => h('button', { class: 'btn sm', onclick: () => act.pick(c.name) }, c.name, h('span', { class: 'm3' }, count(c.runs))))))));
    return root;
  }
  const best = data.best || data.open, d = act.decimals ?? decimalsOf(best?.value ?? 1);
  if (!best) {
    root.append(h('div', { class: 'v-who v-pick' }, h('div', { class: 't15 md' }, `No run has ${data.metric} yet`)));
    return root;
  }
  const label = !data.best ? 'Best so far, open' : data.finished > 1 ? `Best of ${count(data.finished)} finished` : 'The one finished run';
  const collapse = h('button', { class: 'icb v-fold', 'aria-label': small ? 'Open the verdict' : 'Fold the verdict', onclick: () => {
    const next = root.classList.toggle('small');
    remember.set('verdict', next ? 'small' : 'open');
    act.resized?.();
  } }, icon('chev'));
  root.append(h('div', { class: 'v-who' },
    h('div', { class: 'col v-left' }, h('div', { class: 'v-lab' }, data.best ? star() : null, label),
      h('div', { class: 'v-name' }, key(act.colour(best.id) || 'var(--ink3)', 10), h('a', { class: 'ell', href: `/run/${best.id}`, 'data-testid': 'best-name' }, best.name)),
      data.second ? h('div', { class: 't12 m2 ell v-more' }, `+${number(data.second.lead, d)} over ${data.second.name}`.replace('+', data.direction === 'lower' ? '−' : '+')) : null),
    h('div', { class: 'col' }, h('div', { class: 'v-num', 'data-testid': 'best-value' }, number(best.value, d)),
      h('button', { class: 't12 m2 nw v-metric', 'data-testid': 'primary-metric', title: 'Choose another metric', onclick: (e) => act.choose?.(e.currentTarget) }, `${data.metric}, step ${best.step}${best.steps ? ` of ${best.steps}` : ''}`),
      data.ahead ? h('div', { class: 't12 v-more v-ahead' }, `${data.ahead.name}, training: ${data.direction === 'lower' ? '−' : '+'}${number(Math.abs(data.ahead.lead), d)} at step ${data.ahead.step}`) : null)));
  const why = h('div', { class: 'v-why' });
  root.append(why, collapse);
  if (data.finished >= 12) {
    why.append(h('div', { class: 'v-txt' }, h('div', { class: 'md' }, data.shares.length ? 'Params that go with it' : 'No param stands out'),
      h('div', { class: 't12 m3' }, data.shares.length ? `Share of the spread in ${data.metric}, ${plural(data.finished, 'run')}` : `in these ${plural(data.finished, 'run')}.`)));
    const host = h('div', { class: 'v-strips' });
    why.append(host);
    const room = () => { const w = innerWidth; return w < 700 ? 2 : w >= 2000 ? 5 : w < 1200 ? 2 : w < 1380 ? 3 : 4; };
    for (const share of data.shares.slice(0, room())) host.append(strip(inOrder(share, data), data, act));
  } else if (data.finished > 1) {
    why.append(h('div', { class: 'm3 t12' }, `From 12 finished runs on, this says which params go with the best.`));
  }
  return root;
}

/** Categories stand from the worst median to the best; numbers as they are. */
function inOrder(share, data) {
  if (share.kind !== 'category') return share;
  const sign = data.direction === 'lower' ? -1 : 1, order = share.values.map((_, i) => i).sort((a, b) => sign * (share.values[a].median - share.values[b].median)), place = new Map(order.map((old, i) => [old, i]));
  return { ...share, values: order.map((i) => share.values[i]), dots: share.dots.map(([i, y]) => [place.get(i), y]) };
}

/** One param: every finished run a dot, the median a bar, the best run's value on gold. A click adds the value to the filter. */
function strip(share, data, act) {
  const host = h('div', { class: 'strip', 'data-testid': 'strip', title: 'Shares overlap, and a search that favours some values bends them.' },
    h('div', { class: 'h' }, h('span', { class: 'md ell' }, share.param), h('span', { class: 'm2 nw pct' }, percent(share.share))));
  const plot = h('div', { class: 'plot' });
  host.append(plot);
  const draw = () => {
    const w = plot.clientWidth, tall = 60;
    if (!w) return;
    const ys = share.dots.map((d) => d[1]).sort((a, b) => a - b), down = data.direction === 'lower';
    const from = ys[Math.floor((ys.length - 1) * (down ? 0.94 : 0.06))], to = down ? ys[0] : ys[ys.length - 1];
    const Y = (v) => { const f = (v - from) / ((to - from) || 1); return tall - 16 - Math.max(0, Math.min(1, f)) * (tall - 21); };
    const n = share.values.length, step = (w - 8) / n, g = s('svg', { width: w, height: tall, 'aria-hidden': 'true' });
    share.values.forEach((v, i) => { if (v.is_best) g.append(s('rect', { x: 4 + step * i + 1, y: 0, width: Math.max(2, step - 2), height: tall - 13, rx: 3, fill: 'var(--goldbg)' })); });
    const many = Math.ceil(share.dots.length / 600);
    share.dots.forEach(([i, y], j) => {
      if (j % many) return;
      const jitter = ((Math.abs(Math.sin((j + 1) * 12.9898 + i * 78.233) * 43758.5453) % 1) - 0.5) * Math.min(step * 0.62, 22);
      g.append(s('circle', { cx: 4 + step * (i + 0.5) + jitter, cy: Y(y), r: 1.5, fill: 'var(--ink3)', opacity: 0.5 }));
    });
    share.values.forEach((v, i) => {
      const cx = 4 + step * (i + 0.5), wide = Math.min(7, step * 0.3);
      g.append(s('line', { x1: cx - wide, x2: cx + wide, y1: Y(v.median), y2: Y(v.median), stroke: 'var(--ink)', 'stroke-width': 1.5 }));
      if (v.is_best && data.best) g.append(s('circle', { cx, cy: Y(data.best.value), r: 3.6, fill: 'var(--goldfill)', stroke: 'var(--surface)', 'stroke-width': 1.2 }));
    });
    labels(share, step, g, tall, w);
    share.values.forEach((v, i) => {
      const words = condition(share, v);
      g.append(s('rect', { class: 'hit', x: 4 + step * i, y: 0, width: step, height: tall, fill: 'transparent', onclick: () => act.filter(words) },
        s('title', {}, `${share.param} ${label(v)}: median ${number(v.median)}, ${plural(v.count, 'run')}. Click to keep these.`)));
    });
    plot.replaceChildren(g);
  };
  new ResizeObserver(draw).observe(plot);
  return host;
}

const label = (v) => (Array.isArray(v.value) ? String(v.label) : param(v.value ?? v.label));

function labels(share, step, g, tall, w) {
  const n = share.values.length, bestAt = share.values.findIndex((v) => v.is_best);
  const wish = [bestAt, ...(n > 5 ? [0, n - 1] : share.values.keys())].filter((i) => i >= 0);
  const taken = [];
  for (const i of new Set(wish)) {
    const gold = i === bestAt;
    let words = label(share.values[i]);
    if (words.length > 16) words = `${words.slice(0, 15)}…`;
    const wide = words.length * 6.3 + 4;
    let cx = 4 + step * (i + 0.5);
    cx = Math.max(wide / 2, Math.min(w - wide / 2, cx));
    if (taken.some(([a, b]) => cx - wide / 2 < b && cx + wide / 2 > a)) continue;
    taken.push([cx - wide / 2, cx + wide / 2]);
    g.append(s('text', { x: cx, y: tall - 1, 'text-anchor': 'middle', class: gold ? 'gold' : '' }, words));
  }
}

const quoted = (v) => (typeof v === 'string' ? `'${v.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'` : v === true ? 'True' : v === false ? 'False' : v === null ? 'None' : String(v));
export const nameOf = (group, name) => (/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(name) ? `${group}.${name}` : `${group}[${quoted(name)}]`);

/** The filter that keeps one value, or one bin. */
export function condition(share, v) {
  const name = nameOf('params', share.param);
  if (Array.isArray(v.value)) return `${quoted(v.value[0])} <= ${name} <= ${quoted(v.value[1])}`;
  return `${name} == ${quoted(v.value ?? v.label)}`;
}
export { quoted };
