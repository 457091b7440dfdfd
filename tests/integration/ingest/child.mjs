// Takes in the journals of a home for as long as it lives: the victim of ingest-kill.test.ts.
// Its clock runs 400 times as fast, so that tails, segments and cards are all written within a second.
import { createHash, randomFillSync } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { FileBlobStore } from '@fieldbook/core/blobs';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { ClassicLevel } from 'classic-level';
import { startIngest } from '../../../packages/node-agent/dist/ingest/index.js';

const [home = '', device = '', started = '0'] = process.argv.slice(2);
const random = { bytes: (/** @type {number} */ length) => randomFillSync(new Uint8Array(length)) };
const clock = { now: () => Number(started) + (Date.now() - Number(started)) * 400 };
const db = new ClassicLevel(join(home, 'store'), { keyEncoding: 'view', valueEncoding: 'view' });
await db.open();
const replica = await openReplica({
  storage: levelStorage(/** @type {any} */ (db)),
  device: /** @type {any} */ (device),
  random,
});
const blobs = new FileBlobStore({
  fs,
  root: join(home, 'blobs'),
  random,
  sha256: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
});
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const ingest = await startIngest({
  replica,
  blobs,
  home: { journals: join(home, 'journals') },
  clock,
  // As fast as it can: the more writes there are, the more of them a kill can hit.
  timers: {
    after: (_ms, run) => {
      const timer = setTimeout(() => run(), 1);
      return () => clearTimeout(timer);
    },
  },
  device: /** @type {any} */ (device),
  log: quiet,
});
replica.onCommit(({ seq }) => process.stdout.write(`${seq}\n`));
process.stdout.write('open\n');
process.on('SIGTERM', async () => {
  await ingest.close();
  await replica.close();
});
