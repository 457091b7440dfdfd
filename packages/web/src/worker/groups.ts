import type { RunId } from '@fieldbook/core';
import type { Cell, RunTable } from '@fieldbook/core/query';
import { goalOfColumn } from '../charts/goals.ts';
import type { Direction } from '../charts/definition.ts';
import type { GroupCell, GroupsCharted, Layout } from './groups-api.ts';
import { GROUP_SIZE } from './groups-api.ts';
import { goalsOf } from './plots.ts';

/** Different values of a group counted for one cell; more are "more". */
const DISTINCT_COUNTED = 20;

export interface GroupNode {
  id: string;
  depth: number;
  /** The outermost group that it is, or is in. */
  top: string;
  column: string;
  key: Cell;
  rows: Uint32Array;
  /** Made when the group is first opened; null on the innermost level. */
  children: GroupNode[] | null;
}

/** A line of the laid-out table: a group's head, or the run at a place of an open group. */
export type Place = { node: GroupNode; run: null } | { node: GroupNode; run: RunId };

/**
 * A view's runs in nested groups. Holds rows of a table: good until the table changes. Subgroups are made when a group
 * is opened, summaries when a line is shown, so that ten groups of 10,000 runs cost what is looked at.
 */
export class GroupTree {
  readonly #table: RunTable;
  readonly #layout: Layout;
  readonly #now: number;
  readonly #goal: (column: string) => Direction | null;
  readonly top: GroupNode[];
  /** Those that are open, or those that are not while all others are. */
  #named: { open: boolean; ids: ReadonlySet<string> } = { open: true, ids: new Set() };
  #laid: string | null = null;
  /** Heads in the order of lines, and the line each is on. */
  #heads: GroupNode[] = [];
  #lines: number[] = [];
  #total = 0;

  constructor(table: RunTable, rows: Uint32Array, layout: Layout, now: number) {
    this.#table = table;
    this.#layout = layout;
    this.#now = now;
    const goals = goalsOf(table, now);
    this.#goal = (column) => goalOfColumn(column, goals);
    this.top = this.#divide(rows, 0, [], null);
    this.lay(layout.open);
  }

  get total(): number {
    return this.#total;
  }

  isOpen(id: string): boolean {
    return this.#named.ids.has(id) === this.#named.open;
  }

  /** Opens these groups and no others; after a `*`, all but these. */
  lay(open: readonly string[] | 'all'): void {
    const key = JSON.stringify(open);
    if (this.#laid === key) return;
    this.#laid = key;
    this.#named =
      open === 'all' || open[0] === '*'
        ? { open: false, ids: new Set(open === 'all' ? [] : open.slice(1)) }
        : { open: true, ids: new Set(open) };
    this.#heads = [];
    this.#lines = [];
    let line = 0;
    const visit = (nodes: readonly GroupNode[]): void => {
      for (const node of nodes) {
        this.#heads.push(node);
        this.#lines.push(line);
        line += 1;
        if (!this.isOpen(node.id)) continue;
        const children = this.#childrenOf(node);
        if (children === null) line += node.rows.length;
        else visit(children);
      }
    };
    visit(this.top);
    this.#total = line;
  }

  /** What is on a line, which must be one of the table's. */
  at(line: number): Place {
    const index = this.#headBefore(line);
    const node = this.#heads[index]!;
    const offset = line - this.#lines[index]! - 1;
    return offset < 0 ? { node, run: null } : { node, run: this.#table.id(node.rows[offset]!)! };
  }

  /** The line of a group's head or of a run in an open group. */
  lineOf(id: string): number | null {
    const row = this.#table.row(id as RunId);
    for (const [index, node] of this.#heads.entries()) {
      if (node.id === id) return this.#lines[index]!;
      const next = this.#lines[index + 1] ?? this.#total;
      if (row === undefined || next - this.#lines[index]! !== node.rows.length + 1 || !this.isOpen(node.id)) continue;
      const at = node.rows.indexOf(row);
      if (at !== -1 && this.#childrenOf(node) === null) return this.#lines[index]! + 1 + at;
    }
    return null;
  }

  /** Runs on the lines between two places; a closed group counts with all of its own. */
  runsBetween(first: number, count: number): RunId[] {
    const found = new Set<RunId>();
    const end = Math.min(first + count, this.#total);
    for (let line = Math.max(0, first); line < end; line++) {
      const { node, run } = this.at(line);
      if (run !== null) found.add(run);
      else if (!this.isOpen(node.id)) for (const id of this.runsOf(node)) found.add(id);
    }
    return [...found];
  }

  runsOf(node: GroupNode): RunId[] {
    return Array.from(node.rows, (row) => this.#table.id(row)!);
  }

  /** Groups by id, opened or not. */
  find(ids: readonly string[]): GroupNode[] {
    const wanted = new Set(ids);
    const found: GroupNode[] = [];
    const visit = (nodes: readonly GroupNode[]): void => {
      for (const node of nodes) {
        if (wanted.has(node.id)) found.push(node);
        if (node.children !== null) visit(node.children);
      }
    };
    visit(this.top);
    return found;
  }

  charted(most: number, words: (column: string, key: Cell) => string): GroupsCharted {
    const groups = this.top
      .slice(0, most)
      .map((node) => ({ id: node.id, label: words(node.column, node.key), runs: this.runsOf(node) }));
    return { groups, total: this.top.length };
  }

  cells(node: GroupNode, columns: readonly string[]): GroupCell[] {
    return columns.map((column) => this.#cell(node, column));
  }

  #cell({ rows }: GroupNode, column: string): GroupCell {
    const goal = this.#goal(column);
    const [summary] = this.#table.summaries(rows, [{ column, ...(goal === null ? {} : { goal }) }], {
      now: this.#now,
    });
    if (summary !== undefined && summary.count > 0) {
      const { count, nonFinite, mean, std, min, max, best } = summary;
      const value = best === null ? undefined : this.#number(best, column);
      return {
        kind: 'numbers',
        time: this.#areTimes(rows, column),
        count,
        nonFinite,
        mean: mean!,
        std,
        min: min!,
        max: max!,
        best: best === null || value === undefined ? null : { value, run: this.#table.id(best)! },
      };
    }
    return this.#values(rows, column);
  }

  /** By the first run with a value that is summed up. */
  #areTimes(rows: Uint32Array, column: string): boolean {
    for (const row of rows) {
      const value = this.#table.value(row, column, { now: this.#now });
      if (isTime(value)) return true;
      if (typeof value === 'number') return false;
    }
    return false;
  }

  #values(rows: Uint32Array, column: string): GroupCell {
    const seen = new Map<string, Cell>();
    for (const row of rows) {
      const value = this.#table.value(row, column, { now: this.#now });
      if (value === undefined) continue;
      seen.set(JSON.stringify(value), value);
      if (seen.size > DISTINCT_COUNTED) return { kind: 'several', distinct: DISTINCT_COUNTED, more: true };
    }
    if (seen.size === 0) return null;
    if (seen.size > 1) return { kind: 'several', distinct: seen.size, more: false };
    return { kind: 'same', value: [...seen.values()][0] };
  }

  #number(row: number, column: string): number | undefined {
    const value = this.#table.value(row, column, { now: this.#now });
    return typeof value === 'number' ? value : isTime(value) ? value.time : undefined;
  }

  #childrenOf(node: GroupNode): GroupNode[] | null {
    if (node.depth + 1 >= this.#layout.by.length) return null;
    return (node.children ??= this.#divide(node.rows, node.depth + 1, [node.id], node.top));
  }

  #divide(rows: Uint32Array, depth: number, above: readonly string[], top: string | null): GroupNode[] {
    const column = this.#layout.by[depth]!;
    const nodes = this.#table.divide(rows, column, { now: this.#now }).map(({ key: [key], rows: members }) => {
      const id = hash(JSON.stringify([...above, column, canonical(key)]));
      return { id, depth, top: top ?? id, column, key, rows: members, children: null };
    });
    return this.#sorted(nodes, column);
  }

  /** By the first key of the sort that says something of groups: their size, their own value, or a summary of a column. */
  #sorted(nodes: GroupNode[], by: string): GroupNode[] {
    for (const { column, descending } of this.#layout.sort) {
      if (column === by) return descending ? reversed(nodes) : nodes;
      if (column === GROUP_SIZE) return sortBy(nodes, ({ rows }) => rows.length, descending);
      // The usual order of runs says nothing of groups: they stay in the order of their values.
      if (column === 'created' && this.#layout.sort.length === 1 && descending) return nodes;
      const values = new Map(nodes.map((node) => [node, this.#orderValue(node, column, descending)]));
      if ([...values.values()].some((value) => value !== null))
        return sortBy(nodes, (node) => values.get(node) ?? null, descending);
    }
    return nodes;
  }

  #orderValue({ rows }: GroupNode, column: string, descending: boolean): number | null {
    const goal = this.#goal(column);
    const kind = this.#layout.summary;
    const aggregate = { column, ...(kind === 'best' && goal !== null ? { goal } : {}) };
    const [summary] = this.#table.summaries(rows, [aggregate], { now: this.#now });
    if (summary === undefined || summary.count === 0) return null;
    if (kind === 'mean') return summary.mean;
    if (kind === 'best' && goal !== null) return goal === 'min' ? summary.min : summary.max;
    return descending ? summary.max : summary.min;
  }

  #headBefore(line: number): number {
    let low = 0;
    let high = this.#lines.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#lines[middle]! <= line) low = middle;
      else high = middle;
    }
    return low;
  }
}

function reversed(nodes: GroupNode[]): GroupNode[] {
  const without = nodes.filter(({ key }) => key === undefined);
  return [...nodes.filter(({ key }) => key !== undefined).reverse(), ...without];
}

/** Stable; groups without a value last in both directions. */
function sortBy(nodes: GroupNode[], valueOf: (node: GroupNode) => number | null, descending: boolean): GroupNode[] {
  const sign = descending ? -1 : 1;
  return nodes.sort((a, b) => {
    const [left, right] = [valueOf(a), valueOf(b)];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return sign * (left - right);
  });
}

function isTime(cell: Cell): cell is { time: number } {
  return typeof cell === 'object' && cell !== null && 'time' in cell;
}

/** JSON has no NaN and no infinities, and no difference between what is missing and null. */
function canonical(key: Cell): unknown {
  return key === undefined ? {} : typeof key === 'number' ? String(key + 0) : [key];
}

/** 53 bits of a text as base 36: short enough for addresses, and no two groups of one table meet. */
function hash(text: string): string {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    a = Math.imul(a ^ code, 2_654_435_761);
    b = Math.imul(b ^ code, 1_597_334_677);
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909);
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909);
  return (4_294_967_296 * (2_097_151 & b) + (a >>> 0)).toString(36);
}
