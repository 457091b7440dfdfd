import type { WriterId } from '../ids.ts';
import type { Part } from './console-blocks.ts';
import type { RowMarks } from './segment.ts';

/**
 * The order in which lines were printed, as places in the parts laid end to end: of one writer by ordinal, for its journal is written in
 * order; of several by time, where a clock that was put back moves no line before an earlier one of its writer.
 */
export function orderOf(parts: readonly Part[], marks: readonly RowMarks[]): Uint32Array {
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const ordinal = new Float64Array(total);
  const within = new Float64Array(total);
  const time = new Float64Array(total);
  const runs = new Map<WriterId, Uint32Array[]>();
  let offset = 0;
  for (const [index, { writer, count }] of parts.entries()) {
    const mark = marks[index]!;
    ordinal.set(mark.ordinal, offset);
    within.set(mark.part, offset);
    time.set(mark.time, offset);
    const places = Uint32Array.from({ length: count }, (_, at) => offset + at);
    const own = runs.get(writer);
    if (own === undefined) runs.set(writer, [places]);
    else own.push(places);
    offset += count;
  }
  const printed = (a: number, b: number): boolean =>
    ordinal[a]! < ordinal[b]! || (ordinal[a] === ordinal[b] && within[a]! <= within[b]!);
  const writers = [...runs.keys()].sort();
  const merged = writers.map((writer) => mergeAll(runs.get(writer)!, printed));
  if (merged.length === 1) return merged[0]!;
  for (const places of merged) {
    let latest = -Infinity;
    for (const place of places) {
      latest = Math.max(latest, time[place]!);
      time[place] = latest;
    }
  }
  // Of equal times the writer that comes first in the alphabet: it lies further left.
  return mergeAll(merged, (a, b) => time[a]! <= time[b]!);
}

/** Where each place stands in an order. */
export function inverseOf(order: Uint32Array): Uint32Array {
  const inverse = new Uint32Array(order.length);
  for (let at = 0; at < order.length; at++) inverse[order[at]!] = at;
  return inverse;
}

/** Sorted lists as one, neighbours two by two; `before` says of one from the left that it is not after one from the right. */
function mergeAll(lists: readonly Uint32Array[], before: (a: number, b: number) => boolean): Uint32Array {
  let round = [...lists];
  while (round.length > 1) {
    const next: Uint32Array[] = [];
    for (let at = 0; at < round.length; at += 2) {
      const [a, b] = [round[at]!, round[at + 1]];
      next.push(b === undefined ? a : mergeTwo(a, b, before));
    }
    round = next;
  }
  return round[0] ?? new Uint32Array();
}

function mergeTwo(a: Uint32Array, b: Uint32Array, before: (a: number, b: number) => boolean): Uint32Array {
  const merged = new Uint32Array(a.length + b.length);
  let [left, right] = [0, 0];
  for (let at = 0; at < merged.length; at++) {
    const takesLeft = right === b.length || (left < a.length && before(a[left]!, b[right]!));
    merged[at] = takesLeft ? a[left++]! : b[right++]!;
  }
  return merged;
}
