import type { ProjectId } from '@fieldbook/core';
import { goalOf } from '../charts/goals.ts';
import type { ColumnInfo } from '../worker/api.ts';
import { FIELDS, metricColumn, parseColumn } from '../worker/columns.ts';
import type { MetricGoal } from '../worker/plots-api.ts';
import { actions } from './actions.svelte.ts';
import { beside, moved } from './columnorder.ts';
import { Persisted } from './persisted.svelte.ts';

export interface ShownColumn {
  id: string;
  /** The last part of the path, and what tells it from others. */
  label: string;
  /** The namespace, quieter. */
  space: string;
  width: number;
  /** Somebody chose the width. */
  sized: boolean;
  numeric: boolean;
  pinned: boolean;
  /** The column that the worker is asked for: the best of a metric is its least or its greatest. Null when nobody knows which. */
  asked: string | null;
}

/** What a person chose for one project: which columns in which order, which of them stay at the left, and their widths. */
export interface ColumnChoice {
  /** Null: chosen by the page, from what the runs have. */
  columns: readonly string[] | null;
  pinned: readonly string[];
  /** Columns in which all runs say the same are left out. */
  varying: boolean;
  widths: Readonly<Record<string, number>>;
}

export const USUAL_CHOICE: ColumnChoice = { columns: null, pinned: [], varying: false, widths: {} };
/** Between two of them, a column can still be told from the next. */
const LEAST_WIDTH = 48;
const MOST_WIDTH = 800;
const WIDTHS: Readonly<Record<string, number>> = {
  tags: 148,
  created: 100,
  updated: 100,
  duration: 84,
  status: 88,
  notes: 240,
  user: 96,
  host: 110,
  group: 110,
  id: 220,
  star: 44,
};
const FIELD_LABELS: Readonly<Record<string, string>> = {
  created: 'Created',
  updated: 'Changed',
  duration: 'Duration',
  status: 'Status',
  tags: 'Tags',
  notes: 'Notes',
  user: 'User',
  host: 'Host',
  group: 'Group',
  id: 'Id',
  star: 'Star',
  name: 'Name',
};
const AGGREGATE_WORDS: Readonly<Record<string, string>> = {
  last: '',
  min: 'min ',
  max: 'max ',
  best: 'best ',
  count: 'count ',
  step: 'last step of ',
  minStep: 'step of min ',
  maxStep: 'step of max ',
  bestStep: 'step of best ',
};
const USUAL_ATTRIBUTES = 6;
const USUAL_METRICS = 4;

/** The columns of a project's table. Choices stay in this browser; those of a link hold until the first change and then become one's own. */
export class Columns {
  readonly #kept: Persisted<ColumnChoice>;
  #linked = $state.raw<Partial<ColumnChoice> | null>(null);
  infos = $state.raw<readonly ColumnInfo[]>([]);
  goals = $state.raw<readonly MetricGoal[]>([]);
  readonly choice: ColumnChoice = $derived.by(() => ({
    ...USUAL_CHOICE,
    ...this.#kept.current,
    ...this.#linked,
  }));
  /** Those that the page chooses. */
  readonly usual: readonly string[] = $derived.by(() => usualColumns(this.infos));
  readonly #known = $derived(new Map(this.infos.map((info) => [info.id, info])));
  /** Those at the left first. */
  readonly ids: readonly string[] = $derived.by(() => {
    const { columns, pinned } = this.choice;
    const ids = columns ?? this.usual;
    const left = pinned.filter((id) => ids.includes(id));
    return [...left, ...ids.filter((id) => !left.includes(id))];
  });
  readonly shown: readonly ShownColumn[] = $derived(
    this.ids
      .filter((id) => !this.choice.varying || this.#known.get(this.#ask(id) ?? id)?.varies !== false)
      .flatMap((id) => this.#shown(id) ?? []),
  );

  constructor(project: ProjectId) {
    this.#kept = new Persisted<ColumnChoice>(`columns/${project}`, USUAL_CHOICE);
  }

  get chosen(): boolean {
    return this.choice.columns !== null;
  }

  /** Those of an address or a saved view that hold now, null while one's own do. */
  get linked(): Partial<ColumnChoice> | null {
    return this.#linked;
  }

  /** What an address has to say of them; null where it need not, for the page chooses. */
  get said(): readonly string[] | null {
    return this.choice.columns ?? (this.#kept.current.columns === null ? null : this.ids);
  }

  /** Takes columns of an address or a saved view; null for none, which leaves one's own. */
  link(choice: Partial<ColumnChoice> | null): void {
    this.#linked = choice;
  }

  set(ids: readonly string[] | null): void {
    this.#change(ids === null ? 'Let the page choose the columns' : 'Chose columns', { columns: ids }, 'columns');
  }

  toggle(id: string): void {
    const there = this.ids.includes(id);
    const columns = there ? this.ids.filter((each) => each !== id) : [...this.ids, id];
    this.#change(`${there ? 'Hid' : 'Showed'} the column ${words(id)}`, { columns });
  }

  show(id: string): void {
    if (!this.ids.includes(id)) this.toggle(id);
  }

  /** Puts a column where another is. */
  move(id: string, to: string): void {
    if (id === to) return;
    const order = moved({ columns: this.ids, pinned: this.choice.pinned }, id, to);
    this.#change(`Moved the column ${words(id)}`, order, `move/${id}`);
  }

  /** Moves a column by one place among those that are seen; false at the end. */
  shift(id: string, step: -1 | 1): boolean {
    const shown = this.shown.map((column) => column.id);
    const to = beside(shown, id, step);
    if (to === undefined) return false;
    this.move(id, to);
    return true;
  }

  pin(id: string): void {
    const { pinned } = this.choice;
    const there = pinned.includes(id);
    this.#change(there ? `Let the column ${words(id)} scroll` : `Kept the column ${words(id)} at the left`, {
      columns: this.ids,
      pinned: there ? pinned.filter((each) => each !== id) : [...pinned, id],
    });
  }

  setVarying(varying: boolean): void {
    this.#change(varying ? 'Left out columns that say the same' : 'Showed columns that say the same', { varying });
  }

  resize(id: string, width: number): void {
    const widths = {
      ...this.choice.widths,
      [id]: Math.max(LEAST_WIDTH, Math.min(MOST_WIDTH, Math.round(width))),
    };
    this.#change(`Changed the width of ${words(id)}`, { widths }, `width/${id}`);
  }

  /** Takes back everything that was chosen. */
  reset(): void {
    this.#change('Took back all choices of columns', USUAL_CHOICE);
  }

  /** The whole of a choice, as it was before a dialog. */
  restore(choice: ColumnChoice): void {
    this.#change('Took the changes of columns back', choice);
  }

  widthOf(id: string, usual: number): number {
    return this.choice.widths[id] ?? usual;
  }

  /** What to ask the worker for; null for the best of a metric of which nobody said what is good. */
  #ask(id: string): string | null {
    const parsed = parseColumn(id);
    if (parsed?.aggregate !== 'best' && parsed?.aggregate !== 'bestStep') return id;
    const goal = goalOf(parsed.path, this.goals);
    if (goal === null) return null;
    return metricColumn(parsed.path, parsed.aggregate === 'best' ? goal : `${goal}Step`);
  }

  /** The same for an order: a column that nobody can name says nothing of it. */
  asked(id: string): string {
    return this.#ask(id) ?? id;
  }

  #change(what: string, next: Partial<ColumnChoice>, kind?: string): void {
    const [kept, linked] = [this.#kept.current, this.#linked];
    const after = { ...this.choice, ...next };
    const forth = (): void => {
      this.#kept.current = after;
      this.#linked = null;
    };
    forth();
    actions.did({
      what,
      ...(kind === undefined ? {} : { kind }),
      undo: () => {
        this.#kept.current = kept;
        this.#linked = linked;
      },
      redo: forth,
    });
  }

  #shown(id: string): ShownColumn | undefined {
    const parsed = parseColumn(id);
    if (parsed === undefined || id === 'name') return undefined;
    const info = this.#known.get(id);
    const numeric = parsed.source === 'metric' || info?.numeric === true || id === 'duration';
    const { label, space } = columnLabel(id);
    const usual =
      WIDTHS[id] ??
      Math.max(numeric ? 88 : 72, Math.min(180, 34 + 7.6 * Math.max(label.length, Math.min(space.length, 16))));
    return {
      id,
      label,
      space,
      numeric,
      width: this.widthOf(id, usual),
      sized: id in this.choice.widths,
      pinned: this.choice.pinned.includes(id),
      asked: this.#ask(id),
    };
  }
}

/** A column's words: `lr` in `params`, `max acc` in `val`. */
export function columnLabel(id: string): { label: string; space: string } {
  const parsed = parseColumn(id);
  if (parsed === undefined) return { label: id, space: '' };
  if (parsed.source === 'field') return { label: FIELD_LABELS[parsed.path] ?? parsed.path, space: '' };
  const slash = parsed.path.lastIndexOf('/');
  const name = parsed.path.slice(slash + 1);
  const aggregate = parsed.aggregate === null ? '' : (AGGREGATE_WORDS[parsed.aggregate] ?? '');
  return { label: aggregate + name, space: slash === -1 ? '' : parsed.path.slice(0, slash) };
}

/** A column in a sentence. */
export function words(id: string): string {
  const { label, space } = columnLabel(id);
  return space === '' ? label : `${space}/${label}`;
}

/** Fields that a table can show as columns: the name is always there. */
export const FIELD_COLUMNS: readonly string[] = FIELDS.filter((field) => field !== 'name');

/** What differs between runs and where they stand, the most telling first: the names say which those are. */
export function usualColumns(infos: readonly ColumnInfo[]): readonly string[] {
  const attributes = infos.filter(
    ({ source, path, varies }) => source === 'attribute' && varies && !path.startsWith('metric/'),
  );
  const metrics = infos.filter(({ source, aggregate }) => source === 'metric' && aggregate === 'last');
  const most = Math.max(1, ...infos.map(({ filled }) => filled));
  // Validated before trained on; parameters before what describes data and machines; what most runs have before the rest.
  const metricRank = ({ path }: ColumnInfo): number =>
    /(^|\/)(val|valid|validation|test|eval)/.test(path) ? 0 : /^(sys|system|time)\//.test(path) ? 2 : 1;
  const attributeRank = ({ path, numeric }: ColumnInfo): number =>
    (/^(params|parameters|config|hparams|hyperparameters)\//.test(path) ? 0 : 2) + (numeric ? 0 : 1);
  const best = (list: readonly ColumnInfo[], rank: (info: ColumnInfo) => number, limit: number): string[] =>
    [...list]
      .sort(
        (a, b) =>
          rank(a) - rank(b) || Number(b.filled > most / 2) - Number(a.filled > most / 2) || (a.path < b.path ? -1 : 1),
      )
      .slice(0, limit)
      .map(({ id }) => id);
  return [
    'tags',
    ...best(metrics, metricRank, USUAL_METRICS),
    ...best(attributes, attributeRank, USUAL_ATTRIBUTES),
    'created',
    'duration',
  ];
}
