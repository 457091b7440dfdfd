import type { Drawer, SortKey } from '../worker/api.ts';
import { parseColumn } from '../worker/columns.ts';
import { shortId } from './routes.ts';

/** What of a project page is in its address: a link restores the query, the order, the drawer and the selection. */
export interface ViewState {
  query: string;
  sort: readonly SortKey[];
  drawer: Drawer;
  /** Short ids of selected runs. */
  selected: readonly string[];
}

export const NEWEST_FIRST: readonly SortKey[] = [{ column: 'created', descending: true }];
/** An address is no place for a thousand ids. */
const SELECTED_IN_ADDRESS = 50;

export function readViewState(search: string): ViewState {
  const parameters = new URLSearchParams(search);
  const drawer = parameters.get('in');
  return {
    query: parameters.get('q') ?? '',
    sort: readSort(parameters.get('sort') ?? ''),
    drawer: drawer === 'archive' || drawer === 'trash' ? drawer : 'runs',
    selected: (parameters.get('sel') ?? '').split(',').filter((id) => id !== ''),
  };
}

/** The search part of an address, empty or with its `?`; nothing that is as usual is in it. */
export function writeViewState({ query, sort, drawer, selected }: ViewState): string {
  const parts: string[] = [];
  if (query.trim() !== '') parts.push(`q=${encode(query)}`);
  const order = writeSort(sort);
  if (order !== writeSort(NEWEST_FIRST)) parts.push(`sort=${encode(order)}`);
  if (drawer !== 'runs') parts.push(`in=${drawer}`);
  if (selected.length > 0)
    parts.push(`sel=${selected.slice(0, SELECTED_IN_ADDRESS).map(shortId).map(encode).join(',')}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
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
  for (const part of text.split(',')) {
    const descending = part.startsWith('-');
    const column = descending ? part.slice(1) : part;
    if (parseColumn(column) !== undefined) keys.push({ column, descending });
  }
  return keys.length === 0 ? NEWEST_FIRST : keys;
}

function writeSort(sort: readonly SortKey[]): string {
  return sort.map(({ column, descending }) => `${descending ? '-' : ''}${column}`).join(',');
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
    .replaceAll('%3E', '>');
}
