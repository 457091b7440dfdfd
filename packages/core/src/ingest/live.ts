import type { WriterState } from './writer-state.ts';

/** The newest value of a metric. */
export interface LiveValue {
  value: number;
  step: number;
}

/** The newest value of each metric among the unsealed points with ordinals from `from` on. */
export function newestValues({ points, metrics }: WriterState, from: number): Map<string, LiveValue> {
  const values = new Map<string, LiveValue>();
  for (let index = points.length - 1; index >= 0 && points.ordinal[index]! >= from; index--) {
    const path = metrics.names[points.metric[index]!]!;
    if (!values.has(path)) values.set(path, { value: points.value[index]!, step: points.step[index]! });
  }
  return values;
}
