/** First place with `x[place] >= value` in ascending `x`. */
export function lowerPlace(x: Float64Array, value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (x[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First place with `x[place] > value`. */
export function upperPlace(x: Float64Array, value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (x[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The rows of a column that lie within `[from, to]`, in its order; null is without an end. */
export function rowsWithin(x: Float64Array, from: number | null, to: number | null, ascending: boolean): Uint32Array {
  if (ascending) {
    const start = from === null ? 0 : lowerPlace(x, from);
    const end = to === null ? x.length : upperPlace(x, to);
    return Uint32Array.from({ length: Math.max(0, end - start) }, (_, row) => start + row);
  }
  const [least, most] = [from ?? -Infinity, to ?? Infinity];
  return Uint32Array.from(x.keys()).filter((row) => x[row]! >= least && x[row]! <= most);
}
