import { LIMITS } from '../limits.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import { utf8Length } from '../ids.ts';
import type { TailEntry } from '../record/index.ts';
import type { PointColumns } from '../series/points.ts';
import { POLICY } from './policy.ts';

/**
 * A tail entry of points with ordinals in `[first, last]`, or undefined when they are too many for one: then they are
 * sealed instead. `names[metric]` is the path of a metric number.
 */
export function tailOf(
  cover: { writer: WriterId; device: DeviceId; first: number; last: number },
  points: PointColumns,
  names: readonly string[],
): TailEntry | undefined {
  const length = points.metric.length;
  if (length > POLICY.tailPoints) return undefined;
  const places = new Map<number, number>();
  const metric = new Uint16Array(length);
  let bytes = 0;
  for (let index = 0; index < length; index++) {
    const number = points.metric[index]!;
    let place = places.get(number);
    if (place === undefined) {
      place = places.size;
      bytes += utf8Length(names[number]!) + 3;
      if (bytes > POLICY.tailNameBytes) return undefined;
      places.set(number, place);
    }
    metric[index] = place;
  }
  return {
    kind: 'tail',
    ...cover,
    names: [...places.keys()].map((number) => names[number]!),
    metric,
    step: points.step.slice(),
    value: points.value.slice(),
    time: points.time.slice(),
    ordinal: points.ordinal.slice(),
    extra: {},
  };
}

/** So that a change of one constant cannot make entries that no replica accepts. */
export const TAIL_FITS: boolean = POLICY.tailPoints * 34 + POLICY.tailNameBytes + 1_024 <= LIMITS.entryBytes;
