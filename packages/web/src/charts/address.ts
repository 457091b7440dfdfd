import type { Axis, ChartState, Smoothing } from './settings.ts';
import { USUAL_STATE } from './settings.ts';

/*
 * All that is set about charts as one short text for an address or a saved view: fields joined by `~`, each a letter and its value,
 * lists joined by `*`; `!` escapes the three. Nothing that is as usual is in it, and what cannot be read is passed over, so that a
 * text of an older or newer version still opens.
 */

/** A hostile address fills no memory: more than anybody sets by hand. */
const LONGEST = 16 * 1024;
const LIST = 200;

const AXES: Readonly<Record<string, Axis>> = { r: 'relative', t: 'time' };
const KINDS: Readonly<Record<string, Smoothing['kind']>> = { e: 'ema', g: 'gaussian', m: 'mean' };
const SPREADS = { s: 'std', c: 'ci', n: 'none' } as const;

export function writeCharts(state: ChartState): string {
  const fields: string[] = [];
  const put = (letter: string, value: string): void => void fields.push(letter + value);
  if (state.axis !== 'step')
    put('x', state.axis.startsWith('metric:') ? `m${escape(state.axis.slice(7))}` : state.axis[0]!);
  const { smoothing, zoom } = state;
  if (smoothing !== null) put('s', `${smoothing.kind[0]}${smoothing.unit === 'x' ? 'x' : ''}${smoothing.width}`);
  if (state.logX) put('l', 'x');
  if (state.logY) put('l', 'y');
  if (state.clip !== 100) put('c', String(state.clip));
  if (!state.envelope) put('e', '');
  if (state.centre === 'median') put('m', '');
  if (state.spread !== 'minmax') put('b', state.spread[0]!);
  if (state.sharedY) put('y', '');
  if (!state.linkedX) put('u', '');
  if (zoom !== null) put('z', list([String(zoom.min), String(zoom.max)]));
  for (const [panel, { min, max }] of Object.entries(state.zooms)) put('v', list([panel, String(min), String(max)]));
  if (state.words.trim() !== '') put('w', escape(state.words));
  if (state.pins.length > 0) put('p', list(state.pins));
  if (state.folded.length > 0) put('f', list(state.folded));
  for (const metrics of state.combined) put('j', list(metrics));
  for (const [panel, [min, max]] of Object.entries(state.heights)) put('h', list([panel, String(min), String(max)]));
  if (state.full !== null) put('o', escape(state.full));
  if (state.added !== '') put('a', escape(state.added));
  return fields.join('~');
}

/** What a hand changes many times in one go, by its letter: wheel, drag, slider and typing. */
const GESTURES = 'zvshw';
/** Of these every panel has its own, named first. */
const OF_PANELS = 'vh';

/**
 * Of which gesture a change of the settings is, whose changes in quick succession are one step to take back; null: it stands alone.
 * Moving an added chart through its steps is one, and so is moving its brushes.
 */
export function gestureOf(before: string, after: string): string | null {
  const [old, now] = [before.split('~'), after.split('~')];
  const changed = [...old.filter((field) => !now.includes(field)), ...now.filter((field) => !old.includes(field))];
  const [gesture, ...others] = new Set(changed.filter((field) => field !== '').map(settingOf));
  if (gesture === undefined || others.length > 0) return null;
  if (GESTURES.includes(gesture.slice(0, 1))) return gesture;
  const still = (text: string): string => readCharts(text).added.replaceAll(MOVED, '');
  return gesture === 'a' && still(before) === still(after) ? 'a' : null;
}

/** Where the slider of an added chart is, and what of its axes is brushed, as `writeAdded` says it. */
const MOVED = /;s[^;|]*|![bv][^;|!]*/g;

function settingOf(field: string): string {
  const letter = field.slice(0, 1);
  // Another smoothing is chosen; its width is slid.
  if (letter === 's') return field.replace(/[\d.]+$/, '');
  return OF_PANELS.includes(letter) ? field.split('*', 1)[0]! : letter;
}

export function readCharts(text: string): ChartState {
  const state: ChartState = { ...USUAL_STATE };
  if (text.length > LONGEST) return state;
  const combined: string[][] = [];
  const heights: Record<string, readonly [number, number]> = {};
  const zooms: Record<string, { min: number; max: number }> = {};
  for (const field of text.split('~')) {
    const value = field.slice(1);
    switch (field.slice(0, 1)) {
      case 'x':
        state.axis = value[0] === 'm' ? `metric:${unescape(value.slice(1))}` : (AXES[value] ?? 'step');
        break;
      case 's':
        state.smoothing = readSmoothing(value);
        break;
      case 'l':
        if (value === 'x') state.logX = true;
        if (value === 'y') state.logY = true;
        break;
      case 'c':
        state.clip = within(Number(value), 50, 100) ?? 100;
        break;
      case 'e':
        state.envelope = false;
        break;
      case 'm':
        state.centre = 'median';
        break;
      case 'b':
        state.spread = SPREADS[value as 's'] ?? 'minmax';
        break;
      case 'y':
        state.sharedY = true;
        break;
      case 'u':
        state.linkedX = false;
        break;
      case 'z': {
        const [min = NaN, max = NaN] = unlist(value).map(Number);
        if (isRange(min, max)) state.zoom = { min, max };
        break;
      }
      case 'v': {
        const [panel, least, most] = unlist(value);
        const [min, max] = [Number(least), Number(most)];
        if (panel !== undefined && isRange(min, max)) zooms[panel] = { min, max };
        break;
      }
      case 'w':
        state.words = unescape(value);
        break;
      case 'p':
        state.pins = unlist(value);
        break;
      case 'f':
        state.folded = unlist(value);
        break;
      case 'j':
        if (combined.length < LIST) combined.push(unlist(value));
        break;
      case 'h': {
        const [panel, least, most] = unlist(value);
        const [min, max] = [Number(least), Number(most)];
        if (panel !== undefined && isRange(min, max)) heights[panel] = [min, max];
        break;
      }
      case 'o':
        state.full = unescape(value);
        break;
      case 'a':
        state.added = unescape(value);
        break;
      default:
      // Of another version.
    }
  }
  return { ...state, combined: combined.filter((metrics) => metrics.length > 1), heights, zooms };
}

function readSmoothing(value: string): Smoothing | null {
  const kind = KINDS[value[0] ?? ''];
  const unit = value[1] === 'x' ? 'x' : 'share';
  const width = Number(value.slice(unit === 'x' ? 2 : 1));
  return kind !== undefined && width > 0 && Number.isFinite(width) ? { kind, width, unit } : null;
}

function within(value: number, least: number, most: number): number | undefined {
  return value >= least && value <= most ? value : undefined;
}

function isRange(min: number, max: number): boolean {
  return Number.isFinite(min) && Number.isFinite(max) && min < max;
}

function list(values: readonly string[]): string {
  return values.slice(0, LIST).map(escape).join('*');
}

function unlist(text: string): string[] {
  return text === '' ? [] : text.split('*').slice(0, LIST).map(unescape);
}

function escape(text: string): string {
  return text.replaceAll('!', '!0').replaceAll('~', '!1').replaceAll('*', '!2');
}

function unescape(text: string): string {
  return text.replaceAll('!2', '*').replaceAll('!1', '~').replaceAll('!0', '!');
}
