import type { RunState } from '../fold/state.ts';
import type { RunId } from '../ids.ts';
import type { Bitset } from './bitset.ts';
import type { Column } from './columns.ts';
import { FlagColumn, NO_VALUES } from './columns.ts';
import type { FieldName } from './fields.ts';
import type { NumberStore } from './numbers.ts';
import { NumberColumn } from './numbers.ts';
import type { PackedNumbers, PackedTexts, PartReader, PartWriter } from './part.ts';
import { ListColumn, TextColumn } from './texts.ts';

const TEXTS = ['name', 'project', 'status', 'group', 'user', 'host', 'notes'] as const;
const TIMES = ['created', 'updated', 'ended'] as const;
const FLAGS = ['star', 'archived', 'trashed', 'unnamed', 'conflicted'] as const;
/** `conflicts` and `sources` are no fields of a query: which registers of a run are in conflict, and which documents hold records of it. */
const LISTS = ['tags', 'conflicts', 'sources'] as const;

/** Names of the stored parts of the fields, flags in one. */
export const FIELD_PARTS: readonly string[] = [
  ...[...TEXTS, ...TIMES, ...LISTS, 'writers'].map((field) => `f:${field}`),
  'f:flags',
];

/** The fields of every run, by row. */
export class FieldColumns {
  readonly texts = {
    // Ids order by code units: it is the order that breaks ties, and natural order costs more.
    id: new TextColumn((id) => id),
    name: new TextColumn(),
    project: new TextColumn(),
    status: new TextColumn(),
    group: new TextColumn(),
    user: new TextColumn(),
    host: new TextColumn(),
    notes: new TextColumn(),
  };
  readonly times = { created: new NumberColumn(), updated: new NumberColumn(), ended: new NumberColumn() };
  readonly flags = {
    star: new FlagColumn(),
    archived: new FlagColumn(),
    trashed: new FlagColumn(),
    unnamed: new FlagColumn(),
    conflicted: new FlagColumn(),
  };
  readonly lists = { tags: new ListColumn(), conflicts: new ListColumn(), sources: new ListColumn() };
  readonly numbers = { writers: new NumberColumn() };
  #byId: { order: ArrayLike<number>; rows: Uint32Array } | null = null;

  /** Where free words are looked for. */
  get searched(): { names: TextColumn; notes: TextColumn; tags: ListColumn } {
    return { names: this.texts.name, notes: this.texts.notes, tags: this.lists.tags };
  }

  /** Takes in what a state says; `changed` hears of each part that it changes. */
  set(row: number, state: RunState, changed: (part: string) => void): void {
    const { texts, times, flags, lists } = this;
    const told = (field: string, change: boolean): void => {
      if (change) changed(`f:${field}`);
    };
    texts.id.set(row, state.id);
    for (const field of TEXTS) told(field, putText(texts[field], row, state[field]));
    for (const field of TIMES) {
      const time = state[field];
      told(field, time === null ? times[field].clear(row) : times[field].set(row, time));
    }
    for (const field of FLAGS)
      told('flags', flags[field].set(row, field === 'conflicted' ? state.conflicts.length > 0 : state[field]));
    told('tags', putList(lists.tags, row, state.tags));
    told(
      'conflicts',
      putList(
        lists.conflicts,
        row,
        state.conflicts.map(({ field }) => field),
      ),
    );
    told('writers', this.numbers.writers.set(row, state.writers.length));
  }

  clear(row: number, changed: (part: string) => void): void {
    for (const group of [this.texts, this.times, this.flags, this.lists, this.numbers]) {
      for (const column of Object.values(group) as { clear(row: number): void }[]) column.clear(row);
    }
    FIELD_PARTS.forEach(changed);
  }

  pack(part: string, into: PartWriter): unknown {
    const field = part.slice(2);
    if (isOne(TEXTS, field)) return this.texts[field].pack(into);
    if (isOne(TIMES, field)) return this.times[field].pack(into);
    if (isOne(LISTS, field)) return this.lists[field].texts.pack(into);
    if (field === 'writers') return this.numbers.writers.pack(into);
    return Object.fromEntries(FLAGS.map((flag) => [flag, this.flags[flag].pack(into)]));
  }

  /** Puts a stored part in place of what is here. */
  unpack(part: string, from: PartReader): void {
    const field = part.slice(2);
    if (isOne(TEXTS, field)) this.texts[field] = TextColumn.unpack(from.header as PackedTexts, from);
    else if (isOne(TIMES, field)) this.times[field] = NumberColumn.unpack(from.header as PackedNumbers, from);
    else if (isOne(LISTS, field)) this.lists[field] = ListColumn.unpack(from.header as PackedTexts, from);
    else if (field === 'writers') this.numbers.writers = NumberColumn.unpack(from.header as PackedNumbers, from);
    else {
      const packed = from.header as Record<(typeof FLAGS)[number], Parameters<typeof FlagColumn.unpack>[0]>;
      for (const flag of FLAGS) this.flags[flag] = FlagColumn.unpack(packed[flag], from);
    }
  }

  column(field: FieldName, now: number): Column {
    switch (field) {
      case 'id':
      case 'name':
      case 'project':
      case 'status':
      case 'group':
      case 'user':
      case 'host':
      case 'notes':
        return { ...NO_VALUES, texts: this.texts[field] };
      case 'created':
      case 'updated':
      case 'ended':
        return { ...NO_VALUES, times: this.times[field] };
      case 'star':
      case 'archived':
      case 'trashed':
      case 'unnamed':
      case 'conflicted':
        return { ...NO_VALUES, flags: this.flags[field] };
      case 'tags':
        return { ...NO_VALUES, lists: this.lists.tags };
      case 'writers':
        return { ...NO_VALUES, numbers: this.numbers.writers };
      case 'duration':
        return { ...NO_VALUES, numbers: new Durations(this, now), duration: true };
    }
  }

  /** Rows in the order of their run ids; kept until a run comes or goes. */
  rowsById(rowOf: (id: RunId) => number): Uint32Array {
    const ids = this.texts.id;
    const order = ids.order();
    if (this.#byId?.order !== order) {
      const rows = new Uint32Array(order.length);
      for (let index = 0; index < rows.length; index++) rows[index] = rowOf(ids.text(order[index]!) as RunId);
      this.#byId = { order, rows };
    }
    return this.#byId.rows;
  }

  /** Takes in ids by row and the rows in the order of their ids. */
  putIds(ids: readonly (string | undefined)[], rows: Uint32Array): void {
    const order = rows.map((row) => row + 1);
    this.texts.id = TextColumn.numbered(ids, order, this.texts.id.keyOf);
    this.#byId = { order, rows };
  }
}

function isOne<T extends string>(names: readonly T[], name: string): name is T {
  return (names as readonly string[]).includes(name);
}

function putText(column: TextColumn, row: number, text: string | null): boolean {
  return text === null || text === '' ? column.clear(row) : column.set(row, text);
}

function putList(column: ListColumn, row: number, list: readonly string[]): boolean {
  return list.length === 0 ? column.clear(row) : column.set(row, list);
}

/** How long each run ran, in ms; those that are running, until now. Never negative, whatever the clocks said. */
class Durations implements NumberStore {
  readonly #fields: FieldColumns;
  readonly #now: number;
  readonly #running: number;

  constructor(fields: FieldColumns, now: number) {
    this.#fields = fields;
    this.#now = now;
    this.#running = fields.texts.status.codeOf('running') ?? -1;
  }

  get(row: number): number | undefined {
    const { times, texts } = this.#fields;
    const created = times.created.get(row);
    if (created === undefined) return undefined;
    const running = texts.status.code(row) === this.#running;
    const until = times.ended.get(row) ?? (running ? this.#now : times.updated.get(row)!);
    return Math.max(0, until - created);
  }

  range(low: number, high: number, into: Bitset): void {
    for (let row = 0; row < into.words.length * 32; row++) {
      const value = this.get(row);
      if (value !== undefined && value >= low && value <= high) into.add(row);
    }
  }

  notNumbers(): void {}

  present(into: Bitset): void {
    this.#fields.times.created.present(into);
  }
}
