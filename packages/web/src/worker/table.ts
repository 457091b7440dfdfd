import type { RunId } from '@fieldbook/core';
import type { RunState } from '@fieldbook/core/fold';
import type { ColumnInfo, Completion, Drawer, QueryProblem, QueryReading, View } from './api.ts';
import { AGGREGATES, attributeColumn, cellOf, metricColumn, parseColumn } from './columns.ts';

/** TEMPORARY until @fieldbook/core/query lands: the same face, words only. */
export class ProjectTable {
  readonly #states = new Map<RunId, RunState>();
  upsert(state: RunState): void {
    this.#states.set(state.id, state);
  }
  remove(id: RunId): void {
    this.#states.delete(id);
  }
  select(view: View, now: number): { ids: RunId[]; all: number; error: QueryProblem | null } {
    const inDrawer = [...this.#states.values()].filter((state) => drawerOf(state) === view.drawer);
    const words = view.query.toLowerCase().split(/\s+/).filter((word) => word !== '');
    const found = inDrawer.filter((state) => words.every((word) => `${state.name} ${state.tags.join(' ')} ${state.notes}`.toLowerCase().includes(word)));
    const keys = [...view.sort].map((key) => ({ ...key, parsed: parseColumn(key.column) })).filter((key) => key.parsed !== undefined);
    const plain = (state: RunState, index: number): number | string | undefined => {
      const cell = cellOf(state, keys[index]!.parsed!, now);
      if (typeof cell === 'number' || typeof cell === 'string') return cell;
      return cell === undefined || cell === null ? undefined : typeof cell === 'object' && 'time' in cell ? cell.time : String(cell);
    };
    found.sort((a, b) => {
      for (let index = 0; index < keys.length; index++) {
        const x = plain(a, index);
        const y = plain(b, index);
        if (x === y) continue;
        if (x === undefined) return 1;
        if (y === undefined) return -1;
        return (x < y ? -1 : 1) * (keys[index]!.descending ? -1 : 1);
      }
      return b.created - a.created;
    });
    return { ids: found.map((state) => state.id), all: inDrawer.length, error: null };
  }
  columns(): ColumnInfo[] {
    const infos = new Map<string, ColumnInfo & { first: unknown }>();
    const note = (id: string, value: unknown): void => {
      const parsed = parseColumn(id)!;
      const info = infos.get(id);
      if (info === undefined) infos.set(id, { ...parsed, numeric: typeof value === 'number', filled: 1, varies: false, first: value });
      else {
        info.filled += 1;
        if (info.first !== value) info.varies = true;
      }
    };
    for (const state of this.#states.values()) {
      for (const [path, value] of state.attributes) note(attributeColumn(path), value);
      for (const [path, value] of state.metrics) for (const aggregate of AGGREGATES) note(metricColumn(path, aggregate), value[aggregate]);
    }
    return [...infos.values()];
  }
  read(_text: string): QueryReading {
    return { error: null, tokens: [], chips: [] };
  }
  complete(_text: string, _cursor: number): Completion[] {
    return [];
  }
  tags(): string[] {
    const counts = new Map<string, number>();
    for (const state of this.#states.values()) for (const tag of state.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]).map(([tag]) => tag);
  }
}

export function drawerOf(state: Pick<RunState, 'trashed' | 'archived'>): Drawer {
  return state.trashed ? 'trash' : state.archived ? 'archive' : 'runs';
}
