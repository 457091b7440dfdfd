import type * as Y from 'yjs';
import { isFieldbookError } from '../errors.ts';
import type { BookMonth, DocumentName, ProjectId } from '../ids.ts';
import { bookName, parseDocumentName } from '../ids.ts';
import type { DeviceRecord, DirectoryRecord, ViewRecord, WorkspaceNameRecord } from '../record/index.ts';
import { decodeDirectoryRecord, encodeDirectoryRecord, linkId } from '../record/index.ts';
import type { SavedView } from './views.ts';
import { foldViews } from './views.ts';

/** A book that the directory lists. */
export interface ListedBook {
  document: DocumentName;
  project: ProjectId;
  month: BookMonth;
  /** The project's name as first typed. */
  title: string;
  created: number;
}

/** Typed access to the workspace document: which books and devices exist and what the workspace is called. */
export class Workspace {
  readonly #books: Y.Map<Uint8Array>;
  readonly #devices: Y.Map<Uint8Array>;
  readonly #names: Y.Map<Uint8Array>;
  // Called `x-…` because replicas that know neither take such maps in and keep them.
  readonly #views: Y.Map<Uint8Array>;
  readonly #links: Y.Map<Uint8Array>;

  constructor(doc: Y.Doc) {
    this.#books = doc.getMap<Uint8Array>('books');
    this.#devices = doc.getMap<Uint8Array>('devices');
    this.#names = doc.getMap<Uint8Array>('names');
    this.#views = doc.getMap<Uint8Array>('x-views');
    this.#links = doc.getMap<Uint8Array>('x-links');
  }

  books(): ListedBook[] {
    const books: ListedBook[] = [];
    for (const [key, record] of records(this.#books)) {
      if (record.kind !== 'book') continue;
      const document = `book/${key}` as DocumentName;
      const parsed = tryParse(document);
      if (parsed?.kind === 'book') {
        books.push({
          document,
          project: parsed.project,
          month: parsed.month,
          title: record.title,
          created: record.created,
        });
      }
    }
    return books.sort((a, b) => (a.document < b.document ? -1 : 1));
  }

  hasBook(project: ProjectId, month: BookMonth): boolean {
    return this.#books.has(`${project}/${month}`);
  }

  /** Lists a book unless it is listed already; returns its document's name. */
  ensureBook(project: ProjectId, month: BookMonth, title: string, created: number): DocumentName {
    if (!this.hasBook(project, month)) {
      this.#books.set(`${project}/${month}`, encodeDirectoryRecord({ kind: 'book', title, created, extra: {} }));
    }
    return bookName(project, month);
  }

  devices(): DeviceRecord[] {
    const devices: DeviceRecord[] = [];
    for (const [, record] of records(this.#devices)) if (record.kind === 'device') devices.push(record);
    return devices.sort((a, b) => (a.device < b.device ? -1 : 1));
  }

  /** Writes what a device says of itself, unless it is there already in the same words. */
  putDevice(record: DeviceRecord): void {
    const bytes = encodeDirectoryRecord(record);
    const before = this.#devices.get(record.device);
    if (before === undefined || !equal(before, bytes)) this.#devices.set(record.device, bytes);
  }

  /** The workspace's name: the record with the highest clock, then device. */
  name(): string | null {
    let best: WorkspaceNameRecord | undefined;
    for (const [, record] of records(this.#names)) {
      if (record.kind !== 'workspace-name') continue;
      if (best === undefined || record.at > best.at || (record.at === best.at && record.device > best.device))
        best = record;
    }
    return best?.name ?? null;
  }

  /** `id` must be unique: minted like an edit's. */
  setName(id: string, record: WorkspaceNameRecord): void {
    this.#names.set(id, encodeDirectoryRecord(record));
  }

  /** Saved views of a project that nobody took away, by name. */
  views(project: ProjectId): SavedView[] {
    const list: [string, ViewRecord][] = [];
    for (const [key, record] of records(this.#views))
      if (record.kind === 'view' && record.project === project) list.push([key, record]);
    return foldViews(list);
  }

  /** `id` must be unique: minted like an edit's. Throws `invalid_value`, `record_malformed`, `record_too_large`. */
  addView(id: string, record: ViewRecord): void {
    if (!this.#views.has(id)) this.#views.set(id, encodeDirectoryRecord(record));
  }

  /** Calls when a record of a view or a link comes in. Returns the way to stop. */
  observeViews(listener: () => void): () => void {
    const maps = [this.#views, this.#links];
    for (const map of maps) map.observe(listener);
    return () => maps.forEach((map) => map.unobserve(listener));
  }

  /** Where a link leads; undefined while its record is not here. */
  link(id: string): string | undefined {
    const bytes = this.#links.get(id);
    const record = bytes === undefined ? undefined : read(bytes);
    return record?.kind === 'link' && linkId(record.target) === id ? record.target : undefined;
  }

  /** Keeps an address of a page and returns its id. Throws `record_malformed`, `record_too_large`. */
  addLink(target: string): string {
    const id = linkId(target);
    const bytes = encodeDirectoryRecord({ kind: 'link', target, extra: {} });
    if (!this.#links.has(id)) this.#links.set(id, bytes);
    return id;
  }
}

function* records(map: Y.Map<Uint8Array>): Generator<[string, DirectoryRecord]> {
  for (const [key, bytes] of map.entries()) {
    const record = read(bytes);
    if (record !== undefined) yield [key, record];
  }
}

/** Undefined also for what is broken: one bad record hides nothing but itself. */
function read(bytes: Uint8Array): DirectoryRecord | undefined {
  try {
    return decodeDirectoryRecord(bytes);
  } catch (error) {
    if (!isFieldbookError(error)) throw error;
    return undefined;
  }
}

function tryParse(document: DocumentName): ReturnType<typeof parseDocumentName> | undefined {
  try {
    return parseDocumentName(document);
  } catch {
    return undefined;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
