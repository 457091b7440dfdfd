import type { MediaPath, PreviewItem } from '../../worker/files-api.ts';

/** Objects of one series of one run, by step. */
export interface Track {
  /** Ascending, each once. */
  steps: readonly number[];
  /** By place in `steps`; several where one step logged several. */
  items: readonly (readonly PreviewItem[])[];
  /** There are more steps than were read. */
  more: boolean;
  /** Rows that are recorded, but lie on another machine. */
  missing: number;
}

export function trackOf(rows: readonly PreviewItem[], more: boolean, missing: number): Track {
  const steps: number[] = [];
  const items: PreviewItem[][] = [];
  for (const row of [...rows].sort((a, b) => (a.step ?? 0) - (b.step ?? 0))) {
    const step = row.step ?? 0;
    if (steps.at(-1) === step) items.at(-1)!.push(row);
    else {
      steps.push(step);
      items.push([row]);
    }
  }
  return { steps, items, more, missing };
}

/** Every step that any of the tracks has, ascending: where the slider can stand. */
export function stepsOf(tracks: Iterable<Track>): number[] {
  const all = new Set<number>();
  for (const { steps } of tracks) for (const step of steps) all.add(step);
  return [...all].sort((a, b) => a - b);
}

/** Place of what a track shows at a step: what it logged there, else its last before; -1 when it had nothing yet. */
export function shownAt({ steps }: Track, step: number): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (steps[middle]! <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Place of the step that exists nearest to a wish; the last without one. */
export function nearestStep(steps: readonly number[], wish: number | null): number {
  if (wish === null || steps.length === 0) return steps.length - 1;
  let best = 0;
  for (const [at, step] of steps.entries()) if (Math.abs(step - wish) < Math.abs(steps[best]! - wish)) best = at;
  return best;
}

export interface SeriesOffer {
  path: string;
  kinds: readonly string[];
  runs: number;
}

/** Series of several runs, images before everything else, then what most runs have. */
export function offersOf(lists: readonly (readonly MediaPath[])[]): SeriesOffer[] {
  const found = new Map<string, { path: string; kinds: Set<string>; runs: number }>();
  for (const list of lists) {
    for (const { path, kinds } of list) {
      const offer = found.get(path) ?? { path, kinds: new Set<string>(), runs: 0 };
      offer.runs += 1;
      for (const kind of Object.keys(kinds)) offer.kinds.add(kind);
      found.set(path, offer);
    }
  }
  const rank = ({ kinds }: { kinds: ReadonlySet<string> }): number =>
    kinds.has('image') || kinds.has('figure') ? 0 : 1;
  return [...found.values()]
    .sort((a, b) => rank(a) - rank(b) || b.runs - a.runs || (a.path < b.path ? -1 : 1))
    .map(({ path, kinds, runs }) => ({ path, kinds: [...kinds], runs }));
}
