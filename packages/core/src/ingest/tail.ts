import { LIMITS } from '../limits.ts';
import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import { utf8Length } from '../ids.ts';
import type { TailEntry } from '../record/index.ts';
import type { PointColumns } from '../series/points.ts';
import { POLICY } from './policy.ts';
import type { WriterState } from './writer-state.ts';

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

/** Takes the points of a tail entry back into the state of its writer. */
export function pushTail({ points, metrics }: Pick<WriterState, 'points' | 'metrics'>, tail: TailEntry): void {
  const slots = tail.names.map((name) => metrics.slot(name as AttributePath));
  for (let row = 0; row < tail.metric.length; row++) {
    points.push(slots[tail.metric[row]!]!, tail.step[row]!, tail.value[row]!, tail.time[row]!, tail.ordinal[row]!);
  }
}

/** So that a change of one constant cannot make entries that no replica accepts. */
export const TAIL_FITS: boolean = POLICY.tailPoints * 34 + POLICY.tailNameBytes + 1_024 <= LIMITS.entryBytes;
