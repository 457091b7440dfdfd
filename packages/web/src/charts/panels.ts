import type { ChartedMetric } from '../worker/charts/api.ts';

/** One chart: a metric, or several that somebody put together. */
export interface PanelSpec {
  /** Its metrics, joined by ` + `. */
  id: string;
  metrics: readonly ChartedMetric[];
  /** What is measured and of whom in words, where its page knows better than the metric's name. */
  label?: { name: string; of: string };
}

/** What a panel is called. */
export function titleOf({ id, label }: PanelSpec): string {
  return label === undefined ? id : `${label.name}, ${label.of}`;
}

export interface Section {
  id: string;
  label: string;
  panels: readonly PanelSpec[];
}

/** Up to so many metrics flow as one; their full names say where they belong. */
const FLOWING = 24;

export function panelId(metrics: readonly string[]): string {
  return metrics.join(' + ');
}

/** Metrics that match the words, by namespace. What was pinned comes first and on its own; what was put together stands where its first metric does. */
export function sectionsOf(
  metrics: readonly ChartedMetric[],
  words: string,
  pinned: readonly string[],
  combined: readonly (readonly string[])[],
): Section[] {
  const wanted = words
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const byPath = new Map(metrics.map((metric) => [metric.path, metric]));
  const panels = new Map<string, PanelSpec>();
  const taken = new Set<string>();
  for (const paths of combined) {
    const together = paths.flatMap((path) => byPath.get(path) ?? []);
    if (together.length < 2) continue;
    const id = panelId(together.map(({ path }) => path));
    panels.set(id, { id, metrics: together });
    for (const { path } of together) taken.add(path);
  }
  for (const metric of metrics)
    if (!taken.has(metric.path)) panels.set(metric.path, { id: metric.path, metrics: [metric] });
  const matching = [...panels.values()].filter(({ id }) => wanted.every((word) => id.toLowerCase().includes(word)));
  matching.sort((a, b) => byRank(a.id, b.id));
  const spaces = new Map<string, PanelSpec[]>();
  let flowing = 0;
  const top = pinned.flatMap((id) => matching.find((panel) => panel.id === id) ?? []);
  for (const panel of matching) {
    if (pinned.includes(panel.id)) continue;
    const path = panel.metrics[0]!.path;
    const slash = path.lastIndexOf('/');
    const space = slash === -1 ? '' : path.slice(0, slash);
    const list = spaces.get(space);
    if (list === undefined) spaces.set(space, [panel]);
    else list.push(panel);
    flowing += 1;
  }
  const sections: Section[] = top.length === 0 ? [] : [{ id: '*', label: 'Pinned', panels: top }];
  if (flowing > 0 && flowing <= FLOWING)
    sections.push({ id: '', label: top.length > 0 ? 'All others' : '', panels: [...spaces.values()].flat() });
  else
    for (const [space, list] of spaces)
      sections.push({ id: space, label: space === '' ? 'Without a namespace' : space, panels: list });
  return sections;
}

/** Validation before training before the system's own; then by name, numbers in it by size. */
function byRank(a: string, b: string): number {
  const rank = (path: string): number =>
    /^(val|valid|validation|test|eval)\b/.test(path) ? 0 : /^(sys|system)\b/.test(path) ? 2 : 1;
  return rank(a) - rank(b) || ORDER.compare(a, b);
}

const ORDER = new Intl.Collator('en', { numeric: true });

/** Where things lie in a list that shows only what is on screen. */
export interface Block {
  top: number;
  height: number;
  section: Section;
  /** The heading of a section, or a row of its panels. */
  row: readonly PanelSpec[] | null;
}

export function layout(
  sections: readonly Section[],
  folded: readonly string[],
  columns: number,
  heights: { head: number; panel: number },
): { blocks: Block[]; height: number } {
  const blocks: Block[] = [];
  let top = 0;
  for (const section of sections) {
    if (section.label !== '') {
      blocks.push({ top, height: heights.head, section, row: null });
      top += heights.head;
      if (folded.includes(section.id)) continue;
    }
    for (let at = 0; at < section.panels.length; at += columns) {
      blocks.push({ top, height: heights.panel, section, row: section.panels.slice(at, at + columns) });
      top += heights.panel;
    }
  }
  return { blocks, height: top };
}

/** Blocks that touch a stretch: found by halves, since there may be thousands. */
export function visibleBlocks(blocks: readonly Block[], from: number, to: number): readonly Block[] {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (blocks[middle]!.top + blocks[middle]!.height < from) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < blocks.length && blocks[end]!.top <= to) end += 1;
  return blocks.slice(low, end);
}
