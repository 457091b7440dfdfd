import type { Drawer, SortKey } from '../worker/api.ts';
import { parseColumn } from '../worker/columns.ts';
import type { SummaryKind } from '../worker/groups-api.ts';
import { GROUP_SIZE, SUMMARY_KINDS } from '../worker/groups-api.ts';
import { shortId } from './routes.ts';

/** What of a project page is in its address: a link restores all of it. What is as usual is not in it. */
export interface ViewState {
  query: string;
  sort: readonly SortKey[];
  drawer: Drawer;
  /** Short ids of selected runs; `all` that match; `elsewhere` for more than an address holds, kept by the tab. */
  selected: readonly string[] | 'all' | 'elsewhere';
  /** Null where the page chooses. */
  columns: readonly string[] | null;
  /** Those of them that stay at the left. */
  pinned: readonly string[];
  /** Columns that say the same of all runs are left out. */
  varying: boolean;
  by: readonly string[];
  summary: SummaryKind;
  /** Ids of open groups; after a `*`, of those closed while all others are open. */
  open: readonly string[] | 'all';
  /** What is set about charts, as `charts/address.ts` writes it. */
  charts: string;
  /** What fills the page; null: as whoever looks has it. */
  shape: Shape | null;
}

export const SHAPES = ['both', 'table', 'charts'] as const;
export type Shape = (typeof SHAPES)[number];

export const NEWEST_FIRST: readonly SortKey[] = [{ column: 'created', descending: true }];
export const USUAL_VIEW: ViewState = {
  query: '',
  sort: NEWEST_FIRST,
  drawer: 'runs',
  selected: [],
  columns: null,
  pinned: [],
  varying: false,
  by: [],
  summary: 'mean',
  open: [],
  charts: '',
  shape: null,
};
/** The address bar is no place for a thousand ids; a link record has room for more. */
export const SELECTED_IN_ADDRESS = 50;
/** Before ids of groups: all but these are open. */
export const ALL = '*';
/** Levels of groups; more is a table of single runs. */
export const MOST_LEVELS = 4;
const MOST_OPEN = 100;

export function readViewState(search: string): ViewState {
  const parameters = new URLSearchParams(search);
  const text = (key: string): string => parameters.get(key) ?? '';
  const drawer = text('in');
  const columns = parameters.get('cols');
  // Pinned ones stand before the "!".
  const [pinned, free] = columns?.includes('!') === true ? columns.split('!') : ['', columns];
  const selected = text('sel');
  const open = text('open');
  return {
    query: text('q'),
    sort: readSort(text('sort')),
    drawer: drawer === 'archive' || drawer === 'trash' ? drawer : 'runs',
    selected: selected === '*' ? 'all' : selected === '~' ? 'elsewhere' : readList(selected),
    columns: columns === null ? null : [...readColumns(pinned ?? ''), ...readColumns(free ?? '')],
    pinned: readColumns(pinned ?? ''),
    varying: text('vary') === '1',
    by: readColumns(text('by')).slice(0, MOST_LEVELS),
    summary: SUMMARY_KINDS.find((kind) => kind === text('sum')) ?? 'mean',
    open: open === ALL ? 'all' : readList(open),
    charts: text('c'),
    shape: SHAPES.find((shape) => shape === text('show')) ?? null,
  };
}

/** Settings of charts that say that all is as usual, in a link: nothing at all would be the choices of whoever opens it. */
export const USUAL_CHARTS = '-';

/**
 * The search part of an address, empty or with its `?`; nothing that is as usual is in it. `most` ids of selected runs fit. `whole`: for
 * others, who have choices of their own that what is not said would leave to them.
 */
export function writeViewState(state: ViewState, most = SELECTED_IN_ADDRESS, whole = false): string {
  const parts: string[] = [];
  const put = (key: string, value: string): void => void (value !== '' && parts.push(`${key}=${encode(value)}`));
  put('q', state.query.trim() === '' ? '' : state.query);
  const order = writeSort(state.sort);
  put('sort', order === writeSort(NEWEST_FIRST) ? '' : order);
  put('in', state.drawer === 'runs' ? '' : state.drawer);
  put('by', writeList(state.by));
  if (state.by.length > 0) {
    put('sum', state.summary === 'mean' ? '' : state.summary);
    put('open', writeOpen(state.open));
  }
  if (state.columns !== null) {
    const { columns, pinned } = state;
    const left = pinned.filter((id) => columns.includes(id));
    const rest = writeList(columns.filter((id) => !left.includes(id)));
    // An empty list is a choice too.
    parts.push(`cols=${encode(left.length === 0 ? rest : `${writeList(left)}!${rest}`)}`);
  }
  put('vary', state.varying ? '1' : '');
  put('show', state.shape ?? '');
  put('c', state.charts === '' && whole ? USUAL_CHARTS : state.charts);
  put('sel', writeSelected(state.selected, most));
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** What a saved view comes to: one that was saved before views said what is as usual says it, too. */
export function spellOut(search: string, usual: { columns: readonly string[]; shape: Shape }): string {
  const state = readViewState(search);
  const { columns, shape } = state;
  return writeViewState({ ...state, columns: columns ?? usual.columns, shape: shape ?? usual.shape }, 0, true);
}

function writeOpen(open: ViewState['open']): string {
  if (open === 'all') return ALL;
  return open[0] === ALL ? writeList([ALL, ...open.slice(1).slice(-MOST_OPEN)]) : writeList(open.slice(-MOST_OPEN));
}

function writeSelected(selected: ViewState['selected'], most: number): string {
  if (selected === 'all') return '*';
  if (selected === 'elsewhere' || selected.length > most) return '~';
  return writeList(selected.map(shortId));
}

/** A list as one text; `,`, `!` and `%` of its elements are escaped, before the address escapes the rest. */
function writeList(list: readonly string[]): string {
  return list.map((text) => text.replaceAll('%', '%25').replaceAll(',', '%2C').replaceAll('!', '%21')).join(',');
}

function readList(text: string): string[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.replaceAll('%21', '!').replaceAll('%2C', ',').replaceAll('%25', '%'));
}

function readColumns(text: string): string[] {
  return readList(text).filter((id) => parseColumn(id) !== undefined);
}

/** A click on a column's header: ascending, descending, back to usual; with `more` it is added to the others. */
export function clickSort(
  sort: readonly SortKey[],
  column: string,
  more: boolean,
  descendingFirst: boolean,
): readonly SortKey[] {
  const index = sort.findIndex((key) => key.column === column);
  const found = index === -1 || (!more && sort.length > 1) ? undefined : sort[index];
  const next: SortKey | null =
    found === undefined
      ? { column, descending: descendingFirst }
      : found.descending === descendingFirst
        ? { column, descending: !descendingFirst }
        : null;
  if (!more) return next === null ? NEWEST_FIRST : [next];
  const changed =
    found === undefined
      ? [...sort, next!]
      : sort.flatMap((key, at) => (at !== index ? [key] : next === null ? [] : [next]));
  return changed.length === 0 ? NEWEST_FIRST : changed;
}

function readSort(text: string): readonly SortKey[] {
  const keys: SortKey[] = [];
  for (const part of readList(text)) {
    const descending = part.startsWith('-');
    const column = descending ? part.slice(1) : part;
    if (column === GROUP_SIZE || parseColumn(column) !== undefined) keys.push({ column, descending });
  }
  return keys.length === 0 ? NEWEST_FIRST : keys;
}

function writeSort(sort: readonly SortKey[]): string {
  return writeList(sort.map(({ column, descending }) => `${descending ? '-' : ''}${column}`));
}

/** Percent-encoding that leaves what queries are full of readable. */
function encode(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%20', '+')
    .replaceAll('%3A', ':')
    .replaceAll('%2F', '/')
    .replaceAll('%2C', ',')
    .replaceAll('%22', '"')
    .replaceAll('%3C', '<')
    .replaceAll('%3E', '>')
    .replaceAll('%2A', '*')
    .replaceAll('%7E', '~')
    .replaceAll('%21', '!');
}
