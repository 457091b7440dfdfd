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
const WIDTHS: Readonly<Record<string, number>> = { tags: 168, created: 104, updated: 104, duration: 84, status: 88, notes: 240, user: 96, host: 110, group: 110, id: 220, star: 44 };
const FIELD_LABELS: Readonly<Record<string, string>> = { created: 'Created', updated: 'Changed', duration: 'Duration', status: 'Status', tags: 'Tags', notes: 'Notes', user: 'User', host: 'Host', group: 'Group', id: 'Id', star: 'Star', name: 'Name' };
/** Chosen for a project that nobody has chosen for: what differs, attributes first, then where metrics stand. */
const USUAL_ATTRIBUTES = 6;
const USUAL_METRICS = 6;

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
    this.#choice.current = { ...this.#choice.current, widths: { ...this.#choice.current.widths, [id]: Math.max(48, Math.min(800, Math.round(width))) } };
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
    const usual = WIDTHS[id] ?? Math.max(72, Math.min(180, 24 + 7.5 * Math.max(label.length, Math.min(space.length, 16))));
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

export function usualColumns(infos: readonly ColumnInfo[]): readonly string[] {
  const attributes = infos.filter(({ source, varies }) => source === 'attribute' && varies);
  const metrics = infos.filter(({ source, aggregate }) => source === 'metric' && aggregate === 'last');
  const most = (list: readonly ColumnInfo[], limit: number): string[] => [...list].sort((a, b) => b.filled - a.filled).slice(0, limit).map(({ id }) => id);
  // What was validated comes before what was trained on; otherwise in the order of their names.
  const rank = (path: string): number => (/(^|\/)(val|valid|validation|test|eval)/.test(path) ? 0 : 1);
  const chosen = most(metrics, 40).sort((a, b) => rank(a.slice(2)) - rank(b.slice(2)) || (a < b ? -1 : 1));
  return ['tags', 'created', 'duration', ...most(attributes, USUAL_ATTRIBUTES).sort(), ...chosen.slice(0, USUAL_METRICS)];
}
