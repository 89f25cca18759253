// The filter line: one input whose words are coloured beneath it, with completion, and the error where it is.
import { h, icon, debounce } from './dom.js';
import { count } from './format.js';

const WORDS = /('(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?)|(\b\d[\d.eE+-]*\b)|(<=|>=|==|!=|<|>|\band\b|\bor\b|\bnot\b|\bin\b)|([A-Za-z_][\w.]*)|(\s+|.)/g;

/** `act`: apply(text) → promise, names() → list of words to complete. */
export class Filter {
  constructor(act) {
    this.act = act;
    this.shown = h('span', { class: 'f-shown', 'aria-hidden': 'true' });
    this.input = h('input', { class: 'f-in', 'data-testid': 'filter', 'aria-label': 'Filter', spellcheck: 'false', autocomplete: 'off', placeholder: "status == 'finished' and params.lr < 0.01",
      oninput: () => { this.draw(); this.complete(); }, onscroll: () => { this.shown.scrollLeft = this.input.scrollLeft; },
      onkeydown: (e) => this.key(e), onblur: debounce(() => this.list.replaceChildren(), 150) });
    this.n = h('span', { class: 'f-n', 'data-testid': 'count' });
    this.list = h('div', { class: 'menu f-list', role: 'listbox' });
    this.box = h('div', { class: 'filter' }, icon('filter'), h('div', { class: 'f-both' }, this.shown, this.input), this.n);
    this.said = h('div', { class: 'f-said', role: 'alert', 'data-testid': 'filter-error' });
    this.root = h('div', { class: 'f-root' }, this.box, this.list);
    this.at = -1;
  }

  set(text) { if (document.activeElement !== this.input || this.input.value === '') this.input.value = text; this.error(null); }

  counted(n, what = 'run') { this.n.textContent = `${count(n)} ${what}${n === 1 ? '' : 's'}`; this.last = n; }

  draw() {
    const parts = [], text = this.input.value, wrong = this.wrong;
    for (const m of text.matchAll(WORDS)) {
      const bad = wrong && m.index <= wrong.at && wrong.at < m.index + m[0].length && m[0].trim();
      const cut = bad && m[4] ? Math.min(wrong.at - m.index, m[0].length - 1) : 0;
      if (cut > 0) parts.push(h('span', { class: 'k' }, m[0].slice(0, cut)), h('span', { class: 'bad' }, m[0].slice(cut)));
      else parts.push(h('span', { class: bad ? 'bad' : m[1] || m[2] ? 's' : m[3] ? 'o' : m[4] ? 'k' : 'o' }, m[0]));
    }
    this.shown.replaceChildren(...parts);
    this.shown.scrollLeft = this.input.scrollLeft;
  }

  /** Show where a filter is wrong; the table stays as it is. */
  error(e) {
    this.wrong = e ? { at: typeof e.at === 'number' ? e.at : -1 } : null;
    this.box.classList.toggle('is-bad', Boolean(e));
    this.input.setAttribute('aria-invalid', e ? 'true' : 'false');
    if (!e) this.said.replaceChildren();
    else {
      const near = /[Dd]id you mean ['"]?([\w.]+)['"]?\?/.exec(e.message), words = [];
      if (near) {
        const i = near.index + near[0].indexOf(near[1]);
        words.push(e.message.slice(0, i), h('button', { class: 'lnk', onclick: () => this.mend(near[1]) }, near[1]), e.message.slice(i + near[1].length));
      } else words.push(e.message);
      this.said.replaceChildren(h('div', { class: 'err' }, words), this.last === undefined ? '' : h('div', { class: 'm3' }, `Showing the ${count(this.last)} runs of the last filter that worked.`));
    }
    this.draw();
  }

  mend(name) {
    const text = this.input.value, at = this.wrong?.at ?? -1;
    const m = [...text.matchAll(/[\w.]+/g)].find((x) => x.index <= at && at < x.index + x[0].length);
    if (!m) return;
    const dot = name.includes('.') ? -1 : m[0].lastIndexOf('.', at - m.index);
    this.input.value = text.slice(0, m.index + dot + 1) + name + text.slice(m.index + m[0].length);
    this.act.apply(this.input.value);
  }

  add(words) {
    const old = this.input.value.trim();
    this.input.value = old ? `${/\bor\b/.test(old) ? `(${old})` : old} and ${words}` : words;
    this.draw();
    this.act.apply(this.input.value);
  }

  key(e) {
    const rows = [...this.list.children];
    if (rows.length && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
      e.preventDefault();
      this.at = (this.at + (e.key === 'ArrowDown' ? 1 : -1) + rows.length) % rows.length;
      rows.forEach((r, i) => r.classList.toggle('on', i === this.at));
    } else if (rows.length && (e.key === 'Tab' || (e.key === 'Enter' && this.at >= 0))) {
      e.preventDefault();
      rows[Math.max(0, this.at)].click();
    } else if (e.key === 'Enter') { this.list.replaceChildren(); this.act.apply(this.input.value); } else if (e.key === 'Escape') {
      if (rows.length) this.list.replaceChildren(); else this.input.blur();
    }
  }

  complete() {
    const caret = this.input.selectionStart, before = this.input.value.slice(0, caret), m = /[A-Za-z_][\w.]*$/.exec(before);
    this.at = -1;
    if (!m || m[0].length < 2) { this.list.replaceChildren(); return; }
    const typed = m[0].toLowerCase();
    const fits = this.act.names().filter((n) => n.toLowerCase().includes(typed) && n !== m[0]).sort((a, b) => a.toLowerCase().indexOf(typed) - b.toLowerCase().indexOf(typed)).slice(0, 8);
    this.list.replaceChildren(...fits.map((n) => h('button', { role: 'option', onmousedown: (e) => e.preventDefault(), onclick: () => {
      this.input.value = before.slice(0, m.index) + n + this.input.value.slice(caret);
      const end = m.index + n.length;
      this.input.focus();
      this.input.setSelectionRange(end, end);
      this.list.replaceChildren();
      this.draw();
    } }, n)));
  }
}
