import type { RunId } from '@fieldbook/core';

/** Runs that a chart shows as one line with a band. */
export interface ChartGroup {
  id: string;
  label: string;
  runs: readonly RunId[];
}

/** The line of a group: where its runs are on average, or where half of them are below. */
export type Centre = 'mean' | 'median';
/**
 * The band around it: all that the runs did, one standard deviation to either side of a mean or the 68 % of the runs in the middle of which a
 * median is, or where mean or median lies with 95 % confidence.
 */
export type Spread = 'minmax' | 'std' | 'ci' | 'none';

export const CENTRES: readonly (readonly [Centre, string])[] = [
  ['mean', 'Mean'],
  ['median', 'Median'],
];
/** Bands around the mean or the median, in words. */
export function spreadsOf(centre: Centre): readonly (readonly [Spread, string])[] {
  return [
    ['minmax', 'Least to greatest'],
    ['std', centre === 'median' ? 'The middle 68 %' : '± standard deviation'],
    ['ci', '95 % confidence'],
    ['none', 'No band'],
  ];
}

/** How a group's line comes about, for whoever asks. */
export const HOW_GROUPS_ARE_MADE =
  'Each run counts at each place with the mean of its points there, and between its points with the straight line that joins them, unless one of them is NaN or infinite; before its first and after its last point it does not count. Confidence is that of the mean by Student’s t, of a median by ranks: of fewer than six runs, all of them.';
