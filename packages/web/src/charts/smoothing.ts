/**
 * Exponential moving average with the bias of its start taken out (Kingma & Ba, "Adam", 2015, section 3), weighted by
 * the distance along x so that the result does not depend on how densely a stretch was logged. `weight` is in [0, 1):
 * the share of the past that is left after one typical (median) distance. NaN and infinities are passed over.
 */
export function smooth(x: ArrayLike<number>, y: ArrayLike<number>, weight: number): Float64Array {
  const result = new Float64Array(y.length);
  if (!(weight > 0)) {
    for (let index = 0; index < y.length; index++) result[index] = y[index]!;
    return result;
  }
  const typical = medianGap(x);
  let sum = 0;
  let mass = 0;
  let previous = NaN;
  for (let index = 0; index < y.length; index++) {
    const value = y[index]!;
    if (!Number.isFinite(value)) {
      result[index] = value;
      continue;
    }
    const gap = Number.isNaN(previous) || typical === 0 ? 1 : Math.max(0, x[index]! - previous) / typical;
    const kept = weight ** gap;
    sum = sum * kept + value * (1 - weight);
    mass = mass * kept + (1 - weight);
    result[index] = sum / mass;
    previous = x[index]!;
  }
  return result;
}

/** Median of the positive distances between neighbours, from at most a thousand of them; 0 when there are none. */
export function medianGap(x: ArrayLike<number>): number {
  const gaps: number[] = [];
  const stride = Math.max(1, Math.floor(x.length / 1_000));
  for (let index = 1; index < x.length; index += stride) {
    const gap = x[index]! - x[index - 1]!;
    if (gap > 0 && Number.isFinite(gap)) gaps.push(gap);
  }
  gaps.sort((a, b) => a - b);
  return gaps[gaps.length >> 1] ?? 0;
}
