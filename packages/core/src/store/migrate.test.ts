import { describe, expect, it } from 'vitest';
import { utf8 } from '../ids.ts';
import type { BatchOperation, Storage } from '../ports.ts';
import { FaultStorage } from '../testing/fault-storage.ts';
import { MemoryStorage } from '../testing/memory-storage.ts';
import { prefixRange, VERSION_KEY } from './keys.ts';
import type { MigrationStep } from './migrate.ts';
import { migrateStore } from './migrate.ts';

const VALUES = 23;

/** Doubles every value below `p/`, three at a time: doing one twice, or not at all, shows. */
const doubles: MigrationStep = {
  from: 1,
  about: 'values are doubled',
  async run(storage, done, write) {
    let batch: BatchOperation[] = [];
    const { gte, lt } = prefixRange('p/');
    for await (const [key, value] of storage.range(done === undefined ? { gte, lt } : { gt: done, lt })) {
      batch.push({ type: 'put', key, value: new Uint8Array([value[0]! * 2]) });
      if (batch.length < 3) continue;
      await write(batch, key);
      batch = [];
    }
    if (batch.length > 0) await write(batch, batch.at(-1)!.key);
  },
};
const adds: MigrationStep = { ...doubles, from: 2, about: 'values are doubled again' };

async function oldStore(): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const puts = Array.from({ length: VALUES }, (_, n) => ({
    type: 'put' as const,
    key: utf8(`p/${String(n).padStart(2, '0')}`),
    value: new Uint8Array([n]),
  }));
  await storage.batch([{ type: 'put', key: VERSION_KEY, value: new Uint8Array([1]) }, ...puts]);
  return storage;
}

async function valuesOf(storage: Storage): Promise<number[]> {
  const values: number[] = [];
  for await (const [, value] of storage.range(prefixRange('p/'))) values.push(value[0]!);
  return values;
}

const times = (factor: number): number[] => Array.from({ length: VALUES }, (_, n) => n * factor);

describe('a store of an older version', () => {
  it('[OPS-13] is brought to this version step by step, whatever batch the process is killed at', async () => {
    const options = { steps: [doubles, adds], to: 3 };
    const whole = new FaultStorage(await oldStore());
    await migrateStore(whole, options);
    expect(await valuesOf(whole)).toEqual(times(4));
    const batches = whole.batches;
    expect(batches).toBeGreaterThan(18);
    for (let kill = 1; kill <= batches; kill++) {
      for (const stored of [false, true]) {
        const disk = await oldStore();
        const faulty = new FaultStorage(disk);
        faulty.failNextBatches(1, new Error('killed'), stored, kill);
        await expect(migrateStore(faulty, options)).rejects.toThrow('killed');
        // The next process finds what had reached the disk.
        const next = new MemoryStorage();
        await next.batch([...(await oldEntries()), ...faulty.durable]);
        await migrateStore(next, options);
        expect([kill, stored, await valuesOf(next)]).toEqual([kill, stored, times(4)]);
        expect((await next.get(VERSION_KEY))![0]).toBe(3);
        let left = 0;
        for await (const _ of next.keys({})) left += 1;
        expect(left).toBe(VALUES + 1);
      }
    }
  });

  it('[OPS-13] is not read by an older program once a step has begun', async () => {
    const disk = await oldStore();
    const faulty = new FaultStorage(disk);
    faulty.failNextBatches(1, new Error('killed'), false, 3);
    await expect(migrateStore(faulty, { steps: [doubles], to: 2 })).rejects.toThrow('killed');
    await expect(migrateStore(disk, { steps: [], to: 1 })).rejects.toMatchObject({ code: 'store_version' });
    await expect(migrateStore(disk, { steps: [], to: 2 })).rejects.toMatchObject({ code: 'store_version' });
    await migrateStore(disk, { steps: [doubles], to: 2 });
    expect(await valuesOf(disk)).toEqual(times(2));
    await expect(migrateStore(disk, { steps: [doubles], to: 1 })).rejects.toThrow('restore a backup');
  });
});

async function oldEntries(): Promise<BatchOperation[]> {
  const puts: BatchOperation[] = [];
  for await (const [key, value] of (await oldStore()).range({})) puts.push({ type: 'put', key, value });
  return puts;
}
