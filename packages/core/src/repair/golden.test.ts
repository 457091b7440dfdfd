import { readFileSync, writeFileSync } from 'node:fs';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { Book } from '../documents/index.ts';
import type { DeviceId } from '../ids.ts';
import { readRepairs } from '../record/index.ts';
import {
  addEdit,
  BOOK,
  editsOf,
  makeCard,
  makeTestEdit,
  memoryStorage,
  openTestReplica,
  testHistory,
} from '../testing/index.ts';

const FILE = new URL('../../../../tests/golden/repair/v1.json', import.meta.url);
const device = 'd111111111111111111111111' as DeviceId;
const history = testHistory({
  deflate: (bytes) => Promise.resolve(new Uint8Array(deflateRawSync(bytes))),
  inflate: (bytes, size) => Promise.resolve(new Uint8Array(inflateRawSync(bytes, { maxOutputLength: size }))),
});
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

// FIELDBOOK_GOLDEN=write makes the file anew; do that only with a new version of the layout.
if (process.env.FIELDBOOK_GOLDEN === 'write') {
  const storage = await memoryStorage();
  const replica = await openTestReplica(storage, { history });
  await addEdit(replica);
  const from = { source: { via: 'replication', device, replica: 'abc', token: 't1' } };
  const elsewhere = await openTestReplica(await memoryStorage());
  await addEdit(elsewhere, makeTestEdit({ device }));
  await replica.apply(BOOK, (await elsewhere.encodeState(BOOK)).update, from);
  await replica.compact(BOOK);
  await replica.rebuild(BOOK, { reason: 'repair', time: 1_768_478_400_000, without: { devices: [device] } });
  await replica.transact(BOOK, (doc) => new Book(doc).putCard(makeCard()));
  const pairs: [string, string][] = [];
  for await (const [key, value] of storage.range({})) pairs.push([hex(key), hex(value)]);
  writeFileSync(FILE, `${JSON.stringify(pairs, null, 2)}\n`);
}

it('[STO-15] [GEN-1] a store of version 1 with a log for repair and a rebuilt document is read as the golden bytes say', async () => {
  const storage = await memoryStorage();
  const pairs = JSON.parse(readFileSync(FILE, 'utf8')) as [string, string][];
  await storage.batch(
    pairs.map(([key, value]) => ({ type: 'put', key: unhex(key), value: unhex(value) })),
    { sync: true },
  );
  const replica = await openTestReplica(storage, { history });
  expect(await editsOf(replica)).toHaveLength(1);
  const info = (await replica.info(BOOK))!;
  expect([info.seq, info.quarantined, info.generation >= 2 ** 20]).toEqual([4, false, true]);
  const [repair] = await replica.read(BOOK, readRepairs);
  expect(repair).toMatchObject({ from: 0, to: info.generation, reason: 'repair', devices: [device], clients: [] });
  expect([repair!.removed.size, repair!.seen.size]).toEqual([1, 2]);
  const said: unknown[] = [];
  for await (const { seq, source } of replica.history(BOOK)) said.push([seq, source?.via]);
  expect(said).toEqual([[4, 'local']]);
  const [aside] = await replica.asides(BOOK);
  expect(aside).toEqual({ name: BOOK, time: 1_768_478_400_000, generation: 0, seq: 2, reason: 'repair' });
  expect(await replica.asideParts(aside!)).toHaveLength(1);
  // What the compaction took out of the log of the generation before is still told by what was put aside.
  const before: unknown[] = [];
  for await (const { seq, source } of replica.history(BOOK, 0)) before.push([seq, source?.via, source?.token]);
  expect(before).toEqual([
    [1, 'local', null],
    [2, 'replication', 't1'],
  ]);
});
