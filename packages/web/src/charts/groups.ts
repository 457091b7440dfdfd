import type { RunId } from '@fieldbook/core';

/** Runs that a chart shows as one line with a band. */
export interface ChartGroup {
  id: string;
  label: string;
  runs: readonly RunId[];
}

/** The line of a group: where its runs are on average, or where half of them are below. */
export type Centre = 'mean' | 'median';
/** The band around it: all that the runs did, one standard deviation to either side, or where the mean lies with 95 % confidence. */
export type Spread = 'minmax' | 'std' | 'ci' | 'none';

export const CENTRES: readonly (readonly [Centre, string])[] = [
  ['mean', 'Mean'],
  ['median', 'Median'],
];
export const SPREADS: readonly (readonly [Spread, string])[] = [
  ['minmax', 'Least to greatest'],
  ['std', '± standard deviation'],
  ['ci', '95 % confidence'],
  ['none', 'No band'],
];

/** How a group's line comes about, for whoever asks. */
export const HOW_GROUPS_ARE_MADE =
  'Each run counts at each place with the mean of its points there, and between its points with the straight line that joins them, unless one of them is NaN or infinite; before its first and after its last point it does not count.';
