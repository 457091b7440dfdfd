import type { CompareNode, InNode, Literal, Node, Path, Query } from './ast.ts';
import { Bitset } from './bitset.ts';
import type { Column } from './columns.ts';
import { markPresent } from './columns.ts';
import type { TimeFrame } from './literal.ts';
import { booleanOf, durationOf, isNull, numberOf, periodOf } from './literal.ts';
import { beside } from './numbers.ts';
import { Pattern } from './pattern.ts';
import type { ListColumn, TextColumn } from './texts.ts';

/** What a query is run against. */
export interface Rows {
  /** Rows below this may exist. */
  size: number;
  /** Rows that do. */
  live: Bitset;
  /** The column that a path means; undefined when no run has it. */
  column(path: Path): Column | undefined;
  /** Where free words are looked for. */
  names: TextColumn;
  notes: TextColumn;
  tags: ListColumn;
}

/** The rows that a query matches; its cost is a pass over each column that it names. */
export function evaluate(query: Query, rows: Rows, frame: TimeFrame): Bitset {
  const all = new Bitset(rows.size).or(rows.live);
  return query.root === null ? all : all.and(evaluateNode(query.root, { rows, frame, within: all }));
}

interface Asked {
  rows: Rows;
  frame: TimeFrame;
  /** The rows that matter: the result is right for these and may hold others. */
  within: Bitset;
}

function evaluateNode(node: Node, asked: Asked): Bitset {
  const { rows, frame, within } = asked;
  const result = new Bitset(rows.size);
  switch (node.kind) {
    case 'and': {
      const all = new Bitset(rows.size).or(within);
      // Numbers first: a pattern is then tried on the few names that are left.
      for (const term of [...node.terms].sort((a, b) => costOf(a) - costOf(b))) {
        if (all.isEmpty) break;
        all.and(evaluateNode(term, { rows, frame, within: all }));
      }
      return all;
    }
    case 'or':
      for (const term of node.terms) result.or(evaluateNode(term, asked));
      return result;
    case 'not':
      return result.or(within).andNot(evaluateNode(node.term, asked));
    case 'word': {
      const word = node.text.toLowerCase();
      rows.names.markContaining(word, result, within);
      rows.notes.markContaining(word, result, within);
      rows.tags.markAny((tag) => tag.toLowerCase().includes(word), result, within);
      return result;
    }
    default:
      break;
  }
  const column = rows.column(node.path);
  if (column === undefined) return node.kind === 'presence' && !node.present ? result.or(rows.live) : result;
  switch (node.kind) {
    case 'flag':
      return column.flags === null ? result : result.or(column.flags.yes);
    case 'presence':
      markPresent(column, result);
      return node.present ? result : new Bitset(rows.size).or(rows.live).andNot(result);
    case 'match': {
      const pattern = new Pattern(node.pattern, node.ignoreCase);
      column.texts?.mark((text) => pattern.test(text), result, within);
      column.lists?.markAny((text) => pattern.test(text), result, within);
      return node.negated ? presentWithout(column, result, rows) : result;
    }
    case 'in':
      markIn(node, column, result, asked);
      return node.negated ? presentWithout(column, result, rows) : result;
    case 'compare':
      markCompare(node, column, result, asked);
      return node.op === '!=' ? presentWithout(column, result, rows) : result;
  }
}

/** Roughly what a test costs per row; texts are compared last. */
function costOf(node: Node): number {
  switch (node.kind) {
    case 'flag':
    case 'presence':
      return 0;
    case 'compare':
      return node.op === ':' || node.op === 'has' ? 2 : 1;
    case 'in':
      return 2;
    case 'match':
    case 'word':
      return 4;
    case 'not':
      return costOf(node.term);
    case 'and':
    case 'or':
      return 3;
  }
}

/** `!=`, `!~` and `not in` are about runs that have a value; `not (…)` is about all. */
function presentWithout(column: Column, result: Bitset, rows: Rows): Bitset {
  const present = new Bitset(rows.size);
  markPresent(column, present);
  return present.andNot(result);
}

function markIn({ values }: InNode, column: Column, result: Bitset, asked: Asked): void {
  for (const value of values) markEqual(value, column, result, asked, false);
}

function markCompare({ op, value }: CompareNode, column: Column, result: Bitset, asked: Asked): void {
  switch (op) {
    case '=':
    case '!=':
      markEqual(value, column, result, asked, false);
      return;
    case ':':
      markEqual(value, column, result, asked, true);
      return;
    case 'has':
      column.texts?.markContaining(value.text.toLowerCase(), result, asked.within);
      column.lists?.markAny((element) => element === value.text, result, asked.within);
      return;
    case '<':
    case '<=':
    case '>':
    case '>=':
      markOrdered(op, value, column, result, asked);
      return;
  }
}

/** `=`, and with `loosely` what `:` means: parts of texts, whatever their case. */
function markEqual(value: Literal, column: Column, result: Bitset, { frame, within }: Asked, loosely: boolean): void {
  if (column.nulls !== null && isNull(value)) result.or(column.nulls);
  const number = numberIn(column, value);
  if (column.numbers !== null && number !== undefined) {
    if (Number.isNaN(number)) column.numbers.notNumbers(result);
    else column.numbers.range(number, number, result);
  }
  const period = column.times === null ? undefined : periodOf(value, frame);
  if (period !== undefined) column.times!.range(period.from, lastOf(period), result);
  const flag = booleanOf(value);
  if (column.flags !== null && flag !== undefined) result.or(flag ? column.flags.yes : column.flags.no);
  if (!loosely) {
    column.texts?.markEqual(value.text, result);
    column.lists?.markAny((element) => element === value.text, result, within);
    return;
  }
  const lower = value.text.toLowerCase();
  column.texts?.markContaining(lower, result, within);
  column.lists?.markAny((element) => element.toLowerCase() === lower, result, within);
}

function markOrdered(
  op: '<' | '<=' | '>' | '>=',
  value: Literal,
  column: Column,
  result: Bitset,
  { frame, within }: Asked,
): void {
  const below = op === '<' || op === '<=';
  const strict = op === '<' || op === '>';
  const number = numberIn(column, value);
  if (column.numbers !== null && number !== undefined && !Number.isNaN(number)) {
    // Nothing is below the least or above the greatest, and neither has a neighbour there.
    if (!(strict && number === (below ? -Infinity : Infinity))) {
      const bound = strict ? beside(number, !below) : number;
      column.numbers.range(below ? -Infinity : bound, below ? bound : Infinity, result);
    }
  }
  const period = column.times === null ? undefined : periodOf(value, frame);
  if (period !== undefined) {
    const { from } = period;
    const last = lastOf(period);
    if (op === '<') column.times!.range(-Infinity, beside(from, false), result);
    else if (op === '<=') column.times!.range(-Infinity, last, result);
    else if (op === '>') column.times!.range(beside(last, true), Infinity, result);
    else column.times!.range(from, Infinity, result);
  }
  // A bare number is compared with numbers only: `lr < 0.1` does not find a text "0".
  if (column.texts === null || numberOf(value) !== undefined) return;
  const { keyOf } = column.texts;
  const key = keyOf(value.text);
  column.texts.mark(
    (text) => {
      if (text === value.text) return !strict;
      return keyOf(text) < key === below;
    },
    result,
    within,
  );
}

/** The number that a literal is in this column. Durations are ms there, and a bare number is seconds. */
function numberIn(column: Column, value: Literal): number | undefined {
  const number = numberOf(value);
  if (!column.duration) return number;
  return number === undefined ? durationOf(value) : number * 1_000;
}

/** The last moment of a period, for inclusive ranges. */
function lastOf({ from, until }: { from: number; until: number }): number {
  return until === from ? from : beside(until, false);
}
