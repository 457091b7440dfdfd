import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { MemoryLevel } from 'memory-level';
import { storageContract } from '../testing/contracts/index.ts';
import { describe, expect, it } from 'vitest';
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
