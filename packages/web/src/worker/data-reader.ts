import { FieldbookError } from '@fieldbook/core';
import type { DataDiff, DataFile, DataList } from '@fieldbook/core/data';
import type { Contents } from './contents.ts';
import type { Content, DataChanges, DataListing, DataRequest } from './files-api.ts';

/** Lists kept parsed: two that are compared. Each may have two million files. */
const KEPT = 2;
/** Lines of each kind of change that are handed to the page. */
const CHANGES = 2_000;
const PIECE = 32 * 1024 * 1024;

/** Lists of data versions, parsed and verified once, then read a window at a time. */
export class DataReader {
  readonly #contents: Contents;
  readonly #lists = new Map<string, Promise<DataList>>();

  constructor(contents: Contents) {
    this.#contents = contents;
  }

  /** Files of a version whose paths have `search` in them. Throws `invalid_value` for a list that is none, and what its bytes throw. */
  async files(content: Content, { first, count, search }: DataRequest): Promise<DataListing> {
    const { files, bytes, root, from, digest, notes } = await this.#list(content);
    const wanted = search.toLowerCase();
    const about = { digest, root, from, notes, files: files.length, bytes };
    if (wanted === '') return { ...about, found: files.length, rows: files.slice(first, first + count) };
    const rows: DataFile[] = [];
    let found = 0;
    for (const file of files) {
      if (!file.path.toLowerCase().includes(wanted)) continue;
      if (found >= first && rows.length < count) rows.push(file);
      found += 1;
    }
    return { ...about, found, rows };
  }

  /** What `after` has that `before` has not, and the other way round. */
  async changes(before: Content, after: Content): Promise<DataChanges> {
    const { diffDataLists } = await import('@fieldbook/core/data');
    const diff: DataDiff = diffDataLists(await this.#list(before), await this.#list(after));
    const some = <T>(all: readonly T[]): { count: number; some: readonly T[] } => ({
      count: all.length,
      some: all.slice(0, CHANGES),
    });
    return {
      same: diff.same,
      kept: diff.kept,
      added: some(diff.added),
      removed: some(diff.removed),
      changed: some(diff.changed),
      moved: some(diff.moved),
      unknown: some(diff.unknown),
    };
  }

  #list(content: Content): Promise<DataList> {
    const there = this.#lists.get(content.digest);
    if (there !== undefined) {
      this.#lists.delete(content.digest);
      this.#lists.set(content.digest, there);
      return there;
    }
    const reading = this.#read(content);
    this.#lists.set(content.digest, reading);
    reading.catch(() => this.#lists.delete(content.digest));
    if (this.#lists.size > KEPT) this.#lists.delete(this.#lists.keys().next().value!);
    return reading;
  }

  async #read(content: Content): Promise<DataList> {
    const { DATA_LIST_BYTES, parseDataList } = await import('@fieldbook/core/data');
    const size = await this.#contents.sizeOf(content);
    if (size > DATA_LIST_BYTES)
      throw new FieldbookError('too_large', `The list has ${size} bytes, more than one of two million files has.`);
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += PIECE)
      bytes.set(await this.#contents.read(content, at, Math.min(size, at + PIECE)), at);
    return parseDataList(bytes);
  }
}
