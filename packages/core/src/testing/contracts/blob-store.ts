import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../../errors.ts';
import type { BlobDigest, BlobStore } from '../../ports.ts';
import { SeededRandom } from '../random.ts';

/** The contract of the BlobStore port. `setup` gives an empty store; called once per test. */
export function blobStoreContract(
  name: string,
  setup: () => Promise<{ blobs: BlobStore; teardown(): Promise<void> }>,
): void {
  const use = async (run: (blobs: BlobStore) => Promise<void>): Promise<void> => {
    const { blobs, teardown } = await setup();
    try {
      await run(blobs);
    } finally {
      await teardown();
    }
  };
  const abc = new TextEncoder().encode('abc');
  // FIPS 180-2, appendix B.1.
  const digestOfAbc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' as BlobDigest;

  describe(`blob store contract: ${name}`, () => {
    it('[BLB-1] names blobs by SHA-256 and gives back their bytes and ranges of them', () =>
      use(async (blobs) => {
        expect(await blobs.read(digestOfAbc)).toBeUndefined();
        expect(await blobs.stat(digestOfAbc)).toBeUndefined();
        expect(await blobs.write(abc)).toBe(digestOfAbc);
        expect(await blobs.write(abc, digestOfAbc)).toBe(digestOfAbc);
        expect(await blobs.read(digestOfAbc)).toEqual(abc);
        expect(await blobs.stat(digestOfAbc)).toEqual({ digest: digestOfAbc, size: 3 });
        expect(await blobs.read(digestOfAbc, { start: 1, end: 2 })).toEqual(abc.slice(1, 2));
        expect(await blobs.read(digestOfAbc, { start: 2, end: 99 })).toEqual(abc.slice(2));
        const large = new SeededRandom(1).bytes(300_000);
        const digest = await blobs.write(large);
        expect(await blobs.read(digest, { start: 100_000, end: 200_000 })).toEqual(large.slice(100_000, 200_000));
        const empty = await blobs.write(new Uint8Array(0));
        expect(await blobs.read(empty)).toEqual(new Uint8Array(0));
      }));

    it('[BLB-2] refuses bytes that are not what was expected and keeps nothing of them', () =>
      use(async (blobs) => {
        const error: unknown = await blobs.write(new Uint8Array([1]), digestOfAbc).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(isFieldbookError(error, 'blob_corrupt')).toBe(true);
        expect(await blobs.stat(digestOfAbc)).toBeUndefined();
        const listed: string[] = [];
        for await (const { digest } of blobs.list()) listed.push(digest);
        expect(listed).toEqual([]);
      }));

    it('[BLB-1] lists what is there in order and from anywhere, and removing what is not is no error', () =>
      use(async (blobs) => {
        const random = new SeededRandom(2);
        const digests = await Promise.all(Array.from({ length: 20 }, () => blobs.write(random.bytes(50))));
        await Promise.all([1, 2, 3].map(() => blobs.write(abc)));
        await blobs.remove(digests[0]!);
        await blobs.remove(digests[0]!);
        const listed: string[] = [];
        for await (const { digest, size } of blobs.list()) listed.push(`${digest} ${size}`);
        const expected = [...digests.slice(1).map((digest) => `${digest} 50`), `${digestOfAbc} 3`].sort();
        expect(listed).toEqual(expected);
        const behind: string[] = [];
        for await (const { digest, size } of blobs.list({ after: expected[6]!.slice(0, 64) }))
          behind.push(`${digest} ${size}`);
        expect(behind).toEqual(expected.slice(7));
      }));

    it('[BLB-9] a removal takes nothing that was written or kept since it began', () =>
      use(async (blobs) => {
        const random = new SeededRandom(3);
        const bytes = [random.bytes(30), random.bytes(31), random.bytes(32)];
        const digests = await Promise.all(bytes.map((one) => blobs.write(one)));
        const removal = blobs.removal();
        await blobs.write(bytes[0]!);
        expect(await blobs.keep(digests[1]!)).toBe(true);
        expect(await Promise.all(digests.map((digest) => removal.remove(digest)))).toEqual([false, false, true]);
        removal.end();
        const there = async (): Promise<boolean[]> =>
          Promise.all(digests.map(async (digest) => (await blobs.stat(digest)) !== undefined));
        expect(await there()).toEqual([true, true, false]);
        expect(await blobs.keep(digests[2]!)).toBe(false);
        const next = blobs.removal();
        expect(await next.remove(digests[0]!)).toBe(true);
        next.end();
        expect(await there()).toEqual([false, true, false]);
      }));
  });
}
