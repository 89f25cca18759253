// The other tabs of a run: artifacts, model, code, environment, children. All of it is text; nothing of it is run.
import { h, icon } from './dom.js';
import { get, address, own, ApiError } from './api.js';
import { bytes, param, plural, metric as number, duration, ago } from './format.js';
import { status } from './status.js';

export function files(root, page) {
  const list = page.extra.files, view = h('div', { class: 'f-view' }, h('div', { class: 'empty m2' }, 'Choose a file.')), tree = h('div', { class: 'f-tree', role: 'tree', 'aria-label': 'Artifacts' });
  root.classList.add('flush');
  root.append(h('div', { class: 'f-split' }, tree, view));
  if (!list) return null;
  let folder = '';
  for (const f of [...list].sort((a, b) => a.path.localeCompare(b.path))) {
    const cut = f.path.lastIndexOf('/') + 1, dir = f.path.slice(0, cut);
    if (dir !== folder) { folder = dir; tree.append(h('div', { class: 'dl m2' }, icon('folder'), h('span', { class: 'ell' }, dir))); }
    const row = h('button', { class: `dl f-row${dir ? ' in' : ''}`, role: 'treeitem', 'data-testid': 'file', onclick: () => { for (const x of tree.querySelectorAll('.on')) x.classList.remove('on'); row.classList.add('on'); open(f); } }, icon('file'), h('span', { class: 'ell' }, f.path.slice(cut)), h('span', { class: 'sp' }), h('span', { class: 'm3 t12 nw' }, bytes(f.bytes)));
    tree.append(row);
  }
  async function open(f) {
    const to = address(`run/${page.id}/file`, { path: f.path }), head = h('div', { class: 'tools' }, h('span', { class: 'b ell' }, f.path), h('span', { class: 'm3 t12' }, bytes(f.bytes)), h('span', { class: 'sp' }), h('a', { class: 'btn sm', href: to, download: f.path.split('/').pop() }, 'Download'));
    view.replaceChildren(head);
    if (f.kind === 'image') { view.append(h('div', { class: 'pad' }, h('img', { class: 'f-img', src: to, alt: f.path }))); return; }
    if (f.kind === 'other') { view.append(h('div', { class: 'empty m2' }, 'There is no preview of this kind of file.')); return; }
    try {
      const response = await fetch(address(`run/${page.id}/file`, { path: f.path, preview: 1 }), { cache: 'no-store', headers: own() });
      if (!response.ok) throw new ApiError(response.status, (await response.json().catch(() => ({}))).error || 'The file could not be read.');
      const text = await response.text();
      let json = null;
      if ((response.headers.get('Content-Type') || '').includes('json')) { try { json = JSON.parse(text); } catch { /* text then */ } }
      view.append(json && Array.isArray(json.rows) ? grid(json) : h('pre', { class: 'mono f-text' }, typeof json?.text === 'string' ? json.text : f.kind === 'json' && json ? JSON.stringify(json, null, 2) : text), json?.truncated || json?.cut ? h('div', { class: 'pad m3 t12' }, 'Only the beginning is shown.') : '');
    } catch (e) { view.append(h('div', { class: 'empty m2' }, e.message)); }
  }
  const first = tree.querySelector('.f-row');
  if (first && innerWidth > 700) first.click();
  return null;
}

const grid = (t) => h('div', { class: 'f-grid' }, h('table', {}, h('thead', {}, h('tr', {}, (t.columns || []).map((c) => h('th', {}, String(c))))), h('tbody', {}, t.rows.map((r) => h('tr', {}, (Array.isArray(r) ? r : Object.values(r)).map((v) => h('td', { class: typeof v === 'number' ? 'r' : '' }, param(v))))))));

const panel = (title, more, ...body) => h('section', { class: 'panel' }, h('div', { class: 'h' }, title, more ? h('span', { class: 'm3 ell' }, more) : null), ...body);
const column = (root, ...panels) => root.append(h('main', { class: 'page one-col' }, panels.filter(Boolean)));
const pairsOf = (o) => h('dl', { class: 'kv t12' }, Object.entries(o).flatMap(([k, v]) => [h('dt', {}, k), h('dd', { class: 'brk' }, typeof v === 'object' && v !== null ? JSON.stringify(v) : String(v))]));

export function models(root, page) {
  column(root, ...page.run.models.map((m) => {
    const { name, flavor, bytes: size, signature, ...rest } = m;
    return panel(name || 'Model', [size && bytes(size), flavor].filter(Boolean).join(', '), h('div', { class: 'pad' }, h('div', { class: 'mono code' }, `import autolog\nmodel = autolog.load_model("${page.run.name}")`)), signature ? pairsOf(typeof signature === 'object' ? signature : { signature }) : null, Object.keys(rest).length ? pairsOf(rest) : null);
  }));
}

export function diff(text) {
  return h('div', { class: 'diff' }, text.split('\n').slice(0, 5000).map((l) => h('div', { class: /^\+(?!\+\+)/.test(l) ? 'a' : /^-(?!--)/.test(l) ? 'd' : l.startsWith('@@') ? 'm3' : '' }, l || ' ')));
}

export function code(root, page) {
  const c = page.extra.code;
  if (!c) return;
  column(root, c.commit ? panel('Commit', '', h('div', { class: 'pad mono' }, c.commit, c.dirty ? h('span', { class: 'm3' }, ' with changes that are not committed') : null)) : null, c.diff ? panel('Changes', '', h('div', { class: 'scrollx' }, diff(c.diff))) : null,
    ...Object.entries(c.cells || {}).map(([n, t]) => panel(`Cell ${n}`, '', h('pre', { class: 'mono f-text' }, t))), ...Object.entries(c.files || {}).map(([p, t]) => panel(p, plural(String(t).split('\n').length, 'line'), h('pre', { class: 'mono f-text' }, String(t)))));
}

export function environment(root, page) {
  const env = page.run.environment || {}, packages = env.distributions || env.packages, flat = {}, nested = [];
  for (const [k, v] of Object.entries(env)) { if (v === null || v === '' || k === 'distributions' || k === 'packages' || (Array.isArray(v) && !v.length)) continue; if (typeof v === 'object' && !Array.isArray(v)) nested.push([k, v]); else flat[k] = Array.isArray(v) ? v.map((x) => (typeof x === 'object' ? JSON.stringify(x) : x)).join(', ') : k === 'memory' ? bytes(v) : v; }
  column(root, panel('Machine and Python', '', pairsOf(flat)), ...nested.map(([k, v]) => panel(k, '', pairsOf(v))), packages ? panel('Packages', plural(Object.keys(packages).length, 'package'), h('div', { class: 'pkgs' }, Object.entries(packages).map(([k, v]) => h('span', {}, k, ' ', h('span', { class: 'm3' }, String(v)))))) : null,
    page.run.overhead !== null && page.run.overhead !== undefined ? panel('Cost of recording', '', h('div', { class: 'pad m2' }, `autolog took ${duration(typeof page.run.overhead === 'object' ? page.run.overhead.seconds : page.run.overhead)} of this run.`)) : null);
}

export function children(root, page) {
  const body = h('div', { class: 'pad m3' }, 'Loading');
  column(root, panel('Children', '', body));
  get('runs', { q: `parent == '${page.id}'`, children: 1, limit: 500 }).then((a) => {
    const n = a.runs.id.length, metrics = Object.entries(a.metrics).filter(([, m]) => m.direction).slice(0, 4), params = Object.entries(a.params).filter(([, v]) => new Set(v.map(String)).size > 1).slice(0, 6);
    body.className = '';
    body.replaceChildren(h('table', {}, h('thead', {}, h('tr', {}, ['Name', 'Status', ...metrics.map((m) => m[0]), ...params.map((p) => p[0]), 'Started'].map((t, i) => h('th', { class: i > 1 && i < 2 + metrics.length ? 'r' : '' }, t)))), h('tbody', {}, Array.from({ length: n }, (_, i) => h('tr', {}, h('td', { class: 'md' }, h('a', { href: `/run/${a.runs.id[i]}` }, a.runs.name[i])), h('td', {}, status({ status: a.runs.status[i], step: a.runs.step[i], duration: a.runs.duration[i] })),
      metrics.map(([, m]) => h('td', { class: 'r' }, number(m.best?.[i] ?? m.value[i]))), params.map(([, v]) => h('td', {}, param(v[i]))), h('td', { class: 'm2' }, ago(a.runs.started[i])))))));
  }).catch((e) => { body.textContent = e.message; });
}
