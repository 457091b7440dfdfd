import type { Census, DrawnBand, DrawnLine } from '../worker/charts/api.ts';
import type { ChartGroup } from './groups.ts';
import type { Line, Range } from './line.ts';
import { DASHES } from './line.ts';
import type { Axis } from './settings.ts';
import { axisMetric } from './settings.ts';
import { wordsX } from './ticks.ts';

/** How lines of a panel look: colours of runs or groups as CSS has them, dashes by the order of metrics. */
export interface Looks {
  metrics: readonly string[];
  nameOf: (id: string) => string;
  colourOf: (id: string) => string;
}

export function shownLines(lines: readonly DrawnLine[], { metrics, nameOf, colourOf }: Looks): Line[] {
  return lines.flatMap((line) => {
    const { run, metric, x, y, ascending, smooth, band, odd } = line;
    if (x.length === 0 && odd.x.length === 0) return [];
    const dash = DASHES[metrics.indexOf(metric) % DASHES.length] ?? [];
    const name = metrics.length > 1 ? `${nameOf(run)}, ${metric}` : nameOf(run);
    return [
      {
        id: run,
        metric,
        name,
        colour: colourOf(run),
        dash,
        ascending,
        x,
        y,
        smooth,
        band,
        odd,
        runs: null,
        oddRuns: null,
      },
    ];
  });
}

export function shownBands(
  bands: readonly (DrawnBand & { metric: string })[],
  { metrics, nameOf, colourOf }: Looks,
): Line[] {
  return bands.flatMap(({ group, metric, x, centre, low, high, runs, odd, oddRuns }) => {
    if (x.length === 0) return [];
    const dash = DASHES[metrics.indexOf(metric) % DASHES.length] ?? [];
    const name = metrics.length > 1 ? `${nameOf(group)}, ${metric}` : nameOf(group);
    const band = { x, low, high };
    return [
      {
        id: group,
        metric,
        name,
        colour: colourOf(group),
        dash,
        ascending: true,
        x,
        y: centre,
        smooth: null,
        band,
        odd,
        runs,
        oddRuns,
      },
    ];
  });
}

const some = (howMany: number): string => howMany.toLocaleString('en');

/** What a chart does not show as it is, in words: nothing is left out in silence. */
export function saysOf(
  lines: readonly DrawnLine[],
  bands: readonly (DrawnBand & { metric: string })[],
  groups: readonly ChartGroup[] | null,
  census: Census | null,
  options: { logY: boolean; clip: number; axis: Axis; zoom: Range | null },
): { plain: string[]; grave: string[] } {
  const plain: string[] = [];
  if (groups !== null && bands.length > 0) {
    const total = bands.reduce((sum, band) => sum + band.total, 0);
    const pending = bands.reduce((sum, band) => sum + band.pending, 0);
    const absent = bands.reduce((sum, band) => sum + band.absent, 0);
    // A run is counted with each metric that it has: then these are series.
    const metrics = new Set(bands.map(({ metric }) => metric)).size;
    const what = metrics > 1 ? 'series' : 'runs';
    plain.push(
      pending > 0
        ? `${some(total - pending)} of ${some(total)} ${what} read…`
        : `All ${some(total - absent)} ${what} ${metrics > 1 ? `of ${some(metrics)} metrics` : 'with it'}`,
    );
    if (absent > 0) plain.push(`${some(absent)} left out: their points are neither here nor to be had now`);
    const odd = oddOfBands(bands, total, what, options.axis);
    // First, for a narrow panel has room for one thing.
    if (odd !== null) plain.unshift(odd);
  }
  const heights = groups === null ? 'points' : 'values of lines and bands';
  if (census !== null && options.clip < 100 && census.within !== null) {
    const hidden = census.above + census.below;
    if (hidden > 0)
      plain.push(
        `${census.complete ? '' : 'at least '}${some(hidden)} of ${some(census.values)} ${heights} hidden: ${some(census.above)} above, ${some(census.below)} below`,
      );
  }
  if (census !== null && options.logY && census.nonPositive > 0)
    plain.push(
      `${census.complete ? '' : 'at least '}${some(census.nonPositive)} ${groups !== null ? heights : census.nonPositive === 1 ? 'value' : 'values'} of 0 or less cannot be on a log axis`,
    );
  const odd = groups === null ? oddOf(lines, census, options.zoom) : null;
  const metricAxis = axisMetric(options.axis);
  if (odd !== null) plain.push(odd);
  const unplaced = lines.reduce((sum, line) => sum + line.unplaced, 0);
  if (unplaced > 0)
    plain.push(
      metricAxis === null
        ? `${some(unplaced)} ${unplaced === 1 ? 'point has' : 'points have'} an x of 0 or less`
        : `${some(unplaced)} ${unplaced === 1 ? 'point has' : 'points have'} no value of ${metricAxis} at their step`,
    );
  const buckets = Math.max(0, ...lines.map((line) => line.buckets));
  const points = [...lines, ...bands].reduce(
    (sum, each) => sum + ('total' in each && 'y' in each ? each.total : (each as DrawnBand).points),
    0,
  );
  if (buckets > 0) plain.push(`${some(points)} points in ${some(buckets)} buckets a line`);
  const grave = [...new Set(lines.map(({ note }) => note).filter((note) => note !== null))];
  return { plain, grave };
}

/** How many runs, or series, of groups have NaN or infinities, by which marks they are known, and where these begin. */
function oddOfBands(bands: readonly DrawnBand[], total: number, of: string, axis: Axis): string | null {
  const runs = bands.reduce((sum, { withOdd }) => sum + withOdd, 0);
  if (runs === 0) return null;
  const kinds = new Set(bands.flatMap(({ odd }) => [...odd.kind]));
  const marks = [
    ...(kinds.has(0) || kinds.has(3) ? ['×'] : []),
    ...(kinds.has(1) ? ['⌃'] : []),
    ...(kinds.has(2) ? ['⌄'] : []),
  ];
  const first = Math.min(...bands.map(({ odd }) => odd.x[0] ?? Infinity));
  const what = kinds.size === 1 ? ['NaN', '+∞', '−∞', 'NaN or ∞'][[...kinds][0]!]! : 'NaN or ∞';
  return `${some(runs)} of ${some(total)} ${of} ${runs === 1 ? 'has' : 'have'} ${what} (${marks.join(' ')}), first ${axis === 'relative' ? '' : 'at '}${wordsX(axis, first)}`;
}

function oddOf(lines: readonly DrawnLine[], census: Census | null, zoom: Range | null): string | null {
  let [nan, plus, minus, several] = [0, 0, 0, 0];
  if (census !== null) [nan, plus, minus] = [census.nan, census.plusInfinity, census.minusInfinity];
  else
    for (const { odd } of lines)
      for (const [index, kind] of odd.kind.entries()) {
        // A short series is there whole however close one looks.
        if (zoom !== null && !(odd.x[index]! >= zoom.min && odd.x[index]! <= zoom.max)) continue;
        if (kind === 0) nan += 1;
        else if (kind === 1) plus += 1;
        else if (kind === 2) minus += 1;
        else several += 1;
      }
  const parts = [
    ...(nan > 0 ? [`${some(nan)} NaN (×)`] : []),
    ...(plus > 0 ? [`${some(plus)} +∞ (⌃)`] : []),
    ...(minus > 0 ? [`${some(minus)} −∞ (⌄)`] : []),
    ...(several > 0 ? [`${some(several)} places with NaN or ∞ (×)`] : []),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}
