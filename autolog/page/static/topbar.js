// The bar at the top: where one is, what is training, the theme.
import { h, icon, brand, menu, popover, put } from './dom.js';
import { get, on, place } from './api.js';
import { count, plural } from './format.js';
import { go } from './state.js';

let shown = {}, experiments = [];

export async function start() {
  draw();
  const load = async () => { try { experiments = await get('experiments'); draw(); } catch { /* away: the line below says so */ } };
  on('changed', () => { clearTimeout(start.timer); start.timer = setTimeout(load, 1000); });
  on('back', load);
  window.addEventListener('autolog-theme', draw);
  setTimeout(load, 300);
}

export function show(what) { shown = what; draw(); }
export const known = () => experiments;

const link = (text, href, on, n) => h('a', { href, class: on ? 'on' : '', 'aria-current': on ? 'page' : null }, text, n ? h('span', { class: 'n' }, count(n)) : null);

function draw() {
  const root = document.getElementById('top'), running = experiments.reduce((n, e) => n + (shown.experiment && e.name !== shown.experiment ? 0 : e.running), 0);
  const key = JSON.stringify([shown, running, experiments.length, document.documentElement.dataset.choice]);
  if (key === draw.key) return;
  draw.key = key;
  const home = shown.view === 'home', q = shown.experiment ? `?exp=${encodeURIComponent(shown.experiment)}` : '';
  const crumb = h('button', { class: 'crumb', 'data-testid': 'experiment', onclick: () => menu(crumb, [['All runs', () => go('/runs'), !shown.experiment], ...experiments.slice(0, 30).map((e) => [e.name, () => go(`/runs?exp=${encodeURIComponent(e.name)}`), e.name === shown.experiment])]) },
    h('span', { class: 'md ink ell' }, home ? place() || 'experiments' : shown.experiment || 'all runs'), icon('chev'));
  put(root, h('a', { class: 'brand', href: '/' }, brand(), 'autolog'), h('span', { class: 'slash' }, '/'), crumb,
    h('nav', { class: 'nav', 'aria-label': 'Views' }, link('Experiments', '/', home, experiments.length), link('Runs', `/runs${q}`, shown.view === 'runs', shown.total), shown.view === 'compare' ? link('Compare', location.href, true) : null),
    h('span', { class: 'sp' }), running ? h('span', { class: 'livep', 'data-testid': 'training', title: `${plural(running, 'run')} training; this page updates by itself` }, h('span', { class: 'dot pulse' }), `${running} training`) : null,
    h('button', { class: 'icb', 'aria-label': 'Theme', 'data-testid': 'theme', onclick: (e) => menu(e.currentTarget, ['light', 'dark', 'system'].map((t) => [t[0].toUpperCase() + t.slice(1), () => {
      try { localStorage.setItem('autolog.theme', t); } catch { /* not kept */ }
      const u = new URL(location.href); u.searchParams.delete('theme'); history.replaceState(null, '', u);
      window.dispatchEvent(new Event('autolog-theme-set'));
    }, document.documentElement.dataset.choice === t])) }, icon('sun')));
}

export function keys() {
  const rows = [['/', 'filter'], ['↑ ↓', 'move in the table'], ['space', 'select'], ['enter', 'open'], ['c', 'compare'], ['g', 'group'], ['1 … 4', 'table, charts, parallel, scatter'], ['?', 'these keys']];
  popover(document.getElementById('top'), () => h('div', { class: 'keyhelp' }, rows.map(([k, t]) => h('div', { class: 'row' }, h('span', { class: 'kbd' }, k), t))));
}
