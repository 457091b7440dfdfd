import type { RunId } from '@fieldbook/core';
import { cell } from '../app/format.ts';
import type { Row } from './api.ts';
import type { GroupsCharted, Layout, Line, Lines, LinesRequest } from './groups-api.ts';
import { GROUP_SIZE } from './groups-api.ts';
import { GroupTree } from './groups.ts';
import type { Project } from './project.ts';

/** Of a project that nobody here has heard of. */
export const NO_LINES: Lines = {
  total: 0,
  runs: 0,
  groups: 0,
  all: 0,
  first: 0,
  lines: [],
  places: [],
  error: null,
  loading: false,
};

interface Kept {
  key: string;
  rows: Uint32Array;
  version: number;
  tree: GroupTree;
}

/** Grouped tables of projects: each project's newest tree is kept while its runs, query, order and grouping stay as they are. */
export class Grouped {
  readonly #kept = new WeakMap<Project, Kept>();

  lines(project: Project, request: LinesRequest, now: number, unsavedOf: (run: RunId) => Row['unsaved']): Lines {
    const view = ungrouped(request);
    const {
      total: runs,
      all,
      error,
      loading,
    } = project.window({ ...view, columns: [], first: 0, count: 0 }, now, unsavedOf);
    const tree = this.#tree(project, request, now);
    const first = Math.max(0, Math.min(request.first, tree.total));
    const places = Array.from({ length: Math.min(request.count, tree.total - first) }, (_, at) => tree.at(first + at));
    const ids = places.flatMap(({ run }) => run ?? []);
    const rows = new Map(project.rows(ids, request.columns, now, unsavedOf).map((row) => [row.id, row]));
    const lines: Line[] = [];
    for (const { node, run } of places) {
      if (run === null) {
        const { id, depth, top: group, column, key } = node;
        const cells = tree.cells(node, request.columns);
        lines.push({
          kind: 'group',
          id,
          depth,
          group,
          column,
          key,
          runs: node.rows.length,
          open: tree.isOpen(id),
          cells,
        });
      } else {
        const row = rows.get(run);
        if (row !== undefined) lines.push({ kind: 'run', id: run, depth: node.depth + 1, group: node.top, row });
      }
    }
    return {
      total: tree.total,
      runs,
      groups: tree.top.length,
      all,
      first,
      lines,
      places: request.places.map((id) => tree.lineOf(id)),
      error,
      loading,
    };
  }

  lineRuns(project: Project, layout: Layout, first: number, count: number, now: number): RunId[] {
    return this.#tree(project, layout, now).runsBetween(first, count);
  }

  groupRuns(project: Project, layout: Layout, groups: readonly string[], now: number): RunId[] {
    const tree = this.#tree(project, layout, now);
    return [...new Set(tree.find(groups).flatMap((node) => tree.runsOf(node)))];
  }

  charted(project: Project, layout: Layout, most: number, now: number): GroupsCharted {
    const words = (column: string, key: Parameters<typeof cell>[0]): string =>
      key === undefined ? 'without' : cell(key, column, now);
    return this.#tree(project, layout, now).charted(most, words);
  }

  #tree(project: Project, layout: Layout, now: number): GroupTree {
    const { rows } = project.select(ungrouped(layout), now);
    const { version } = project.table.runs;
    const key = JSON.stringify([layout.by, layout.summary, layout.sort]);
    const kept = this.#kept.get(project);
    if (kept?.key === key && kept.rows === rows && kept.version === version) {
      kept.tree.lay(layout.open);
      return kept.tree;
    }
    const tree = new GroupTree(project.table.runs, rows, layout, now);
    this.#kept.set(project, { key, rows, version, tree });
    return tree;
  }
}

/** The view of the runs alone: what orders groups by their size orders no runs. */
function ungrouped<T extends Pick<Layout, 'drawer' | 'query' | 'sort'>>({
  drawer,
  query,
  sort,
}: T): Pick<Layout, 'drawer' | 'query' | 'sort'> {
  return { drawer, query, sort: sort.filter(({ column }) => column !== GROUP_SIZE) };
}
