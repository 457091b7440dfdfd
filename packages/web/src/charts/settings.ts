import type { Centre, Spread } from './groups.ts';

/** What lies along the axis: `metric:` and a path for another series, joined by step. */
export type Axis = 'step' | 'relative' | 'time' | `metric:${string}`;

export type SmoothingKind = 'ema' | 'gaussian' | 'mean';

export interface Smoothing {
  kind: SmoothingKind;
  /** In per cent of the series' own extent along x, or in steps or seconds. */
  width: number;
  unit: 'share' | 'x';
}

export interface ChartSettings {
  axis: Axis;
  /** Null: as recorded. */
  smoothing: Smoothing | null;
  logX: boolean;
  logY: boolean;
  /** Per cent of the points, from the middle, that the height is made for; 100 for all of them. */
  clip: number;
  /** The envelope of what lies between the points that are drawn. */
  envelope: boolean;
  centre: Centre;
  spread: Spread;
  /** One height for all panels of a section. */
  sharedY: boolean;
  /** Zooming one panel zooms all. */
  linkedX: boolean;
}

export const USUAL_SETTINGS: ChartSettings = {
  axis: 'step',
  smoothing: null,
  logX: false,
  logY: false,
  clip: 100,
  envelope: true,
  centre: 'mean',
  spread: 'minmax',
  sharedY: false,
  linkedX: true,
};

/** Everything that a person can set about charts. */
export interface ChartState extends ChartSettings {
  /** The stretch of x that is shown, in units of the axis; null for all of it. */
  zoom: { min: number; max: number } | null;
  /** The same of panels that do not zoom with the others, by panel. */
  zooms: Readonly<Record<string, { min: number; max: number }>>;
  /** Words that metrics must have in their names. */
  words: string;
  pins: readonly string[];
  /** Sections that are closed. */
  folded: readonly string[];
  /** Metrics that share a panel. */
  combined: readonly (readonly string[])[];
  /** Heights set by hand, by panel. */
  heights: Readonly<Record<string, readonly [min: number, max: number]>>;
  /** The panel that fills the screen. */
  full: string | null;
  /** Charts that were added, in the text form of `definition.ts`. */
  added: string;
}

export const USUAL_STATE: ChartState = {
  ...USUAL_SETTINGS,
  zoom: null,
  zooms: {},
  words: '',
  pins: [],
  folded: [],
  combined: [],
  heights: {},
  full: null,
  added: '',
};

/** The metric along the axis, or null. */
export function axisMetric(axis: Axis): string | null {
  return axis.startsWith('metric:') ? axis.slice('metric:'.length) : null;
}
