import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { ClassicLevel } from 'classic-level';
import { expect, it, vi } from 'vitest';
import type { BlobDigest } from '@fieldbook/core';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { entryOf, putEntries, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { UNNAMED_PREFIX } from '@fieldbook/core/usage';
import { readAudit } from '@fieldbook/relay';
import { Relay } from '../scaffold/machine.ts';
import { amount } from '../scaffold/mode.ts';
import { startProgram } from '../scaffold/program.ts';

const ORPHANS = amount(2_000, 20_000);
const DAY = 86_400_000;

it('[OPS-18] [OPS-19] a relay removes at its start what no run has named for long, over kill -9, and nothing else', async () => {
  const relay = new Relay();
  const put = (text: string): BlobDigest => {
    const digest = createHash('sha256').update(text).digest('hex') as BlobDigest;
    const folder = join(relay.data, 'blobs/sha256', digest.slice(0, 2));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, digest), text);
    return digest;
  };
  const has = (digest: string): boolean => existsSync(join(relay.data, 'blobs/sha256', digest.slice(0, 2), digest));
  const held = (): number =>
    readdirSync(join(relay.data, 'blobs/sha256')).reduce(
      (sum, head) => sum + readdirSync(join(relay.data, 'blobs/sha256', head)).length,
      0,
    );
  mkdirSync(join(relay.data, 'store'), { recursive: true });
  const db = new ClassicLevel<Uint8Array, Uint8Array>(join(relay.data, 'store'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  });
  await db.open();
  const random = new SeededRandom(9);
  const replica = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
  const named = [put('named'), put('named again')];
  await putEntries(replica, 'run-1', entryOf.segment(named[0]!), entryOf.file(named[1]!, null, 11));
  const since = new Uint8Array(8);
  new DataView(since.buffer).setFloat64(0, Date.now() - 100 * DAY);
  const orphans = Array.from({ length: ORPHANS }, (_, n) => put(`orphan ${n}`));
  // Both of the named ones were unnamed for a while.
  await replica.putPrivate([...orphans, ...named].map((digest) => [`${UNNAMED_PREFIX}${digest}`, since]));
  const young = put('unnamed since today');
  await replica.close();

  await relay.up();
  await vi.waitFor(() => expect(held()).toBeLessThan(ORPHANS), { timeout: 30_000, interval: 1 });
  await relay.down('SIGKILL');
  await relay.up();
  await vi.waitFor(() => expect(held()).toBe(3), { timeout: 30_000, interval: 20 });
  for (const digest of [...named, young]) expect(has(digest)).toBe(true);
  // Whatever the kill cut off, the audit log tells of all that went.
  let told = 0;
  await vi.waitFor(async () => {
    told = 0;
    for await (const { event, what, count } of readAudit(join(relay.data, 'audit.jsonl')))
      if (event === 'retention' && what === 'blobs') told += Number(count);
    expect(told).toBeGreaterThanOrEqual(ORPHANS);
  });
  const socketPath = join(relay.data, 'control.sock');
  const control = async (name: string): Promise<[ClientRequest, IncomingMessage]> => {
    const asked = request({ socketPath, path: `/${name}`, method: 'POST' }).end();
    return [asked, ((await once(asked, 'response')) as [IncomingMessage])[0]];
  };
  // As a backup holds it, until the connection ends.
  const [holding, holder] = await control('hold');
  await once(holder, 'data');
  const program = startProgram('fieldbook-relay', ['storage', 'clean', '--data', relay.data], {
    FIELDBOOK_HOME: relay.data,
  });
  expect((await program.ended).code).not.toBe(0);
  expect(program.output()).toContain('A backup is being made');
  holding.destroy();
  await vi.waitFor(
    async () => {
      const [, said] = await control('clean-dry');
      expect(await json(said)).toMatchObject({ value: { dryRun: true, held: null, went: { blobs: { count: 0 } } } });
    },
    { timeout: 20_000, interval: 100 },
  );
});
