import { FIELD_PARTS } from './field-columns.ts';
import { unreadable } from './part.ts';
import type { ColumnInfo } from './stats.ts';

/** Ids and rows; every other part but the fields' is a column named by its id without the aggregate. */
export const IDS = 'ids';

/** What a stored table consists of. */
export interface TableDirectory {
  parts: readonly (readonly [part: string, columns: readonly ColumnInfo[]])[];
}

export function partOf(source: 'attribute' | 'metric', path: string): string {
  return `${source === 'attribute' ? 'a' : 'm'}:${path}`;
}

export function makeDirectory(columns: readonly ColumnInfo[]): TableDirectory {
  const infos = new Map<string, ColumnInfo[]>();
  for (const part of [IDS, ...FIELD_PARTS]) infos.set(part, []);
  for (const info of columns) {
    const part = partOf(info.source, info.path);
    const list = infos.get(part);
    if (list === undefined) infos.set(part, [info]);
    else list.push(info);
  }
  return { parts: [...infos] };
}

/** Throws `snapshot_unreadable`. */
export function readDirectory(directory: unknown): TableDirectory['parts'] {
  const parts = (directory as TableDirectory | null)?.parts;
  if (!Array.isArray(parts) || !parts.every((part) => Array.isArray(part) && Array.isArray(part[1])))
    throw unreadable('it has no list of its parts');
  const names = new Set(parts.map(([part]) => part as string));
  const missing = [IDS, ...FIELD_PARTS].find((part) => !names.has(part));
  if (missing !== undefined) throw unreadable(`its part ${missing} is missing`);
  return parts as TableDirectory['parts'];
}
