/** The series that benchmarks store and read: a loss that falls and shakes, as trainings log it, in three precisions. */
export const CURVES = {
  'float32 loss': (step: number, noise: number) => Math.fround(loss(step, noise)),
  '4-decimal accuracy': (step: number, noise: number) =>
    Math.round(1e4 * Math.min(1, Math.max(0, 0.9 - 0.8 * Math.exp(-step / 20_000) + noise / 100))) / 1e4,
  'full double': loss,
} as const;
export type Curve = keyof typeof CURVES;

function loss(step: number, noise: number): number {
  return 1 / (1 + step / 1000) + 0.05 * (1 + noise / 5);
}

/** Normally distributed numbers from a seed. */
export function gaussian(seed: number): () => number {
  let state = seed >>> 0;
  // mulberry32, twice for 53 bits: a double with noise in every bit needs all of them.
  const word = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const uniform = (): number => ((word() >>> 5) * 2 ** 26 + (word() >>> 6) + 0.5) / 2 ** 53;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Values of a curve, and times some 37 ms apart that vary by 2 ms. */
export function makeCurve(curve: Curve, points: number, seed: number): { values: Float64Array; times: Float64Array } {
  const noise = gaussian(seed);
  const values = new Float64Array(points);
  const times = new Float64Array(points);
  let time = 1_768_478_400_000;
  for (let step = 0; step < points; step++) {
    values[step] = CURVES[curve](step, noise());
    time += 37 + Math.abs(noise()) * 2;
    times[step] = Math.round(time);
  }
  return { values, times };
}
