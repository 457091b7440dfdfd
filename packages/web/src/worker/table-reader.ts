import { FieldbookError } from '@fieldbook/core';
import type { Contents } from './contents.ts';
import type { PreviewItem, TableInfo, TableWindow } from './files-api.ts';
import type { Table } from './tables/table.ts';

interface Opened {
  table: Table;
  orders: Map<string, Uint32Array>;
}

/** Tables held open at a time: two beside each other, and what one comes back to. */
const OPEN = 4;
const ROWS_MAX = 1_000;

/** Tables that the page looks at, read in this worker a window at a time. */
export class TableReader {
  readonly #contents: Contents;
  readonly #open = new Map<string, Promise<Opened>>();

  constructor(contents: Contents) {
    this.#contents = contents;
  }

  /** Opens a table or finds it open; `key` names it for `rows`. Throws what its bytes and their reader throw. */
  async open(item: Pick<PreviewItem, 'content' | 'text' | 'name'>): Promise<TableInfo> {
    const key = item.content?.digest ?? `text ${item.text ?? ''}`;
    const { table } = await this.#opened(key, item);
    return { key, columns: table.columns, rows: table.rows, note: table.note };
  }

  async rows(key: string, { first, count, columns, sort }: TableWindow) {
    const there = await this.#open.get(key);
    if (there === undefined) throw new FieldbookError('not_found', 'This table was closed meanwhile; open it again.');
    const { table, orders } = there;
    const to = Math.min(table.rows, first + Math.min(count, ROWS_MAX));
    let rows: ArrayLike<number> = Array.from({ length: Math.max(0, to - first) }, (_, index) => first + index);
    if (sort !== null) {
      const name = `${sort.descending ? '-' : ''}${sort.column}`;
      let order = orders.get(name);
      if (order === undefined) {
        const { orderBy } = await import('./tables/index.ts');
        order = orderBy(await table.column(sort.column), sort.descending);
        orders.clear();
        orders.set(name, order);
      }
      rows = order.subarray(first, to);
    }
    return { numbers: Array.from(rows), cells: await table.read(rows, columns) };
  }

  #opened(key: string, item: Pick<PreviewItem, 'content' | 'text' | 'name'>): Promise<Opened> {
    const there = this.#open.get(key);
    if (there !== undefined) {
      this.#open.delete(key);
      this.#open.set(key, there);
      return there;
    }
    const opening = this.#read(item);
    this.#open.set(key, opening);
    opening.catch(() => this.#open.delete(key));
    if (this.#open.size > OPEN) this.#open.delete(this.#open.keys().next().value!);
    return opening;
  }

  async #read({ content, text, name }: Pick<PreviewItem, 'content' | 'text' | 'name'>): Promise<Opened> {
    const { openTable } = await import('./tables/index.ts');
    if (content === null) {
      const bytes = new TextEncoder().encode(text ?? '');
      const read = async (start: number, end: number): Promise<Uint8Array> => bytes.subarray(start, end);
      return { table: await openTable({ size: bytes.length, read }, name), orders: new Map() };
    }
    const size = await this.#contents.sizeOf(content);
    const read = (start: number, end: number): Promise<Uint8Array> => this.#contents.read(content, start, end);
    return { table: await openTable({ size, read }, name), orders: new Map() };
  }
}
