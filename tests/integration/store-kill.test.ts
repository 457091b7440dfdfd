import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, it } from 'vitest';
import type { DocumentName } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { SeededRandom, testDevice } from '@fieldbook/core/testing';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { emptyFolder } from '../scaffold/folder.ts';
import { amount } from '../scaffold/mode.ts';
import type { Program } from '../scaffold/program.ts';
import { startCommand } from '../scaffold/program.ts';

const WRITER = join(ROOT, 'tests/fixtures/store-writer.mjs');
const seed = Number(process.env['FIELDBOOK_SEED'] ?? Date.now() % 1_000_000);
const random = new SeededRandom(seed);

/** The pairs of edits that the program said were acknowledged. */
function acknowledgedBy(program: Program): [name: DocumentName, first: string, second: string][] {
  const lines = program.output().matchAll(/^ack \d+ (\S+) (\S+) (\S+)$/gm);
  return [...lines].map(([, name, first, second]) => [name as DocumentName, first!, second!]);
}

/** Opens the store that a killed process left, as the next process does; gives the ids of edits by document. */
async function reopen(folder: string): Promise<Map<DocumentName, Set<string>>> {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  const replica = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
  const found = new Map<DocumentName, Set<string>>();
  for await (const { name, quarantined } of replica.list()) {
    expect(quarantined).toBe(false);
    found.set(name, new Set(await replica.read(name, (doc) => [...new Book(doc).edits()].map(([key]) => key))));
  }
  await replica.close();
  return found;
}

function expectThere(
  found: ReadonlyMap<DocumentName, ReadonlySet<string>>,
  acknowledged: readonly [DocumentName, string, string][],
): void {
  const lost = acknowledged.filter(([name, ...pair]) => !pair.every((id) => found.get(name)?.has(id)));
  expect(lost).toEqual([]);
  // Two edits of one change are there both or not at all.
  for (const ids of found.values()) expect(ids.size % 2).toBe(0);
}

describe('a store whose process is killed', () => {
  it(`[STO-14] loses nothing that was acknowledged (seed ${seed})`, async () => {
    const folder = emptyFolder('kill');
    const store = join(folder, 'store');
    const acknowledged: [DocumentName, string, string][] = [];
    for (let kill = 0; kill < amount(8, 120); kill++) {
      const from = acknowledged.length;
      const writer = startCommand(process.execPath, [WRITER, store, String(from)], { FIELDBOOK_HOME: folder });
      await writer.says(new RegExp(`^ack ${from + 1 + random.int(150)} `, 'm'));
      await writer.stop('SIGKILL');
      acknowledged.push(...acknowledgedBy(writer));
      expectThere(await reopen(store), acknowledged);
    }
    expect(acknowledged.length).toBeGreaterThan(100);
  });

  it(`[PRF-7] opens with a log whose end is torn or lost: what was acknowledged before is there, and nothing half (seed ${seed})`, async () => {
    const folder = emptyFolder('torn');
    const store = join(folder, 'store');
    const writer = startCommand(process.execPath, [WRITER, store, '0'], { FIELDBOOK_HOME: folder });
    await writer.says(/^ack 200 /m);
    await writer.stop('SIGKILL');
    const acknowledged = acknowledgedBy(writer);
    const log = readdirSync(store)
      .filter((name) => name.endsWith('.log'))
      .sort((a, b) => a.localeCompare(b))
      .at(-1)!;
    const bytes = readFileSync(join(store, log));
    let lost = 0;
    for (let round = 0; round < amount(6, 200); round++) {
      const copy = join(folder, `copy-${round}`);
      cpSync(store, copy, { recursive: true });
      if (round % 2 === 0) {
        // The next record of the log, of which only the beginning reached the disk, or other bytes than were written.
        const length = 50 + random.int(400);
        const head = Buffer.from([...random.bytes(4), length & 255, length >> 8, 1]);
        const whole = Buffer.concat([head, Buffer.from(random.bytes(length))]);
        appendFileSync(join(copy, log), random.chance(0.5) ? whole.subarray(0, random.int(whole.length)) : whole);
        expectThere(await reopen(copy), acknowledged);
      } else {
        // A disk that loses what it had promised to keep: the past is shorter, and whole.
        truncateSync(join(copy, log), random.int(bytes.length));
        const found = await reopen(copy);
        for (const ids of found.values()) expect(ids.size % 2).toBe(0);
        const there = acknowledged.filter(([name, ...pair]) => pair.every((id) => found.get(name)?.has(id)));
        const half = acknowledged.filter(
          ([name, first, second]) => found.get(name)?.has(first) !== found.get(name)?.has(second),
        );
        expect(half).toEqual([]);
        lost += acknowledged.length - there.length;
      }
      rmSync(copy, { recursive: true });
    }
    expect(lost).toBeGreaterThan(0);
  });

  // The limit that plays the full disk is Linux's; a signal of it would end the process, so a shell ignores that first.
  it.skipIf(spawnSync('prlimit', ['--version']).status !== 0)(
    '[STO-11] keeps what it acknowledged before, on and after a full disk',
    async () => {
      const folder = emptyFolder('full');
      const store = join(folder, 'store');
      const command = `trap '' XFSZ; exec "$0" "$@"`;
      const args = ['-c', command, process.execPath, WRITER, store, '0', 'full'];
      const writer = startCommand('bash', args, { FIELDBOOK_HOME: folder });
      await writer.says(/^space again$/m);
      const before = acknowledgedBy(writer).length;
      await writer.says(new RegExp(`^ack ${before + 100} `, 'm'));
      await writer.stop('SIGKILL');
      expect(writer.output().match(/^failed disk_full$/gm)).toHaveLength(5);
      const acknowledged = acknowledgedBy(writer);
      expect(acknowledged.length).toBeGreaterThanOrEqual(before + 100);
      expectThere(await reopen(store), acknowledged);
    },
  );
});
