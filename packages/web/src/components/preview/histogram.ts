/** A histogram as bars in a unit square. */
export interface Histogram {
  edges: readonly number[];
  counts: readonly number[];
  total: number;
  bars: readonly { x: number; width: number; height: number }[];
}

const BINS_MAX = 4_096;

/** Reads `{"edges", "counts"}`; null for anything that is no histogram. */
export function histogramOf(json: string): Histogram | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  const { edges, counts } = (value ?? {}) as { edges?: unknown; counts?: unknown };
  if (!isNumbers(edges) || !isNumbers(counts) || counts.length === 0 || counts.length > BINS_MAX) return null;
  if (edges.length !== counts.length + 1) return null;
  const [first, last] = [edges[0]!, edges.at(-1)!];
  const span = last - first;
  const most = Math.max(...counts);
  const rising = edges.every((edge, index) => index === 0 || edge > edges[index - 1]!);
  if (!(span > 0) || !Number.isFinite(span) || !rising || counts.some((count) => count < 0)) return null;
  return {
    edges,
    counts,
    total: counts.reduce((sum, count) => sum + count, 0),
    bars: counts.map((count, index) => ({
      x: (edges[index]! - first) / span,
      width: (edges[index + 1]! - edges[index]!) / span,
      height: most === 0 ? 0 : count / most,
    })),
  };
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number' && Number.isFinite(one));
}
