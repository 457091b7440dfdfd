import { Persisted } from './persisted.svelte.ts';
import type { ColumnInfo } from '../worker/api.ts';
import { parseColumn } from '../worker/columns.ts';

export interface ShownColumn {
  id: string;
  /** The last part of the path, and what tells it from others. */
  label: string;
  /** The namespace, quieter. */
  space: string;
  width: number;
  numeric: boolean;
}

/** What a person chose for one project: which columns in which order, and their widths. */
interface Choice {
  columns: readonly string[] | null;
  widths: Readonly<Record<string, number>>;
}

const USUAL: Choice = { columns: null, widths: {} };
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
const USUAL_ATTRIBUTES = 6;
const USUAL_METRICS = 4;

export class Columns {
  readonly #choice: Persisted<Choice>;
  infos = $state.raw<readonly ColumnInfo[]>([]);
  readonly ids: readonly string[] = $derived.by(() => this.#choice.current.columns ?? usualColumns(this.infos));
  readonly shown: readonly ShownColumn[] = $derived(this.ids.flatMap((id) => this.#shown(id) ?? []));

  constructor(project: string) {
    this.#choice = new Persisted(`columns/${project}`, USUAL);
  }

  get chosen(): boolean {
    return this.#choice.current.columns !== null;
  }

  set(ids: readonly string[] | null): void {
    this.#choice.current = { ...this.#choice.current, columns: ids };
  }

  toggle(id: string): void {
    this.set(this.ids.includes(id) ? this.ids.filter((each) => each !== id) : [...this.ids, id]);
  }

  /** Puts a column where another is. */
  move(id: string, to: string): void {
    const rest = this.ids.filter((each) => each !== id);
    const at = this.ids.indexOf(to);
    rest.splice(at, 0, id);
    this.set(rest);
  }

  resize(id: string, width: number): void {
    this.#choice.current = {
      ...this.#choice.current,
      widths: { ...this.#choice.current.widths, [id]: Math.max(48, Math.min(800, Math.round(width))) },
    };
  }

  widthOf(id: string, usual: number): number {
    return this.#choice.current.widths[id] ?? usual;
  }

  #shown(id: string): ShownColumn | undefined {
    const parsed = parseColumn(id);
    if (parsed === undefined) return undefined;
    const info = this.infos.find((each) => each.id === id);
    const numeric = parsed.source === 'metric' || info?.numeric === true || id === 'duration';
    const { label, space } = columnLabel(id);
    const usual =
      WIDTHS[id] ??
      Math.max(numeric ? 88 : 72, Math.min(180, 34 + 7.6 * Math.max(label.length, Math.min(space.length, 16))));
    return { id, label, space, numeric, width: this.widthOf(id, usual) };
  }
}

/** A column's words: `lr` in `params`, `max acc` in `val`. */
export function columnLabel(id: string): { label: string; space: string } {
  const parsed = parseColumn(id);
  if (parsed === undefined) return { label: id, space: '' };
  if (parsed.source === 'field') return { label: FIELD_LABELS[parsed.path] ?? parsed.path, space: '' };
  const slash = parsed.path.lastIndexOf('/');
  const name = parsed.path.slice(slash + 1);
  const aggregate = parsed.aggregate === null || parsed.aggregate === 'last' ? '' : `${parsed.aggregate} `;
  return { label: aggregate + name, space: slash === -1 ? '' : parsed.path.slice(0, slash) };
}

/** What differs between runs and where they stand, the most telling first: the names say which those are. */
export function usualColumns(infos: readonly ColumnInfo[]): readonly string[] {
  const attributes = infos.filter(({ source, varies }) => source === 'attribute' && varies);
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
