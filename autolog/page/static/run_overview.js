// The overview of a run: its curves, where it stands among the others, why it leads or what the best has that it has not.
import { h, s, icon, starAt } from './dom.js';
import { series } from './api.js';
import { Chart } from './chart.js';
import { along, pairs, range, holes, gapNote } from './curves.js';
import { metric as number, param, percent, ordinal, bytes, decimalsOf, difference, count, plural } from './format.js';
import { miniCurve } from './cells.js';
import { keptColour, remember } from './state.js';
import { bestOf } from './run.js';

const panel = (title, more, ...body) => h('section', { class: 'panel' }, h('div', { class: 'h' }, title, more ? h('span', { class: 'm3 ell' }, more) : null), ...body);
const line = (...parts) => h('div', { class: 'dl' }, ...parts);

export function overview(root, page) {
  const { run, extra } = page, colour = keptColour(page.id), primary = page.primary(), made = [];
  const left = h('div', { class: 'col o-main' }), aside = h('aside', { class: 'col o-side' });
  root.append(h('main', { class: 'page o-grid' }, left, aside));
  const names = page.metricNames(), curved = names.filter((n) => run.metrics[n].count > 1);
  const table = names.length ? metricTable(page, names, primary, colour) : null;
  const charts = h('div', { class: 'two' });
  if (curved.length) left.append(charts);
  if (table) left.append(table.root);
  const pair = h('div', { class: 'two' }, why(page), params(page));
  left.append(pair);
  for (const p of [data(run), model(run), artifacts(page), note(run), remarks(run)]) if (p) aside.append(p);
  if (!aside.children.length) { aside.remove(); left.parentElement.classList.add('alone-col'); }
  if (!names.length && !Object.keys(run.params).length) left.prepend(h('div', { class: 'panel' }, h('div', { class: 'empty m2' }, 'Nothing was logged in this run.')));
  const asked = curved.slice(0, 40), main = primary && curved.includes(primary) ? primary : curved[0];
  let gone = false;
  if (asked.length) {
    const all = [...new Set([main, ...asked])];
    series([page.id], all, { points: 600 }).then((list) => {
      if (gone) return;
      const by = new Map(list.map((one) => [one.metric, one]));
      table.curves(by);
      if (by.has(main)) made.push(chart(charts, page, main, [[run.name, by.get(main), colour]]));
      const second = curved.find((n) => n !== main && run.metrics[n].direction && by.has(n)) || curved.find((n) => n !== main && by.has(n));
      if (second) {
        const stem = second.replace(/^(val|valid|validation|train|test|eval)[_/.]/, ''), kin = curved.filter((n) => by.has(n) && n !== second && n.replace(/^(val|valid|validation|train|test|eval)[_/.]/, '') === stem && n !== main);
        const two = [second, ...kin].slice(0, 3), own = remember.get('colours', {})[page.id] || 1;
        made.push(chart(charts, page, two.length > 1 ? stem : second, two.map((n, i) => [n === stem || two.length === 1 ? n : n.slice(0, n.length - stem.length - 1), by.get(n), i ? `var(--c${((own + 6 * i) % 10) + 1})` : colour]), second));
      }
      if (charts.children.length === 1) charts.classList.add('one');
    }).catch(() => {});
  }
  return { destroy() { gone = true; for (const c of made) c.destroy(); }, themed() { for (const c of made) c.draw(); } };
}

function chart(host, page, title, lines, of = title) {
  const m = page.run.metrics[of], shown = new Chart({ hover: (x) => shown.hover(x), leave: () => shown.hover(undefined), zoom() {}, reset() {} }, { height: 168, names: lines.length > 1 });
  const list = lines.map(([name, one, colour], i) => { const c = along(one, 'step'); return { id: name, name, colour, best: i === 0, status: page.run.status, x: c.x, y: c.mid, curve: c, pairs: pairs(c, null) }; });
  const best = bestOf(m), all = list.flatMap((l) => [l.x[0], l.x[l.x.length - 1]]);
  let top = null;
  if (best !== null) { const l = list[0]; for (let i = 0; i < l.x.length; i++) if (l.curve.lo[i] === best || l.curve.hi[i] === best) { top = [l.x[i], best]; break; } }
  const gaps = gapNote(lines.map((l) => l[1]));
  host.append(h('div', { class: 'panel chart' }, h('div', { class: 'h' }, h('span', { class: 'b ell' }, title), h('span', { class: 'm3 t12 ell' }, [best !== null && top ? `best ${number(best)} at step ${top[0]}` : '', typeof m.last === 'number' ? `last ${number(m.last)}` : `last ${m.last}`, gaps].filter(Boolean).join(', '))), h('div', { class: 'pad' }, shown.root)));
  shown.set({ lines: list, x: [Math.min(...all), Math.max(...all, Math.min(...all) + 1)], y: range(list.map((l) => l.curve), m.direction, !m.direction), star: top && page.extra.verdict?.best?.id === page.id && of === page.extra.verdict.metric ? top : null, holes: list.flatMap((l) => (l.curve.thinned ? [] : holes(l.x, l.curve.mid))).slice(0, 20), title });
  return shown;
}

function metricTable(page, names, primary, colour) {
  const { run } = page, order = primary ? [primary, ...names.filter((n) => n !== primary)] : names, places = run.places || {}, anyPlace = Object.values(places).find((p) => p.of > 1);
  const body = h('tbody'), cells = new Map();
  let shown = 0;
  const more = h('button', { class: 'btn sm', onclick: () => add(200) });
  const find = h('input', { placeholder: 'Find a metric', 'aria-label': 'Find a metric', oninput: () => { shown = 0; body.replaceChildren(); add(20); } });
  function add(n) {
    const text = find.value.trim().toLowerCase(), list = text ? order.filter((x) => x.toLowerCase().includes(text)) : order;
    for (const name of list.slice(shown, shown + n)) body.append(row(name));
    shown = Math.min(list.length, shown + n);
    foot.hidden = shown >= list.length;
    more.textContent = `Show more of ${plural(list.length, 'metric')}`;
  }
  function row(name) {
    const m = run.metrics[name], best = bestOf(m), place = places[name], first = place?.rank === 1 && place.of > 1, curve = h('td', { class: 'o-curve' }), step = h('td', { class: 'r m3 hide-s' });
    cells.set(name, { curve, step });
    if (page.curveOf?.has(name)) fill(name);
    return h('tr', {}, h('td', { class: 'md ell', title: name }, name), curve, h('td', { class: `r ${first ? 'win' : 'md'}` }, best === null ? '–' : number(best)), step, h('td', { class: 'r hide-s' }, number(m.last ?? m.value)),
      h('td', { class: 'm2 hide-s' }, typeof m.min === 'number' && m.count > 1 ? `${number(m.min)} to ${number(m.max)}` : ''), h('td', { class: 'hide-s' }, place && place.of > 1 ? strip(place, best ?? m.value, m.direction, colour) : h('span', { class: 'm3' }, m.direction ? '' : 'no direction known')), h('td', { class: `r ${first ? 'win' : 'm2'}` }, place && place.of > 1 ? ordinal(place.rank) : '–'));
  }
  function fill(name) {
    const one = page.curveOf.get(name), cell = cells.get(name);
    if (!one || !cell) return;
    const every = Math.max(1, Math.floor(one.lo.length / 60)), points = [], best = bestOf(run.metrics[name]);
    let at = null;
    for (let i = 0; i < one.lo.length; i++) { if (i % every === 0 || i === one.lo.length - 1) points.push([one.step[i], (one.lo[i] + one.hi[i]) / 2]); if (at === null && (one.lo[i] === best || one.hi[i] === best)) at = one.step[i]; }
    cell.curve.replaceChildren(miniCurve(points, 110, { colour, best: at === null ? null : [at, best], gold: places[name]?.rank === 1 && places[name].of > 1 }));
    if (at !== null) cell.step.textContent = `@${at}`;
  }
  const foot = h('div', { class: 'dl', hidden: true }, more);
  const root = h('section', { class: 'panel', 'data-testid': 'metrics' }, h('div', { class: 'h' }, 'Metrics', h('span', { class: 'm3' }, anyPlace ? `and where this run stands among ${count(anyPlace.of)}` : count(names.length)), h('span', { class: 'sp' }), names.length > 12 ? h('label', { class: 'search find' }, icon('search'), find) : null),
    h('table', { class: `o-metrics${anyPlace ? '' : ' alone'}` }, h('colgroup', {}, [null, 126, 88, 56, 88, 172, 236, 64].map((w, i) => h('col', { class: [3, 4, 5, 6].includes(i) ? 'hide-col' : '', style: w ? { width: `${w}px` } : {} }))), h('thead', {}, h('tr', {}, [['Metric'], ['Curve'], ['Best', 'r'], ['Step', 'r hide-s'], ['Last', 'r hide-s'], ['Min to max', 'hide-s'], ['Among the runs, better to the right', 'hide-s'], ['Rank', 'r']].map(([t, c]) => h('th', { class: c || '' }, t)))), body), foot);
  add(20);
  return { root, curves(by) { page.curveOf = by; for (const n of by.keys()) fill(n); } };
}

/** All runs as ticks, this one as a dot; better is always to the right. */
function strip(place, mine, direction, colour) {
  const v = place.values.filter(Number.isFinite).sort((a, b) => a - b), up = direction !== 'lower', lo = v[Math.floor((v.length - 1) * (up ? 0.05 : 0))], hi = v[Math.floor((v.length - 1) * (up ? 1 : 0.95))];
  const X = (q) => { const f = (Math.max(lo, Math.min(hi, q)) - lo) / ((hi - lo) || 1); return 4 + (up ? f : 1 - f) * 212; }, g = s('svg', { width: 224, height: 20, 'aria-hidden': 'true' });
  for (const q of v) if (q >= lo && q <= hi) g.append(s('line', { x1: X(q), x2: X(q), y1: 6, y2: 15, stroke: 'var(--ink3)', opacity: 0.3 }));
  if (typeof mine === 'number') g.append(place.rank === 1 ? starAt(X(mine), 10.5) : s('circle', { cx: X(mine), cy: 10.5, r: 4.5, fill: colour, stroke: 'var(--surface)', 'stroke-width': 1.5 }));
  return g;
}

function why(page) {
  const { run, extra } = page, other = extra.other, v = extra.verdict;
  if (!other || !v?.best) return null;
  const leads = v.best.id === page.id, rows = [], same = [], shares = new Map(v.shares.map((x) => [x.param, x.share]));
  for (const n of page.metricNames()) {
    const m = run.metrics[n], a = bestOf(other.metrics[n] || {}), b = bestOf(m);
    if (a === null || b === null || rows.length > 3) continue;
    const d = decimalsOf(Math.max(Math.abs(a), Math.abs(b))), better = m.direction === 'higher' ? b > a : b < a;
    rows.push(line(h('span', { class: 'w-k md ell' }, n), h('span', { class: 'w-a m3' }, number(a, d)), h('span', { class: 'm3' }, '→'), h('span', { class: 'w-b md' }, number(b, d)), h('span', { class: 'sp' }), a === b ? '' : h('span', { class: `${better ? 'up' : 'down'} md` }, `${difference(b, a, d)} ${better ? 'better' : 'worse'}`)));
  }
  const keys = [...new Set([...Object.keys(run.params), ...Object.keys(other.params)])].sort((a, b) => (shares.get(b) || 0) - (shares.get(a) || 0));
  const differ = [];
  for (const k of keys) if (JSON.stringify(run.params[k]) === JSON.stringify(other.params[k])) same.push(k); else differ.push(k);
  for (const k of differ.slice(0, 12)) rows.push(line(h('span', { class: 'w-k ell', title: k }, k), h('span', { class: 'w-a m3 ell' }, param(other.params[k])), h('span', { class: 'm3' }, '→'), h('span', { class: 'w-b md ell' }, param(run.params[k])), h('span', { class: 'sp' }), shares.has(k) ? h('span', { class: 'm2 t12 nw' }, `${percent(shares.get(k))} of the spread`) : ''));
  const rest = [differ.length > 12 ? `${differ.length - 12} more differ` : '', same.length ? `Same: ${same.slice(0, 3).join(', ')}${same.length > 3 ? ` and ${same.length - 3} more` : ''}` : ''].filter(Boolean).join('. ');
  if (rest) rows.push(h('div', { class: 'dl m3 t12' }, h('span', { class: 'ell' }, rest)));
  return panel(leads ? 'Why it leads' : 'What the best has', `${leads ? 'against' : 'this run against'} ${other.name}${leads ? ', 2nd' : ''}`, ...rows);
}

function params(page) {
  const { run } = page, names = Object.keys(run.params), defaults = run.defaults || {}, own = names.filter((n) => !defaults[n]), rest = names.filter((n) => defaults[n]);
  if (!names.length) return null;
  const row = (n) => line(h('span', { class: 'p-k ell', title: n }, n), h('span', { class: 'md ell sp', title: param(run.params[n]) }, param(run.params[n])));
  const body = own.slice(0, 40).map(row), folded = h('div', { hidden: true }, own.slice(40).map(row), rest.map(row));
  const n = own.length - Math.min(40, own.length) + rest.length;
  return panel('Params', rest.length ? `${own.length} set, ${rest.length} at their defaults` : count(own.length), ...body, folded,
    n ? h('button', { class: 'dl m3 t12 fold', onclick: (e) => { folded.hidden = !folded.hidden; e.currentTarget.classList.toggle('open'); } }, icon('chev'), h('span', { class: 'ell' }, rest.length ? `${rest.length} at their defaults: ${rest.slice(0, 4).join(', ')}${rest.length > 4 ? ', …' : ''}` : `${n} more`)) : '');
}

function data(run) {
  const rows = (run.datasets || []).slice(0, 8).map((d) => [d.role || d.context || d.argument || 'data', d]);
  if (!rows.length) return null;
  const size = (d) => (Array.isArray(d.shape) ? d.shape.map((x) => count(x)).join(' × ') : [d.rows && plural(d.rows, 'row'), d.columns && plural(Array.isArray(d.columns) ? d.columns.length : d.columns, 'column')].filter(Boolean).join(', '));
  return panel('Data', '', h('dl', { class: 'kv t12' }, rows.flatMap(([k, d]) => [h('dt', {}, k), h('dd', {}, d.name ? h('b', { class: 'md' }, `${d.name} `) : null, size(d), d.digest || d.hash ? h('span', { class: 'mono m3' }, ` ${String(d.digest || d.hash).slice(0, 8)}`) : null)])));
}

function model(run) {
  const m = run.models?.[0];
  if (!m) return null;
  const shape = (x) => (typeof x === 'string' ? x : x ? JSON.stringify(x).slice(0, 120) : '');
  return panel('Model', [m.bytes && bytes(m.bytes), m.flavor].filter(Boolean).join(', '), h('div', { class: 'pad t12' }, h('div', { class: 'mono code' }, `autolog.load_model("${run.name}")`), m.signature ? h('div', { class: 'm2 sig' }, `${shape(m.signature.inputs)} → ${shape(m.signature.outputs)}`) : null));
}

function artifacts(page) {
  const list = page.extra.files;
  if (!list?.length) return null;
  const folders = new Map(), loose = [];
  for (const f of list) { const i = f.path.indexOf('/'); if (i < 0) loose.push(f); else { const k = f.path.slice(0, i + 1), e = folders.get(k) || [0, 0]; e[0]++; e[1] += f.bytes; folders.set(k, e); } }
  const total = list.reduce((n, f) => n + f.bytes, 0), to = `/run/${page.id}/artifacts`;
  const rows = [...[...folders].map(([k, [n, b]]) => line(icon('folder'), h('a', { class: 'ell', href: to }, k), h('span', { class: 'm3 t12 nw' }, plural(n, 'file')), h('span', { class: 'sp' }), h('span', { class: 'm2 t12 nw' }, bytes(b)))), ...loose.map((f) => line(icon('file'), h('a', { class: 'ell', href: to }, f.path), h('span', { class: 'sp' }), h('span', { class: 'm2 t12 nw' }, bytes(f.bytes))))];
  return h('section', { class: 'panel' }, h('div', { class: 'h' }, 'Artifacts', h('span', { class: 'sp' }), h('span', { class: 'm3 t12' }, `${plural(list.length, 'file')}, ${bytes(total)}`)), rows.slice(0, 8), rows.length > 8 ? h('div', { class: 'dl m3 t12' }, h('a', { href: to }, `${rows.length - 8} more`)) : null);
}

const note = (run) => (run.description ? panel('Note', '', h('p', { class: 'm2 pad prose' }, run.description)) : null);

function remarks(run) {
  const list = (run.notes || []).map((n) => (typeof n === 'string' ? n : n.text || n.message || JSON.stringify(n)));
  return list.length ? panel('Remarks', 'by autolog', h('ul', { class: 'm2 t12 pad' }, list.slice(0, 20).map((n) => h('li', {}, n)))) : null;
}
