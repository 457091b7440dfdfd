/**
 * Charts that people add besides the lines of metrics. Columns are named as everywhere (`a:params/lr`, `m:val/acc.max`,
 * `duration`). The text form is for addresses and saved views: short, and without the characters that addresses escape.
 */
export type AddedChart = ScatterChart | ParallelChart | BarsChart | MediaChart;

/** Which values are better. */
export type Direction = 'min' | 'max';

export interface ScatterChart {
  kind: 'scatter';
  x: string;
  y: string;
  colour: string | null;
  logX: boolean;
  logY: boolean;
  /** The runs that no other beats in both; null when not asked for. */
  front: { x: Direction; y: Direction } | null;
}

/** What of an axis is chosen: numbers between two, or some of its values. */
export type Brush = { low: number; high: number } | { values: readonly string[] };

export interface ParallelAxis {
  column: string;
  log: boolean;
  brush: Brush | null;
}

export interface ParallelChart {
  kind: 'parallel';
  axes: readonly ParallelAxis[];
  colour: string | null;
}

/** How far values of a group lie apart. */
export type Spread = 'std' | 'range' | 'ci';
export const SPREADS: readonly Spread[] = ['std', 'range', 'ci'];

export interface BarsChart {
  kind: 'bars';
  column: string;
  /** A bar per value of this column instead of one per run. */
  by: string | null;
  spread: Spread;
  descending: boolean;
}

export interface MediaChart {
  kind: 'media';
  /** Paths of series of images, figures, sounds, tables, histograms, texts. */
  series: readonly string[];
  /** Where the slider is; null at the newest. */
  step: number | null;
}

/** Charts in one address. */
const CHARTS = 12;
/** Axes, and rows of a grid. */
const PARTS = 40;

/** `s.xa:params~lr` and so on: a chart per part between `|`, fields between `;` that begin with their letter. */
export function writeAdded(charts: readonly AddedChart[]): string {
  return charts.map((chart) => writeChart(chart)).join('|');
}

/** What `writeAdded` wrote. What cannot be read, of an edited link or a newer version, is left out. */
export function readAdded(text: string): readonly AddedChart[] {
  return text
    .split('|')
    .slice(0, CHARTS)
    .flatMap((part) => readChart(part) ?? []);
}

function writeChart(chart: AddedChart): string {
  switch (chart.kind) {
    case 'scatter': {
      const { x, y, colour, logX, logY, front } = chart;
      const log = `${logX ? 'x' : ''}${logY ? 'y' : ''}`;
      return fields([
        's',
        `x${escape(x)}`,
        `y${escape(y)}`,
        colour === null ? '' : `c${escape(colour)}`,
        log === '' ? '' : `l${log}`,
        front === null ? '' : `f${sign(front.x)}${sign(front.y)}`,
      ]);
    }
    case 'parallel':
      return fields([
        'p',
        ...chart.axes.map(
          ({ column, log, brush }) => `a${escape(column)}${log ? '!l' : ''}${brush === null ? '' : writeBrush(brush)}`,
        ),
        chart.colour === null ? '' : `c${escape(chart.colour)}`,
      ]);
    case 'bars': {
      const { column, by, spread, descending } = chart;
      return fields([
        'b',
        `x${escape(column)}`,
        by === null ? '' : `g${escape(by)}`,
        spread === 'std' ? '' : `e${spread}`,
        descending ? '' : 'u',
      ]);
    }
    case 'media':
      return fields([
        'm',
        ...chart.series.map((path) => `t${escape(path)}`),
        chart.step === null ? '' : `s${chart.step}`,
      ]);
  }
}

function readChart(text: string): AddedChart | undefined {
  const [kind, ...rest] = text.split(';');
  const all = (letter: string): string[] =>
    rest
      .filter((field) => field.startsWith(letter))
      .slice(0, PARTS)
      .map((field) => field.slice(1));
  const one = (letter: string): string | null => {
    const found = all(letter)[0];
    return found === undefined || found === '' ? null : unescape(found);
  };
  switch (kind) {
    case 's': {
      const [x, y] = [one('x'), one('y')];
      if (x === null || y === null) return undefined;
      const log = one('l') ?? '';
      const front = /^([-+])([-+])$/.exec(one('f') ?? '');
      return {
        kind: 'scatter',
        x,
        y,
        colour: one('c'),
        logX: log.includes('x'),
        logY: log.includes('y'),
        front: front === null ? null : { x: direction(front[1]!), y: direction(front[2]!) },
      };
    }
    case 'p': {
      const axes = all('a').flatMap((field) => readAxis(field) ?? []);
      return axes.length === 0 ? undefined : { kind: 'parallel', axes, colour: one('c') };
    }
    case 'b': {
      const column = one('x');
      if (column === null) return undefined;
      const spread = SPREADS.find((each) => each === one('e')) ?? 'std';
      return { kind: 'bars', column, by: one('g'), spread, descending: all('u').length === 0 };
    }
    case 'm': {
      const series = all('t').map(unescape);
      const step = one('s');
      const at = step === null ? NaN : Number(step);
      return series.length === 0 ? undefined : { kind: 'media', series, step: Number.isFinite(at) ? at : null };
    }
    default:
      return undefined;
  }
}

function writeBrush(brush: Brush): string {
  return 'values' in brush
    ? brush.values.map((value) => `!v${escape(value)}`).join('')
    : `!b${brush.low}~${brush.high}`;
}

function readAxis(text: string): ParallelAxis | undefined {
  const [column, ...rest] = text.split('!');
  if (column === undefined || column === '') return undefined;
  const axis: ParallelAxis = { column: unescape(column), log: rest.includes('l'), brush: null };
  const range = rest
    .find((part) => part.startsWith('b'))
    ?.slice(1)
    .split('~');
  const [low, high] = (range ?? []).map(Number);
  if (range?.length === 2 && low! <= high!) return { ...axis, brush: { low: low!, high: high! } };
  const values = rest.filter((part) => part.startsWith('v')).map((part) => unescape(part.slice(1)));
  return values.length > 0 ? { ...axis, brush: { values } } : axis;
}

function fields(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(';');
}

function sign(way: Direction): string {
  return way === 'max' ? '+' : '-';
}

function direction(text: string): Direction {
  return text === '+' ? 'max' : 'min';
}

/** What separates is written as `*` and two hexadecimal digits. `%` would be escaped again by the address. */
function escape(text: string): string {
  return text.replace(/[*|;!~]/g, (found) => `*${found.charCodeAt(0).toString(16)}`);
}

function unescape(text: string): string {
  return text.replace(/\*([0-9a-f]{2})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
