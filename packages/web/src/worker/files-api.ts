import type { ProjectId, RunId } from '@fieldbook/core';
import type { DataChange, DataFile, DataMove } from '@fieldbook/core/data';
import type { FileState, Travel } from '@fieldbook/core/files';
import type { TableCell, TableColumn } from './tables/table.ts';

export type { DataFile, TableCell, TableColumn };

/** What the page asks its worker of files, objects and their contents. */
export interface FilesApi {
  /** All versions of all files of a run, the newest first. Undefined when nothing of the run can be had. */
  files(run: RunId): Promise<RunFiles | undefined>;
  /** Series of images, texts, tables and the like; console lines are none of them. */
  media(run: RunId): Promise<MediaPath[]>;
  /** Objects of one such series in ascending order of their steps. */
  mediaRows(run: RunId, request: MediaRequest): Promise<MediaRows>;
  /** What a preview needs to know; undefined when there is no such file or object. */
  preview(source: PreviewSource): Promise<PreviewItem | undefined>;
  /** Bytes `[start, end)` of a content, verified chunk by chunk. Errors have the code as name: `blob_missing`, `blob_corrupt`, `peer_unreachable`. */
  contentBytes(content: Content, start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Opens a table, whatever its format: columns, types and number of rows. Throws also `invalid_value` and `too_large`. */
  openTable(item: Pick<PreviewItem, 'content' | 'text' | 'name'>): Promise<TableInfo>;
  /** Rows of an open table, with their numbers in the file. */
  tableRows(key: string, window: TableWindow): Promise<{ numbers: number[]; cells: TableCell[][] }>;
  /** Files of a data version, from its list. */
  dataFiles(list: Content, request: DataRequest): Promise<DataListing>;
  /** How the data version of one list differs from that of another. */
  dataChanges(before: Content, after: Content): Promise<DataChanges>;
  /** A piece of a whole; undefined behind the end. What is only saved is not worth a place in the cache, what is shown is. */
  contentChunk(
    content: Content,
    start: number,
    size: number,
    keep: boolean,
  ): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** What names bytes, wherever they are: enough to read them from this browser or a server. */
export interface Content {
  /** SHA-256 of the whole. */
  digest: string;
  /** SHA-256 of the list of chunks, when there is more than one. */
  chunks: string | null;
  size: number | null;
}

/** A file of a run, or one object of a series: at the step, or of several there the one of this writer and ordinal. */
export type PreviewSource =
  | { run: RunId; path: string; version?: string }
  | { run: RunId; series: string; step: number; writer?: string; ordinal?: number };

export interface PreviewItem {
  run: RunId;
  path: string;
  name: string;
  /** `file`, `model`, `image`, `table`, … as whoever wrote it said. */
  kind: string;
  mime: string | null;
  size: number | null;
  time: number;
  /** Of an object. */
  step: number | null;
  meta: Readonly<Record<string, unknown>> | null;
  /** Null where the text is all of it, or nobody has stored its bytes. */
  content: Content | null;
  /** Of a text its characters, of a histogram or small table its JSON. */
  text: string | null;
  /** Of an object: `<writer>.<ordinal>`, which names it among those of its step. */
  row: string | null;
  /** Of a file; null of an object. */
  file: FileLine | null;
}

export interface RunFiles {
  files: FileLine[];
  /** The server has said where bytes are; without it only what this browser holds is known. */
  fresh: boolean;
}

export interface FileLine {
  /** Names this version on every replica. */
  id: string;
  run: RunId;
  project: ProjectId | null;
  path: string;
  name: string;
  kind: string;
  mime: string | null;
  size: number | null;
  time: number;
  modified: number | null;
  writer: string;
  /** What the machine is called that took it in, and its id. */
  machine: string;
  device: string;
  current: boolean;
  removed: boolean;
  meta: Readonly<Record<string, unknown>> | null;
  content: Content | null;
  source: string | null;
  failure: string | null;
  travel: Travel;
  /** Where its bytes are as the server sees it; null while no server has said so. */
  state: FileState | null;
  /** All its bytes are in this browser. */
  kept: boolean;
  /** Replicas that are known to have the bytes, by name. */
  holders: readonly string[];
  /** Somebody has asked for it. */
  requested: boolean;
}

export interface MediaPath {
  path: string;
  /** Kind → rows, the most frequent first. */
  kinds: Readonly<Record<string, number>>;
  rows: number;
  firstStep: number;
  lastStep: number;
}

export interface MediaRequest {
  path: string;
  from?: number;
  to?: number;
  end?: 'first' | 'last';
  limit: number;
}

export interface MediaRows {
  rows: PreviewItem[];
  /** There are more in the range. */
  more: boolean;
  /** Objects that are recorded, but whose list is on another machine. */
  missing: number;
}

export interface TableInfo {
  key: string;
  columns: readonly TableColumn[];
  rows: number;
  /** What of it is not shown, in words. */
  note: string | null;
}

export interface TableWindow {
  first: number;
  count: number;
  columns: readonly number[];
  sort: { column: number; descending: boolean } | null;
}

export interface DataRequest {
  first: number;
  count: number;
  /** Part of the paths wanted; '' for all. */
  search: string;
}

export interface DataListing {
  digest: string;
  root: string;
  /** `files`, `dvc`, `git-lfs`, `s3`. */
  from: string;
  notes: readonly string[];
  files: number;
  bytes: number;
  /** Files that have what was searched for. */
  found: number;
  rows: DataFile[];
}

/** How many of each kind, and the first of them. */
interface Some<T> {
  count: number;
  some: readonly T[];
}

export interface DataChanges {
  same: boolean;
  kept: number;
  added: Some<DataFile>;
  removed: Some<DataFile>;
  changed: Some<DataChange>;
  moved: Some<DataMove>;
  unknown: Some<DataChange>;
}
