import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Log } from '@fieldbook/core';
import { bookName, monthOf, projectIdOf } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { makeTestEdit, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { openLevel } from '../platform/data.ts';
import { Archive } from './archive.ts';
import { createBackup } from './create.ts';
import type { Manifest } from './manifest.ts';
import { pruneBackups } from './prune.ts';
import { restoreBackup } from './restore.ts';
import { verifyBackups } from './verify.ts';

const BOOK = bookName(projectIdOf('mnist'), monthOf(1_795_000_000_000));
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const random = new SeededRandom(5);
const device = testDevice(random);

async function withReplica<T>(data: string, work: (replica: Replica) => Promise<T>): Promise<T> {
  mkdirSync(join(data, 'store'), { recursive: true });
  const storage = levelStorage(await openLevel(join(data, 'store')));
  const replica = await openReplica({ storage, device, random });
  try {
    return await work(replica);
  } finally {
    await replica.close();
  }
}

const editsOf = (replica: Replica): Promise<string[]> =>
  replica.read(BOOK, (doc) => [...new Book(doc).edits()].map(([id]) => id).sort());

function putBlob(data: string, text: string): string {
  const digest = createHash('sha256').update(text).digest('hex');
  mkdirSync(join(data, 'blobs/sha256', digest.slice(0, 2)), { recursive: true });
  writeFileSync(join(data, 'blobs/sha256', digest.slice(0, 2), digest), text);
  return digest;
}

interface Chain {
  folder: string;
  backups: string;
  manifests: Manifest[];
  /** The edits as of each commit. */
  states: Map<number, string[]>;
  /** A blob that only the backup of this index has. */
  own: string[];
  always: string;
}

/** Backups of a relay with an archive, one after the other, each with a blob of its own that is gone by the next. */
async function makeChain(count: number): Promise<Chain> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-prune-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [data, backups] = [join(folder, 'data'), join(folder, 'backups')];
  const chain: Chain = { folder, backups, manifests: [], states: new Map(), own: [], always: putBlob(data, 'always') };
  for (let part = 0; part < count; part++) {
    await withReplica(data, async (replica) => {
      const archive = await Archive.open({ directory: join(data, 'archive'), replica, log: quiet, keepMs: 1e12 });
      for (let edit = 0; edit < 3; edit++) {
        await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
        chain.states.set(replica.lastSeq, await editsOf(replica));
      }
      await archive.close();
    });
    const own = putBlob(data, `of ${part}`);
    chain.own.push(own);
    chain.manifests.push(await createBackup(data, backups));
    rmSync(join(data, 'blobs/sha256', own.slice(0, 2), own));
  }
  return chain;
}

const hasBlob = ({ backups }: Chain, digest: string): boolean =>
  existsSync(join(backups, 'blobs', digest.slice(0, 2), digest));

/** Every commit from that of a backup on is one that can be restored, with what was there then. */
async function restoresFrom(chain: Chain, first: number): Promise<void> {
  const least = chain.manifests[first]!.seq;
  for (const [seq, edits] of chain.states) {
    const to = join(chain.folder, `restored-${seq}`);
    rmSync(to, { recursive: true, force: true });
    if (seq < least) {
      await expect(restoreBackup(chain.backups, to, { seq })).rejects.toThrow('oldest backup');
      continue;
    }
    const restored = await restoreBackup(chain.backups, to, { seq });
    expect(restored.seq).toBe(seq);
    expect(await withReplica(to, editsOf)).toEqual(edits);
    const { name } = chain.manifests.findLast((manifest) => manifest.seq <= seq)!;
    const own = chain.own[chain.manifests.findIndex((each) => each.name === name)]!;
    for (const digest of [own, chain.always])
      expect(existsSync(join(to, 'blobs/sha256', digest.slice(0, 2), digest))).toBe(true);
  }
  expect((await verifyBackups(chain.backups, { quick: false })).problems).toEqual([]);
}

describe('pruning backups', () => {
  it('[OPS-20] keeps what every moment of the span needs, which is restored afterwards, and nothing else', async () => {
    const chain = await makeChain(5);
    const now = chain.manifests[4]!.time + 1_000;
    // The span begins between the third and the fourth: its first moments are restored from the third.
    const keepMs = now - (chain.manifests[2]!.time + chain.manifests[3]!.time) / 2;
    const before = readdirSync(chain.backups, { recursive: true }).length;
    const said = await pruneBackups(chain.backups, { keepMs, dryRun: true, now });
    expect(readdirSync(chain.backups, { recursive: true })).toHaveLength(before);
    await restoresFrom(chain, 0);
    const pruned = await pruneBackups(chain.backups, { keepMs, dryRun: false, now });
    expect(pruned).toEqual({ ...said, dryRun: false });
    expect(pruned.removed).toEqual(chain.manifests.slice(0, 2).map(({ name }) => name));
    expect(chain.own.map((own) => hasBlob(chain, own))).toEqual([false, false, true, true, true]);
    expect(readdirSync(join(chain.backups, 'snapshots'))).toHaveLength(3);
    expect(readdirSync(join(chain.backups, 'state'))).toHaveLength(3);
    await restoresFrom(chain, 2);
    // The newest stays, whatever its age.
    await pruneBackups(chain.backups, { keepMs: 0, dryRun: false, now: now + 1e9 });
    await restoresFrom(chain, 4);
  });

  it('[OPS-20] goes on where a crash ended it, and removes nothing while a list is damaged or somebody else works there', async () => {
    const chain = await makeChain(3);
    const [first, second, third] = chain.manifests;
    const now = third!.time + 1_000;
    const options = { keepMs: 0, dryRun: false, now };
    const list = join(chain.backups, 'backups', third!.blobs.file);
    const files = (): string[] => readdirSync(chain.backups, { recursive: true }).map(String).sort();
    const before = files();
    const lock = join(chain.backups, 'lock');
    writeFileSync(lock, JSON.stringify({ host: 'elsewhere', pid: 1 }));
    await expect(pruneBackups(chain.backups, options)).rejects.toThrow('Another command works on');
    await expect(createBackup(join(chain.folder, 'data'), chain.backups)).rejects.toThrow('Another command works on');
    rmSync(lock);
    writeFileSync(list, `${'0'.repeat(64)} 1\n`);
    await expect(pruneBackups(chain.backups, options)).rejects.toThrow('not the list that was written');
    expect(files()).toEqual(before);
    writeFileSync(
      list,
      `${[chain.own[2]!, chain.always]
        .sort()
        .map((each) => `${each} ${each === chain.always ? 6 : 4}`)
        .join('\n')}\n`,
    );
    // Two manifests went, and then the process was killed.
    for (const { name } of [first!, second!]) rmSync(join(chain.backups, 'backups', `${name}.json`));
    await pruneBackups(chain.backups, options);
    expect(chain.own.map((own) => hasBlob(chain, own))).toEqual([false, false, true]);
    expect(readdirSync(join(chain.backups, 'snapshots'))).toEqual([third!.snapshot.file]);
    await restoresFrom(chain, 2);
  });
});
