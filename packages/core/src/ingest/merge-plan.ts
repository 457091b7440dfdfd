/** What the plan needs to know of a segment entry. */
export interface Sealed {
  first: number;
  last: number;
  points: number;
}

/** Tiers grow by this factor: a point is rewritten once per tier that it passes. */
const FACTOR = 8;
/**
 * A segment of so many points is left as it is: about 1.5 MB, in one piece within the limit of a blob, and 250 of them are 10^8
 * points. A merged segment has less than twice as many, so that merging holds 60 MB at most.
 */
export const FULL_POINTS = 400_000;

/**
 * Which neighbours to merge into one, as `[start, end)` of `segments` (one writer's, of one device, by ordinal); undefined when none.
 *
 * While a writer runs only its newest segments are looked at. They are merged when each is smaller than some bound, a full segment's
 * size divided by a power of 8, and together they reach it: so each merge lifts every point over a bound, and a
 * point is rewritten at most 7 times, from segments of one point on; a usual run's, sealed every 50,000 points, once. When the
 * writer has ended (`ended`), what is left becomes as few segments as possible, each point being rewritten at most once
 * more. Segments with other ordinals between them are never merged: no entry covers what is in no segment.
 */
export function planMerge(segments: readonly Sealed[], ended: boolean): [start: number, end: number] | undefined {
  return (ended ? planAll(segments) : undefined) ?? planNewest(segments);
}

/** From full segments down to those of one point. */
const TIERS = Math.ceil(Math.log(FULL_POINTS) / Math.log(FACTOR));
/** The most often that a point is rewritten, from one point a segment on, the end of its writer included. */
export const REWRITES_MAX = TIERS + 1;

function planNewest(segments: readonly Sealed[]): [number, number] | undefined {
  let start: number | undefined;
  for (let tier = TIERS - 1; tier >= 0; tier--) {
    const below = FULL_POINTS / FACTOR ** tier;
    let at = segments.length;
    let points = 0;
    while (at > 0 && segments[at - 1]!.points < below && (at === segments.length || touch(segments, at))) {
      at--;
      points += segments[at]!.points;
    }
    if (segments.length - at >= 2 && points >= below) start = at;
  }
  return start === undefined ? undefined : cut(segments, start, segments.length);
}

function planAll(segments: readonly Sealed[]): [number, number] | undefined {
  for (let start = 0; start < segments.length; start++) {
    let end = start;
    while (end < segments.length && segments[end]!.points < FULL_POINTS && (end === start || touch(segments, end)))
      end++;
    if (end - start >= 2) return cut(segments, start, end);
  }
  return undefined;
}

/** As many from `start` on as make a full segment: each has less than that, so it takes two or more. */
function cut(segments: readonly Sealed[], start: number, end: number): [number, number] {
  let points = 0;
  for (let index = start; index < end; index++) {
    points += segments[index]!.points;
    if (points >= FULL_POINTS) return [start, index + 1];
  }
  return [start, end];
}

/** True when nothing lies between a segment and the one before it. */
function touch(segments: readonly Sealed[], index: number): boolean {
  return segments[index - 1]!.last + 1 === segments[index]!.first;
}
