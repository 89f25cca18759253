// Chooses the view for the address, and keeps links inside the page.
import { connect } from './api.js';
import { read, go } from './state.js';
import * as bar from './topbar.js';

const root = document.getElementById('view');
let view = null, kind = null;

async function route() {
  const parts = location.pathname.split('/').filter(Boolean), name = parts[0] || 'home';
  const key = name === 'run' ? `run/${parts[1]}` : name;
  if (view && kind === key && name !== 'home') { view.sync?.(read(), parts); return; }
  view?.destroy?.();
  view = null; kind = key;
  root.className = `view-${name}`;
  root.replaceChildren();
  const make = {
    runs: async () => new (await import('./explorer.js')).Explorer(root),
    run: async () => new (await import('./run.js')).RunPage(root, parts),
    compare: async () => new (await import('./compare.js')).Compare(root),
    home: async () => new (await import('./home.js')).Home(root),
  }[name];
  const made = await make?.();
  if (kind !== key) { made?.destroy?.(); return; }
  view = made;
}

document.addEventListener('click', (e) => {
  const a = e.target.closest?.('a[href]');
  if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || a.target || a.hasAttribute('download')) return;
  const url = new URL(a.href);
  if (url.origin !== location.origin || url.pathname.startsWith('/api/') || a.getAttribute('href') === '#') return;
  e.preventDefault();
  go(url.pathname + url.search);
});
window.addEventListener('popstate', route);
window.addEventListener('autolog-route', route);
bar.start();
connect();
route();
