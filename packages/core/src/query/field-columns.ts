import type { RunState } from '../fold/state.ts';
import type { RunId } from '../ids.ts';
import type { Bitset } from './bitset.ts';
import type { Column } from './columns.ts';
import { FlagColumn, NO_VALUES } from './columns.ts';
import type { FieldName } from './fields.ts';
import type { NumberStore } from './numbers.ts';
import { NumberColumn } from './numbers.ts';
import { ListColumn, TextColumn } from './texts.ts';

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
  readonly lists = { tags: new ListColumn() };
  readonly numbers = { writers: new NumberColumn() };
  #byId: { order: readonly number[]; rows: Uint32Array } | null = null;

  /** Where free words are looked for. */
  get searched(): { names: TextColumn; notes: TextColumn; tags: ListColumn } {
    return { names: this.texts.name, notes: this.texts.notes, tags: this.lists.tags };
  }

  set(row: number, state: RunState): void {
    const { texts, times, flags } = this;
    texts.id.set(row, state.id);
    texts.name.set(row, state.name);
    texts.project.set(row, state.project);
    texts.status.set(row, state.status);
    putText(texts.group, row, state.group);
    putText(texts.user, row, state.user);
    putText(texts.host, row, state.host);
    putText(texts.notes, row, state.notes);
    times.created.set(row, state.created);
    times.updated.set(row, state.updated);
    if (state.ended === null) times.ended.clear(row);
    else times.ended.set(row, state.ended);
    flags.star.set(row, state.star);
    flags.archived.set(row, state.archived);
    flags.trashed.set(row, state.trashed);
    flags.unnamed.set(row, state.unnamed);
    flags.conflicted.set(row, state.conflicts.length > 0);
    if (state.tags.length === 0) this.lists.tags.clear(row);
    else this.lists.tags.set(row, state.tags);
    this.numbers.writers.set(row, state.writers.length);
  }

  clear(row: number): void {
    for (const group of [this.texts, this.times, this.flags, this.lists, this.numbers]) {
      for (const column of Object.values(group) as { clear(row: number): void }[]) column.clear(row);
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
  rowsById(rowOf: ReadonlyMap<RunId, number>): Uint32Array {
    const ids = this.texts.id;
    const order = ids.order();
    if (this.#byId?.order !== order) {
      this.#byId = { order, rows: Uint32Array.from(order, (code) => rowOf.get(ids.text(code) as RunId)!) };
    }
    return this.#byId.rows;
  }
}

function putText(column: TextColumn, row: number, text: string | null): void {
  if (text === null || text === '') column.clear(row);
  else column.set(row, text);
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
