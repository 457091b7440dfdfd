import type * as Y from 'yjs';
import { isFieldbookError } from '../errors.ts';
import type { BookMonth, DocumentName, ProjectId } from '../ids.ts';
import { bookName, parseDocumentName } from '../ids.ts';
import type { DeviceRecord, DirectoryRecord, WorkspaceNameRecord } from '../record/index.ts';
import { decodeDirectoryRecord, encodeDirectoryRecord } from '../record/index.ts';

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

  constructor(doc: Y.Doc) {
    this.#books = doc.getMap<Uint8Array>('books');
    this.#devices = doc.getMap<Uint8Array>('devices');
    this.#names = doc.getMap<Uint8Array>('names');
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
}

function* records(map: Y.Map<Uint8Array>): Generator<[string, DirectoryRecord]> {
  for (const [key, bytes] of map.entries()) {
    try {
      const record = decodeDirectoryRecord(bytes);
      if (record !== undefined) yield [key, record];
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
    }
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
