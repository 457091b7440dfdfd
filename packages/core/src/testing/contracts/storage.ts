import { bytesToHex } from '@noble/hashes/utils.js';
import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../../errors.ts';
import type { BatchOperation, Storage } from '../../ports.ts';
import { SeededRandom } from '../random.ts';

const key = (...bytes: number[]): Uint8Array => new Uint8Array(bytes);
const put = (at: Uint8Array, value: Uint8Array): BatchOperation => ({ type: 'put', key: at, value });

/** The contract of the Storage port. `setup` gives an empty storage and what removes it; called once per test. */
export function storageContract(
  name: string,
  setup: () => Promise<{ storage: Storage; teardown(): Promise<void> }>,
): void {
  const use = async (run: (storage: Storage) => Promise<void>): Promise<void> => {
    const { storage, teardown } = await setup();
    try {
      await run(storage);
    } finally {
      await teardown();
    }
  };

  describe(`storage contract: ${name}`, () => {
    it('[STO-1] reads back what a batch wrote, as plain Uint8Arrays that belong to the caller', () =>
      use(async (storage) => {
        await storage.batch([put(key(1), key(9, 8)), put(key(2), key())], { sync: true });
        const value = (await storage.get(key(1)))!;
        expect(value.constructor).toBe(Uint8Array);
        expect(value).toEqual(key(9, 8));
        value.fill(0);
        expect(await storage.get(key(1))).toEqual(key(9, 8));
        expect(await storage.get(key(3))).toBeUndefined();
        expect(await storage.getMany([key(2), key(3), key(1)])).toEqual([key(), undefined, key(9, 8)]);
        for await (const [k, v] of storage.range({}))
          expect([k.constructor, v.constructor]).toEqual([Uint8Array, Uint8Array]);
      }));

    it('[STO-1] orders keys bytewise and honours every bound', () =>
      use(async (storage) => {
        const random = new SeededRandom(17);
        const keys = Array.from({ length: 300 }, () => random.bytes(1 + random.int(4)));
        await storage.batch(
          keys.map((at) => put(at, at)),
          { sync: false },
        );
        const unique = [...new Map(keys.map((at) => [bytesToHex(at), at])).values()].sort(compareBytes);
        const read = async (range: Parameters<Storage['range']>[0]): Promise<string[]> => {
          const found: string[] = [];
          for await (const [at, value] of storage.range(range)) {
            expect(value).toEqual(at);
            found.push(bytesToHex(at));
          }
          const only: string[] = [];
          for await (const at of storage.keys(range)) only.push(bytesToHex(at));
          expect(only).toEqual(found);
          return found;
        };
        for (let round = 0; round < 40; round++) {
          const [low, high] = [random.bytes(2), random.bytes(2)].sort(compareBytes) as [Uint8Array, Uint8Array];
          const lower = random.pick(['gt', 'gte'] as const);
          const upper = random.pick(['lt', 'lte'] as const);
          const reverse = random.chance(0.5);
          const limit = random.chance(0.5) ? random.int(20) + 1 : undefined;
          let expected = unique.filter((at) => {
            const [a, b] = [compareBytes(at, low), compareBytes(at, high)];
            return (lower === 'gt' ? a > 0 : a >= 0) && (upper === 'lt' ? b < 0 : b <= 0);
          });
          if (reverse) expected = expected.reverse();
          if (limit !== undefined) expected = expected.slice(0, limit);
          const range = { [lower]: low, [upper]: high, reverse, ...(limit === undefined ? {} : { limit }) };
          expect(await read(range)).toEqual(expected.map((at) => bytesToHex(at)));
        }
      }));

    it('[STO-1] applies a batch in order, and a range sees the state in which it began', () =>
      use(async (storage) => {
        await storage.batch(
          [put(key(1), key(1)), put(key(2), key(1)), { type: 'del', key: key(1) }, { type: 'del', key: key(7) }],
          { sync: true },
        );
        expect(await storage.getMany([key(1), key(2)])).toEqual([undefined, key(1)]);
        await storage.batch(
          Array.from({ length: 2000 }, (_, index) => put(key(3, index >> 8, index & 255), key(0))),
          { sync: false },
        );
        let seen = 0;
        for await (const at of storage.keys({ gte: key(3) })) {
          if (seen === 0) {
            await storage.batch([put(key(4), key(1)), { type: 'del', key: key(3, 7, 207) }], { sync: false });
          }
          seen += 1;
          expect(at[0]).toBe(3);
        }
        expect(seen).toBe(2000);
      }));

    it('[STO-1] rejects with store_closed after close, and closing twice is nothing', () =>
      use(async (storage) => {
        await storage.close();
        await storage.close();
        for (const call of [() => storage.get(key(1)), () => storage.batch([put(key(1), key(1))], { sync: true })]) {
          const error: unknown = await call().then(
            () => undefined,
            (reason: unknown) => reason,
          );
          expect(isFieldbookError(error, 'store_closed')).toBe(true);
        }
      }));
  });
}

/** Hexadecimal text orders like the bytes it spells. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const [x, y] = [bytesToHex(a), bytesToHex(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}
