import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { MemoryLevel } from 'memory-level';
import { storageContract } from '../testing/contracts/index.ts';
import { describe, expect, it } from 'vitest';
import type { KeyRange } from '../ports.ts';
import { codeOf, MemoryStorage } from '../testing/index.ts';
import { levelStorage } from './level-storage.ts';

const encodings = { keyEncoding: 'view', valueEncoding: 'view' } as const;

storageContract('for tests', () => {
  const storage = new MemoryStorage();
  return Promise.resolve({ storage, teardown: () => storage.close() });
});

storageContract('memory-level', async () => {
  const db = new MemoryLevel<Uint8Array, Uint8Array>(encodings);
  await db.open();
  const storage = levelStorage(db as never);
  return { storage, teardown: () => storage.close() };
});

storageContract('classic-level on disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fieldbook-storage-'));
  const db = new ClassicLevel<Uint8Array, Uint8Array>(directory, encodings);
  await db.open();
  const storage = levelStorage(db as never);
  return {
    storage,
    async teardown() {
      await storage.close();
      await rm(directory, { recursive: true });
    },
  };
});

describe('level storage after a failed batch', () => {
  const key = (byte: number): Uint8Array => new Uint8Array([byte]);
  const put = (byte: number) => ({ type: 'put', key: key(byte), value: key(byte) }) as const;

  /** LevelDB whose next batches fail, and how often it was opened. */
  async function setup(): Promise<{
    db: ClassicLevel<Uint8Array, Uint8Array>;
    fail: (count: number) => void;
    opened: () => number;
    teardown: () => Promise<void>;
  }> {
    const directory = await mkdtemp(join(tmpdir(), 'fieldbook-storage-'));
    const db = new ClassicLevel<Uint8Array, Uint8Array>(directory, encodings);
    await db.open();
    let failures = 0;
    let openings = 0;
    const batch = db.batch.bind(db) as (...args: unknown[]) => Promise<void>;
    const open = db.open.bind(db);
    Object.assign(db, {
      batch: async (...args: unknown[]) => {
        if (failures > 0) {
          failures -= 1;
          throw new Error('IO error: 000003.log: No space left on device');
        }
        return batch(...args);
      },
      open: async (options: object) => {
        openings += 1;
        return open(options);
      },
    });
    return {
      db,
      fail: (count) => (failures = count),
      opened: () => openings,
      teardown: async () => {
        await db.close();
        await rm(directory, { recursive: true });
      },
    };
  }

  it('[STO-11] opens the database again before the next batch, and reads wait for it', async () => {
    const { db, fail, opened, teardown } = await setup();
    const storage = levelStorage(db as never);
    await storage.batch([put(1)], { sync: true });
    fail(1);
    expect(await codeOf(storage.batch([put(2)], { sync: true }))).toBe('disk_full');
    const next = storage.batch([put(3)], { sync: true });
    const reads = Promise.all(Array.from({ length: 20 }, () => storage.get(key(1))));
    await next;
    expect(await reads).toEqual(Array.from({ length: 20 }, () => key(1)));
    expect(opened()).toBe(1);
    expect(await storage.getMany([key(1), key(2), key(3)])).toEqual([key(1), undefined, key(3)]);
    await storage.batch([put(4)], { sync: true });
    expect(opened()).toBe(1);
    await teardown();
  });

  it('[PRF-12] is not opened again while what it would be opened from cannot be read, and reads go on', async () => {
    const { db, fail, opened, teardown } = await setup();
    let isReadable = false;
    const readable = (): Promise<void> => (isReadable ? Promise.resolve() : Promise.reject(new Error('EIO')));
    const storage = levelStorage(db as never, { freeBytes: () => Promise.resolve(1e9), readable });
    await storage.batch([put(1)], { sync: true });
    fail(1);
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await codeOf(storage.batch([put(2)], { sync: true }))).toBe(
        attempt === 0 ? 'disk_full' : 'storage_failed',
      );
      expect([opened(), await storage.get(key(1))]).toEqual([0, key(1)]);
    }
    isReadable = true;
    await storage.batch([put(2)], { sync: true });
    expect([opened(), await storage.get(key(2))]).toEqual([1, key(2)]);
    await teardown();
  });

  it('[STO-11] goes on reading while there is no space, without closing the database', async () => {
    for (const told of [true, false]) {
      const { db, fail, opened, teardown } = await setup();
      let free = 1_000;
      const storage = levelStorage(db as never, told ? { freeBytes: () => Promise.resolve(free) } : {});
      await storage.batch([put(1)], { sync: true });
      fail(told ? 1 : 4);
      for (let attempt = 0; attempt < 4; attempt++) {
        expect(await codeOf(storage.batch([put(2)], { sync: true }))).toBe('disk_full');
        expect(await storage.get(key(1))).toEqual(key(1));
      }
      expect(opened()).toBe(0);
      free = 1e9;
      await storage.batch([put(2)], { sync: true });
      expect([opened(), await storage.get(key(2))]).toEqual([1, key(2)]);
      await teardown();
    }
  });
});

it('[STO-16] a part that cannot be read is an error of every range that it lies in, also of one with a limit', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fieldbook-storage-'));
  const numbered = (n: number): Uint8Array => new Uint8Array([n >> 8, n & 255]);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(directory, encodings);
  await db.open();
  const upTo = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
  // Into four tables, one behind the other, of which the second is lost.
  for (let n = 0; n < 4_000; n += 1_000) {
    await db.batch(upTo(n, n + 1_000).map((each) => ({ type: 'put', key: numbered(each), value: numbered(each) })));
    await db.compactRange(numbered(n), numbered(n + 999), encodings);
  }
  await db.close();
  const tables = (await readdir(directory))
    .filter((name) => name.endsWith('.ldb'))
    .toSorted((x, y) => (x < y ? -1 : 1));
  expect(tables).toHaveLength(4);
  const table = join(directory, tables[1]!);
  await writeFile(table, new Uint8Array((await stat(table)).size));
  const damaged = new ClassicLevel<Uint8Array, Uint8Array>(directory, encodings);
  await damaged.open();
  const storage = levelStorage(damaged as never);
  const read = async (range: KeyRange, only: 'range' | 'keys'): Promise<number[] | string | undefined> => {
    const found: number[] = [];
    const work = async (): Promise<void> => {
      if (only === 'range') for await (const [at] of storage.range(range)) found.push(at[0]! * 256 + at[1]!);
      else for await (const at of storage.keys(range)) found.push(at[0]! * 256 + at[1]!);
    };
    return (await codeOf(work())) ?? found;
  };
  for (const kind of ['range', 'keys'] as const) {
    expect(await read({}, kind)).toBe('storage_failed');
    for (const limit of [1_500, 2_000, 2_900]) {
      expect([limit, await read({ limit }, kind)]).toEqual([limit, 'storage_failed']);
      expect([limit, await read({ limit, reverse: true }, kind)]).toEqual([
        limit,
        limit < 1_900 ? upTo(4_000 - limit, 4_000).toReversed() : 'storage_failed',
      ]);
    }
    // The first of what is behind the gap is not the first that there was.
    expect(await read({ gte: numbered(1_500), limit: 1 }, kind)).toBe('storage_failed');
    expect(await read({ lte: numbered(1_500), limit: 1, reverse: true }, kind)).toBe('storage_failed');
    expect(await read({ limit: 600 }, kind)).toEqual(upTo(0, 600));
    expect(await read({ gt: numbered(2_499), limit: 30 }, kind)).toEqual(upTo(2_500, 2_530));
    expect(await read({ reverse: true, limit: 20 }, kind)).toEqual(upTo(3_980, 4_000).toReversed());
  }
  await storage.close();
  await rm(directory, { recursive: true });
});
