import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import type { TableDirectory } from '@fieldbook/core/query';
import { asked, done, openDatabase } from './idb.ts';
import type { Tally } from './table.ts';
import type { Covered } from './watch.ts';

/** Raises with every change of a head's shape. */
const FORMAT = 1;
const NAME = 'fieldbook/tables';

/** What is stored of one project's table: enough to list the project, and to know which documents need not be opened. */
export interface TableHead {
  format: number;
  project: ProjectId;
  /** Of this write; parts of one write and another never mix. */
  generation: string;
  directory: TableDirectory;
  /** Key of each part. */
  parts: Readonly<Record<string, string>>;
  /** Books whose records are all in the table. */
  books: readonly (Covered & { document: DocumentName })[];
  /** Runs that those books speak of and that are not in the table: purged ones, and those with edits and no card yet. */
  outside: readonly (readonly [RunId, readonly DocumentName[]])[];
  /** Runs whose notes say several things at once. */
  forked: readonly RunId[];
  tally: Tally;
}

/**
 * Tables in IndexedDB: a head for each project and the parts that it names. A cache: it may be deleted at any time,
 * and whatever of it is not as it should be counts as absent. Parts are written first and become a table by the one
 * transaction that replaces the head, so that a tab reads one table or another and never half of each.
 */
export class TableStore {
  readonly #db: IDBDatabase;

  private constructor(db: IDBDatabase) {
    this.#db = db;
  }

  /** Null in a browser that stores nothing. */
  static async open(): Promise<TableStore | null> {
    try {
      return new TableStore(
        await openDatabase(NAME, 1, (db) => {
          db.createObjectStore('heads', { keyPath: 'project' });
          db.createObjectStore('parts');
        }),
      );
    } catch {
      return null;
    }
  }

  async heads(): Promise<TableHead[]> {
    const heads = (await asked(this.#db.transaction('heads').objectStore('heads').getAll())) as unknown[];
    return heads.filter(isHead);
  }

  async head(project: ProjectId): Promise<TableHead | undefined> {
    const head: unknown = await asked(this.#db.transaction('heads').objectStore('heads').get(project));
    return isHead(head) ? head : undefined;
  }

  /** Bytes of parts, in the order asked for; undefined for one that is not there any more. */
  async parts(head: TableHead, parts: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const store = this.#db.transaction('parts').objectStore('parts');
    return Promise.all(
      parts.map((part) => asked(store.get(head.parts[part] ?? '') as IDBRequest<Uint8Array | undefined>)),
    );
  }

  /** Puts a part where nobody looks until a head names it; returns its key. */
  async stage(project: ProjectId, generation: string, part: string, bytes: Uint8Array): Promise<string> {
    const key = `${project}\n${generation}\n${part}`;
    const transaction = this.#db.transaction('parts', 'readwrite', { durability: 'relaxed' });
    transaction.objectStore('parts').put(bytes, key);
    await done(transaction);
    return key;
  }

  /**
   * Replaces the head of generation `base` (null: none) and drops the parts that the new one does not name. False when
   * another tab has replaced it since, or has dropped a part.
   */
  async commit(head: Omit<TableHead, 'format'>, base: string | null): Promise<boolean> {
    const transaction = this.#db.transaction(['heads', 'parts'], 'readwrite', { durability: 'relaxed' });
    const ended = done(transaction);
    const heads = transaction.objectStore('heads');
    const parts = transaction.objectStore('parts');
    const range = rangeOf(head.project);
    const [before, keys] = await Promise.all([
      asked(heads.get(head.project)) as Promise<TableHead | undefined>,
      asked(parts.getAllKeys(range)) as Promise<string[]>,
    ]);
    const there = new Set(keys);
    const named = new Set(Object.values(head.parts));
    if ((isHead(before) ? before.generation : null) !== base || [...named].some((key) => !there.has(key))) {
      await ended;
      return false;
    }
    heads.put({ ...head, format: FORMAT });
    for (const key of keys) if (!named.has(key)) parts.delete(key);
    await ended;
    return true;
  }

  async remove(project: ProjectId): Promise<void> {
    const transaction = this.#db.transaction(['heads', 'parts'], 'readwrite');
    transaction.objectStore('heads').delete(project);
    transaction.objectStore('parts').delete(rangeOf(project));
    await done(transaction);
  }
}

function rangeOf(project: ProjectId): IDBKeyRange {
  return IDBKeyRange.bound(`${project}\n`, `${project}\n\uffff`);
}

function isHead(value: unknown): value is TableHead {
  const head = value as Partial<TableHead> | null | undefined;
  return (
    head?.format === FORMAT &&
    typeof head.project === 'string' &&
    typeof head.generation === 'string' &&
    typeof head.parts === 'object' &&
    Array.isArray(head.books) &&
    head.books.every(({ stateVector, key }) => stateVector instanceof Uint8Array && typeof key === 'number') &&
    Array.isArray(head.outside) &&
    Array.isArray(head.forked) &&
    typeof head.tally === 'object'
  );
}
