import type { WriterId } from '../ids.ts';
import type { Numbers } from './parquet-reader.ts';
import type { SeriesPoints } from './series.ts';

/** Points of one writer, ascending by step, then ordinal; all ordinals of a part lie behind those of the one before. */
export interface Part {
  writer: WriterId;
  step: Numbers;
  time: Numbers;
  value: Numbers;
  ordinal: Numbers | null;
}

/** All parts as one, by x, then writer, then as logged. */
export function merge(
  parts: readonly Part[],
  x: 'step' | 'time',
  from: number,
  to: number,
  identities: boolean,
): SeriesPoints {
  const writers = [...new Set(parts.map((part) => part.writer))];
  const length = parts.reduce((sum, part) => sum + part.step.length, 0);
  const all = {
    steps: new Float64Array(length),
    times: new Float64Array(length),
    values: new Float64Array(length),
    writer: identities ? new Uint32Array(length) : null,
    ordinals: identities ? new Float64Array(length) : null,
  };
  let at = 0;
  for (const part of parts) {
    all.steps.set(part.step, at);
    all.times.set(part.time, at);
    all.values.set(part.value, at);
    all.writer?.fill(writers.indexOf(part.writer), at, at + part.step.length);
    if (part.ordinal !== null) all.ordinals?.set(part.ordinal, at);
    at += part.step.length;
  }
  const keys = x === 'step' ? all.steps : all.times;
  if (isAscending(keys)) {
    const start = lowerBound(keys, (key) => key >= from);
    const end = lowerBound(keys, (key) => key > to);
    if (start === 0 && end === length) return { ...all, writers };
    return {
      steps: all.steps.slice(start, end),
      times: all.times.slice(start, end),
      values: all.values.slice(start, end),
      writer: all.writer?.slice(start, end) ?? null,
      ordinals: all.ordinals?.slice(start, end) ?? null,
      writers,
    };
  }
  const order = Uint32Array.from({ length }, (_, row) => row)
    .filter((row) => keys[row]! >= from && keys[row]! <= to)
    .sort((a, b) => keys[a]! - keys[b]! || a - b);
  const pick = (column: Float64Array): Float64Array => Float64Array.from(order, (row) => column[row]!);
  return {
    steps: pick(all.steps),
    times: pick(all.times),
    values: pick(all.values),
    writer: all.writer === null ? null : Uint32Array.from(order, (row) => all.writer![row]!),
    ordinals: all.ordinals === null ? null : pick(all.ordinals),
    writers,
  };
}

function isAscending(keys: Numbers): boolean {
  for (let index = 1; index < keys.length; index++) if (keys[index]! < keys[index - 1]!) return false;
  return true;
}

/** The first place whose key is `reached`; the length when none is. Keys that are reached come last. */
export function lowerBound(keys: Numbers, reached: (key: number) => boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (reached(keys[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
