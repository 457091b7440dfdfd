import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import type { BundlePlatform } from '@fieldbook/core/bundle';

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw) as (bytes: Uint8Array, options: object) => Promise<Buffer>;

/** What bundles need, on the thread pool of libuv. */
export const bundlePlatform: BundlePlatform = {
  deflate: async (bytes) => deflate(bytes, { level: 4 }),
  // Refuses to grow beyond what was promised.
  inflate: async (bytes, size) => inflate(bytes, { maxOutputLength: Math.max(1, size) }),
  sha256: () => {
    const hash = createHash('sha256');
    return { update: (bytes) => void hash.update(bytes), digest: () => new Uint8Array(hash.digest()) };
  },
};
