// A run's status: shape and word first, colour last.
import { h, s } from './dom.js';
import { duration } from './format.js';

export function shape(status, progress = 0.5) {
  const g = s('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
  if (status === 'running') {
    const c = 2 * Math.PI * 4.5;
    g.append(s('circle', { cx: 6, cy: 6, r: 4.5, fill: 'none', stroke: 'var(--livebg)', 'stroke-width': 2.4 }),
      s('circle', { cx: 6, cy: 6, r: 4.5, fill: 'none', stroke: 'var(--live)', 'stroke-width': 2.4, 'stroke-dasharray': `${c * progress} ${c}`, transform: 'rotate(-90 6 6)' }));
  } else if (status === 'lost') g.append(s('circle', { cx: 6, cy: 6, r: 4.5, fill: 'none', stroke: 'var(--warn)', 'stroke-width': 1.6, 'stroke-dasharray': '2.4 2.3' }));
  else if (status === 'failed') g.append(s('path', { d: 'M2.500 2.500l7 7M9.500 2.500l-7 7', stroke: 'var(--bad)', 'stroke-width': 1.8, 'stroke-linecap': 'round' }));
  else if (status === 'interrupted') g.append(s('rect', { x: 2.5, y: 2.5, width: 7, height: 7, rx: 1, fill: 'var(--ink3)' }));
  else g.append(s('path', { d: 'M2 6.300l2.600 2.600L10 3.300', fill: 'none', stroke: 'var(--ink3)', 'stroke-width': 1.4, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }));
  return g;
}

/** The words beside the shape. `run` has status, step, duration and, where it is known, steps (how many there will be). */
export function words(run) {
  const at = run.step === null || run.step === undefined ? '' : ` · ${run.step + 1}`;
  if (run.status === 'running') return run.steps ? `${run.step + 1} / ${run.steps}` : run.step === null || run.step === undefined ? 'training' : `step ${run.step}`;
  if (run.status === 'lost' || run.status === 'failed' || run.status === 'interrupted') return run.status + at;
  return duration(run.duration);
}

const COLOURS = { running: 'var(--live)', lost: 'var(--warn)', failed: 'var(--bad)' };

export function status(run) {
  const loud = run.status in COLOURS;
  return h('span', { class: 'st', title: run.status, style: loud ? { color: COLOURS[run.status] } : {} },
    shape(run.status, run.steps ? (run.step + 1) / run.steps : 0.35), h('span', { class: loud ? 'md' : 'm2' }, words(run)));
}
