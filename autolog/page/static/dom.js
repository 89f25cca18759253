// The few things that make elements. Text always becomes a text node, so that nothing out of a run can be markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, kids) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'style') for (const [name, v] of Object.entries(value)) element.style.setProperty(name, v);
    else element.setAttribute(key, value === true ? '' : value);
  }
  for (const kid of kids.flat(3)) if (kid !== null && kid !== undefined && kid !== false) element.append(kid);
  return element;
}

export const h = (tag, attributes, ...kids) => fill(document.createElement(tag), attributes, kids);
export const s = (tag, attributes, ...kids) => fill(document.createElementNS(SVG, tag), attributes, kids);

export const STAR = 'M8 1.3l2 4.3 4.7.6-3.5 3.2.9 4.700L8 11.800l-4.100 2.300.900-4.700L1.300 6.200 6 5.600z';

const PATHS = {
  chev: 'M4 6l4 4 4-4', search: 'M7 12A5 5 0 107 2a5 5 0 000 10zM11 11l3 3',
  sun: 'M8 11a3 3 0 100-6 3 3 0 000 6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  down: 'M8 3v10M4 9l4 4 4-4', up: 'M8 13V3M4 7l4-4 4 4', cols: 'M2 3h12v10H2zM6.500 3v10M10.500 3v10', group: 'M2 4h12M4.500 8H14M4.500 12H14',
  check: 'M3.500 8.500l3 3 6-7', x: 'M4 4l8 8M12 4l-8 8', pin: 'M8 10v5M5 2h6l-1 4 2 3H4l2-3z', file: 'M4 2h5l3 3v9H4zM9 2v3h3',
  folder: 'M2 4h4l1.500 2H14v7H2z', copy: 'M5 5h8v8H5zM3 11V3h8', filter: 'M2 3h12l-4.500 5.500V13l-3-1.500v-3z', dots: 'M3.500 8h.01M8 8h.01M12.500 8h.01',
};

export const icon = (name) => s('svg', { class: 'ic', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('path', { d: PATHS[name] }));
export const star = () => s('svg', { class: 'star', viewBox: '0 0 16 16', role: 'img', 'aria-label': 'best' }, s('path', { d: STAR }));
export const starAt = (x, y, scale = 1) => s('path', { d: STAR, fill: 'var(--goldfill)', stroke: 'var(--surface)', 'stroke-width': 1.6, 'paint-order': 'stroke', transform: `translate(${x - 8 * scale} ${y - 8 * scale}) scale(${scale})` });
export const brand = () => s('svg', { viewBox: '0 0 20 20', 'aria-hidden': 'true' },
  s('path', { d: 'M2 16C6 16 6.500 7 10.500 7S14 10 18 4', fill: 'none', stroke: 'var(--ink)', 'stroke-width': 2.2, 'stroke-linecap': 'round' }),
  s('circle', { cx: 18, cy: 4, r: 2.6, fill: 'var(--goldfill)', stroke: 'var(--surface)', 'stroke-width': 1.2 }));

/** Put these in the place of what an element holds; what is missing is left out. */
export function put(root, ...kids) { root.replaceChildren(...kids.flat(3).filter((k) => k !== null && k !== undefined && k !== false)); return root; }

/** A small square in a run's colour. */
export const key = (colour, size) => h('span', { class: 'key', style: { '--rc': colour, ...(size ? { width: `${size}px`, height: `${size}px`, 'border-radius': '3px' } : {}) } });

/** A check box in a run's colour; without colour it is empty. */
export function swatch(colour) {
  return h('span', { class: colour ? 'sw on' : 'sw', style: colour ? { '--rc': colour } : {} },
    colour ? s('svg', { viewBox: '0 0 12 12' }, s('path', { d: 'M2.500 6.500l2.300 2.300 4.700-5.300' })) : null);
}

/** A number whose point aligns with its column's: the missing digits are there, but invisible. */
export const num = (text, pad) => h('span', { class: 'num' }, text, pad ? h('span', { class: 'z', 'aria-hidden': 'true' }, pad) : null);

/** A menu that closes by a click outside or Escape. `build` gets the function that closes it. */
export function popover(anchor, build, options = {}) {
  document.querySelector('.pop')?.dispatchEvent(new Event('close'));
  const pop = h('div', { class: 'pop', role: 'dialog', 'data-testid': options.testid });
  const close = () => { pop.remove(); document.removeEventListener('pointerdown', outside, true); document.removeEventListener('keydown', escape, true); };
  const outside = (e) => { if (!pop.contains(e.target) && !anchor.contains?.(e.target)) close(); };
  const escape = (e) => { if (e.key === 'Escape') { e.stopPropagation(); close(); anchor.focus?.(); } };
  pop.addEventListener('close', close);
  pop.append(...[build(close)].flat());
  document.body.append(pop);
  const r = anchor.getBoundingClientRect(), w = pop.offsetWidth;
  pop.style.left = `${Math.max(8, Math.min(r.left, innerWidth - w - 8))}px`;
  pop.style.top = `${Math.min(r.bottom + 4, Math.max(8, innerHeight - pop.offsetHeight - 8))}px`;
  setTimeout(() => document.addEventListener('pointerdown', outside, true));
  document.addEventListener('keydown', escape, true);
  (pop.querySelector('input') || pop.querySelector('button'))?.focus();
  return close;
}

/** A menu of choices. */
export const menu = (anchor, choices) => popover(anchor, (close) => h('div', { class: 'menu', role: 'menu' }, choices.map(([text, act, on]) =>
  h('button', { role: 'menuitem', class: on ? 'on' : '', onclick: () => { close(); act(); } }, text))));

export const debounce = (act, ms) => { let t; return (...a) => { clearTimeout(t); t = setTimeout(() => act(...a), ms); }; };

/** Call `act` once before the next frame, however often it is asked for. */
export function onceAFrame(act) {
  let asked = false;
  return () => { if (asked) return; asked = true; requestAnimationFrame(() => { asked = false; act(); }); };
}

/** How wide a text is in the page's font. */
let ruler = null;
export function textWidth(text, font = '13px') {
  ruler ||= document.createElement('canvas').getContext('2d');
  ruler.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}
