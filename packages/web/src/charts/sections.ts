import type { MetricSummary, RunStatus } from '@fieldbook/core/record';

/** What charts know of a run. */
export interface ChartedRun {
  id: string;
  name: string;
  status: RunStatus;
  created: number;
  updated: number;
  metrics: ReadonlyMap<string, MetricSummary>;
  /** Rises when there may be points that no card speaks of yet. */
  beat: number;
}

/** Up to so many metrics flow as one; their full names say where they belong. */
const FLOWING = 24;

export interface MetricGroup {
  space: string;
  metrics: readonly string[];
}

/** Metrics of any of the runs that match the words; many of them by namespace. What was pinned comes first and on its own. */
export function groupMetrics(runs: readonly ChartedRun[], words: string, pinned: readonly string[]): MetricGroup[] {
  const wanted = words
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const paths = new Set<string>();
  for (const run of runs) for (const path of run.metrics.keys()) paths.add(path);
  const found = [...paths].filter((path) => wanted.every((word) => path.toLowerCase().includes(word)));
  const groups = new Map<string, string[]>();
  for (const path of found.sort(bySpace)) {
    if (pinned.includes(path)) continue;
    const slash = path.lastIndexOf('/');
    const space = slash === -1 ? '' : path.slice(0, slash);
    groups.set(space, [...(groups.get(space) ?? []), path]);
  }
  const flowing = [...groups.values()].flat();
  const list =
    flowing.length === 0
      ? []
      : flowing.length <= FLOWING
        ? [{ space: '', metrics: flowing }]
        : [...groups].map(([space, metrics]) => ({ space, metrics }));
  const top = pinned.filter((path) => found.includes(path));
  return top.length === 0 ? list : [{ space: 'Pinned', metrics: top }, ...list];
}

/** Validation before training before the system's own; then by name. */
function bySpace(a: string, b: string): number {
  const rank = (path: string): number =>
    /^(val|valid|validation|test|eval)\b/.test(path) ? 0 : /^(sys|system)\b/.test(path) ? 2 : 1;
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}
