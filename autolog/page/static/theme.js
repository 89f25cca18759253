// Sets the theme before the first paint. A classic script in the head, because modules run too late for that.
(function () {
  'use strict';
  var dark = window.matchMedia('(prefers-color-scheme: dark)');
  function apply() {
    var asked = new URLSearchParams(location.search).get('theme'), kept = null;
    try { kept = localStorage.getItem('autolog.theme'); } catch (e) { /* storage is switched off */ }
    var theme = asked || kept || 'system';
    document.documentElement.dataset.choice = theme;
    document.documentElement.dataset.theme = theme === 'system' ? (dark.matches ? 'dark' : 'light') : theme;
    window.dispatchEvent(new Event('autolog-theme'));
  }
  dark.addEventListener('change', apply);
  window.addEventListener('autolog-theme-set', apply);
  apply();
})();
