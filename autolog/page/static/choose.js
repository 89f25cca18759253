// The menu that chooses columns: search, show, pin; and the menu of one column's head.
import { h, icon, menu, popover } from './dom.js';
import { sortKey } from './columns.js';
import { write } from './state.js';

export function columnMenu(anchor, explorer) {
  const table = explorer.table;
  popover(anchor, () => {
    const list = h('div', { class: 'cm-list' });
    const find = h('input', { class: 'cm-find', placeholder: 'Find a column', 'aria-label': 'Find a column', oninput: () => fill() });
    const fill = () => {
      const shown = new Set(table.visible()), text = find.value.trim().toLowerCase(), rows = [];
      let group = '', n = 0;
      for (const c of table.columns) {
        const name = c.head || (c.id === 'curve' ? 'Curve' : '');
        if (!name || c.id === 'name' || (text && !name.toLowerCase().includes(text)) || n++ > 300) continue;
        if (c.group !== group) { group = c.group; rows.push(h('div', { class: 't11 m3 cm-group' }, group)); }
        const box = h('input', { type: 'checkbox', onchange: () => toggle(c.id, box.checked) });
        box.checked = shown.has(c.id);
        const pinned = table.api.getColumn(c.id)?.getPinned() === 'left';
        rows.push(h('label', { class: 'cm-row' }, box, h('span', { class: 'ell sp' }, name), h('button', { class: `icb sm${pinned ? ' on' : ''}`, 'aria-label': `Pin ${name}`, title: 'Pin', onclick: (e) => { e.preventDefault(); pin(table, c.id, !pinned); fill(); } }, icon('pin'))));
      }
      list.replaceChildren(...rows);
    };
    const toggle = (id, on) => {
      const now = table.visible();
      if (!on) table.setColumns(now.filter((x) => x !== id));
      else { const kind = id.slice(0, 2), at = now.map((x) => x.slice(0, 2)).lastIndexOf(kind); now.splice(at < 0 ? now.length : at + 1, 0, id); table.setColumns(now); }
    };
    fill();
    return [find, list, h('div', { class: 'cm-foot' }, h('button', { class: 'btn sm', onclick: () => { table.setColumns(null); fill(); } }, 'Default columns'))];
  }, { testid: 'column-menu' });
}

function pin(table, id, on) {
  const now = table.visible();
  if (!now.includes(id)) now.push(id);
  table.setColumns(now, { [id]: on ? 'left' : null });
}

export function headMenu(anchor, id, explorer) {
  const table = explorer.table, key = sortKey(id, explorer.runs), c = table.columns.find((x) => x.id === id);
  if (!c?.head) return;
  const pinned = table.api.getColumn(id)?.getPinned() === 'left';
  menu(anchor, [['Smallest first', () => write({ sort: key })], ['Largest first', () => write({ sort: `-${key}` })], [pinned ? 'Unpin' : 'Pin', () => pin(table, id, !pinned)],
    ...(id === 'name' ? [] : [['Hide', () => table.setColumns(table.visible().filter((x) => x !== id))]]),
    ...(id.startsWith('p:') ? [['Group by it', () => write({ group: id })]] : []), ...(id.startsWith('m:') ? [['This metric counts', () => write({ metric: c.head, sort: null })]] : [])]);
}
