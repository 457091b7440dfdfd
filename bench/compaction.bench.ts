import * as Y from 'yjs';
import type { DocumentName } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import type { Card } from '@fieldbook/core/record';
import type { Replica } from '@fieldbook/core/replica';
import { makeCard, makeTestEdit, testEditId } from '@fieldbook/core/testing';
import { collectGarbage, fitExponent, medianOf, medianRow, repeatsFor, row, timed } from './harness.ts';
import type { Bench, Row } from './harness.ts';
import { openOnDisk } from './level.ts';

const BOOK = 'book/mnist/2026-11' as DocumentName;
/** Changes made together, as an agent's come: each is a commit and an update of its own all the same. */
const TOGETHER = 500;

const bench: Bench = {
  name: 'compaction',
  about: 'A document of many updates, and one of many overwrites of few keys, rewritten as what is alive.',
  async run({ smoke }): Promise<Row[]> {
    return [
      ...(await measure('edits', smoke ? [20, 40] : [11_000, 33_000, 100_000], appendEdit, smoke)),
      ...(await measure('overwrites of 10 cards', smoke ? [20, 40] : [100_000, 300_000, 1_000_000], overwrite, smoke)),
    ];
  },
};

function appendEdit(book: Book, index: number): void {
  book.addEdit(makeTestEdit({ id: testEditId(index), field: 'tags', op: 'add', value: `t${index % 50}` }));
}

function overwrite(book: Book, index: number): void {
  const card: Partial<Card> = { writer: `01kf00000000000000000000${String(index % 10).padStart(2, '0')}` as never };
  book.putCard(makeCard({ ...card, ordinal: index }));
}

async function measure(
  what: string,
  sizes: readonly number[],
  change: (book: Book, index: number) => void,
  smoke: boolean,
): Promise<Row[]> {
  const rows: Row[] = [];
  const costs: [number, number][] = [];
  const system = 'fieldbook';
  for (const size of sizes) {
    const name = `${size} ${what}`;
    const { replica, close } = await openOnDisk(3);
    try {
      const filling = await timed(() => fill(replica, size, change));
      const { size: logged } = (await replica.info(BOOK))!;
      collectGarbage();
      // What is rewritten is what is in memory: once for the store, and again to see the spread of it.
      const first = await timed(() => replica.compact(BOOK));
      const { size: stored } = (await replica.info(BOOK))!;
      const times = [first];
      for (let repeat = 1; repeat < repeatsFor(smoke).repeats; repeat++) {
        await replica.transact(BOOK, (doc) => change(new Book(doc), size + repeat));
        times.push(await timed(() => replica.compact(BOOK)));
      }
      const alive = await replica.read(BOOK, freshSize);
      rows.push(
        row({ system, case: `${name}: committing them`, figure: 'fill_ms', value: filling, durability: 'fsync' }),
        medianRow(times, { system, case: name, figure: 'compact_ms', durability: 'fsync' }),
        row({
          system,
          case: name,
          figure: 'stored_bytes',
          value: stored,
          note: `${logged} before by what the store did by itself`,
        }),
        row({
          system,
          case: `${name}: stored to a fresh document of what is alive`,
          figure: 'size_ratio',
          value: stored / alive,
        }),
        row({ system, case: name, figure: 'rss_mb', value: process.memoryUsage.rss() / 1e6 }),
      );
      costs.push([size, medianOf(times)]);
      const rebuilding = await timed(() => replica.rebuild(BOOK, { reason: 'compaction', time: Date.now() }));
      const { size: left } = (await replica.info(BOOK))!;
      const rebuilt = `${name}: rebuilt under a new generation`;
      rows.push(
        row({ system, case: rebuilt, figure: 'rebuild_ms', value: rebuilding, durability: 'fsync' }),
        row({ system, case: `${rebuilt}, to what is alive`, figure: 'size_ratio', value: left / alive }),
      );
    } finally {
      await close();
    }
  }
  const exponent = fitExponent(costs);
  rows.push(row({ system, case: `by number of ${what}`, figure: 'compact_exponent', value: exponent }));
  return rows;
}

async function fill(replica: Replica, size: number, change: (book: Book, index: number) => void): Promise<void> {
  for (let from = 0; from < size; from += TOGETHER) {
    const count = Math.min(TOGETHER, size - from);
    await Promise.all(
      Array.from({ length: count }, (_, index) => replica.transact(BOOK, (doc) => change(new Book(doc), from + index))),
    );
  }
}

/** Bytes of the same records in a document that has no history. */
function freshSize(doc: Y.Doc): number {
  const fresh = new Y.Doc();
  fresh.transact(() => {
    for (const map of ['cards', 'edits'])
      for (const [key, value] of doc.getMap<Uint8Array>(map).entries()) fresh.getMap(map).set(key, value);
  });
  return Y.encodeStateAsUpdate(fresh).length;
}

export default bench;
