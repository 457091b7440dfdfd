import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Log } from '@fieldbook/core';
import { bookName, monthOf, projectIdOf } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { makeTestEdit, MemoryStorage, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { Archive, listSegments, readCommits } from './archive.ts';

const BOOK = bookName(projectIdOf('mnist'), monthOf(1_795_000_000_000));
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

async function makeReplica(): Promise<Replica> {
  const random = new SeededRandom(1);
  return openReplica({ storage: new MemoryStorage(), device: testDevice(random), random });
}

async function edit(replica: Replica, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'fieldbook-archive-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return join(path, 'archive');
}

async function seqsOf(directory: string): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of readCommits(await listSegments(directory))) seqs.push(seq);
  return seqs;
}

describe('the archive of commits', () => {
  it('[OPS-11] has each commit once over rotations and starts, and what was committed without it', async () => {
    const [directory, replica] = [folder(), await makeReplica()];
    await edit(replica, 2);
    const open = (): Promise<Archive> => Archive.open({ directory, replica, log: quiet, keepMs: 1e12 });
    const first = await open();
    await edit(replica, 3);
    await first.rotate();
    await edit(replica, 2);
    await first.close();
    // As after a crash: three that no archive heard of.
    await edit(replica, 3);
    const second = await open();
    await edit(replica, 1);
    await second.close();
    // What was there before the archive began is in the backups; the three are the whole document at its last seq.
    expect(await seqsOf(directory)).toEqual([3, 4, 5, 6, 7, 10, 11]);
    expect((await listSegments(directory)).map(({ index, after }) => [index, after])).toEqual([
      [1, 2],
      [2, 5],
      [3, 7],
    ]);
  });

  it('[OPS-11] names a segment that was cut short, changed or lost, and takes the last one as far as it goes', async () => {
    const [directory, replica] = [folder(), await makeReplica()];
    const archive = await Archive.open({ directory, replica, log: quiet, keepMs: 1e12 });
    for (let part = 0; part < 3; part++) {
      await edit(replica, 4);
      await archive.rotate();
    }
    await archive.close();
    const [one, two, three] = (await listSegments(directory)).map(({ path }) => path);
    const bytes = readFileSync(two!);
    truncateSync(two!, bytes.length - 1);
    await expect(seqsOf(directory)).rejects.toThrow('follows commit 8, and the archive before it ends at 7');
    const flipped = Buffer.from(bytes);
    flipped[flipped.length >> 1]! ^= 1;
    writeFileSync(two!, flipped);
    await expect(seqsOf(directory)).rejects.toThrow('follows commit 8');
    writeFileSync(two!, bytes);
    expect(await seqsOf(directory)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    rmSync((await listSegments(directory))[3]!.path);
    truncateSync(three!, readFileSync(three!).length - 1);
    expect(await seqsOf(directory)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    rmSync(two!);
    await expect(seqsOf(directory)).rejects.toThrow('lacks segment 2');
    expect(readFileSync(one!).length).toBeGreaterThan(100);
  });

  it('[OPS-11] what a disk refused is in it when the disk takes it again', async () => {
    const [directory, replica] = [folder(), await makeReplica()];
    const said: string[] = [];
    const log = {
      ...quiet,
      error: (event: string) => void said.push(event),
      warn: (event: string) => void said.push(event),
    };
    const archive = await Archive.open({ directory, replica, log, keepMs: 1e12 });
    await edit(replica, 1);
    // The next segment cannot be made: its directory is a file.
    rmSync(directory, { recursive: true });
    writeFileSync(directory, 'in the way');
    await archive.rotate();
    await edit(replica, 2);
    await archive.rotate();
    expect(said).toEqual(['archive.unwritable']);
    rmSync(directory);
    await archive.rotate();
    expect(said).toEqual(['archive.unwritable']);
    mkdirSync(directory);
    await archive.rotate();
    expect(said).toEqual(['archive.unwritable', 'archive.goes_on']);
    await archive.close();
    expect(await seqsOf(directory)).toContain(3);
  });

  it('[OPS-11] lets go of the oldest segments only', async () => {
    const [directory, replica] = [folder(), await makeReplica()];
    const archive = await Archive.open({ directory, replica, log: quiet, keepMs: -1 });
    for (let part = 0; part < 3; part++) {
      await edit(replica, 1);
      await archive.rotate();
    }
    await archive.close();
    expect((await listSegments(directory)).map(({ index }) => index)).toEqual([4]);
  });
});
