import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import * as ed25519 from '@noble/ed25519';
import { isFieldbookError } from '../errors.ts';
import { SeededRandom } from '../testing/index.ts';
import type { BundleManifest } from './manifest.ts';
import type { BundlePiece } from './reader.ts';
import { readBundle } from './reader.ts';
import { isSealed, openSealed, SEALED_CHUNK_BYTES, sealBundle } from './sealed.ts';
import type { BundleItem } from './writer.ts';
import { writeBundle } from './writer.ts';

const platform = {
  deflate: async (bytes: Uint8Array) => new Uint8Array(deflateRawSync(bytes)),
  inflate: async (bytes: Uint8Array, size: number) => new Uint8Array(inflateRawSync(bytes, { maxOutputLength: size })),
  sha256: () => {
    const hash = createHash('sha256');
    return { update: (bytes: Uint8Array) => void hash.update(bytes), digest: () => new Uint8Array(hash.digest()) };
  },
};
const random = new SeededRandom(77);
const SECRET = new Uint8Array(32).fill(7);
const signer = {
  publicKey: ed25519.getPublicKey(SECRET),
  sign: (message: Uint8Array) => ed25519.sign(message, SECRET),
};
const FAST = { cost: 10 };

const MANIFEST: BundleManifest = {
  program: 'test/1',
  created: 1_768_478_400_000,
  by: 'Ada',
  device: `d${'0'.repeat(24)}`,
  deviceName: null,
  workspace: { id: 'w', name: null },
  scope: { kind: 'workspace' },
  projects: [],
  runCount: 0,
  runs: [],
  documents: 1,
  blobs: 0,
  documentBytes: 0,
  blobBytes: 0,
  absentBlobs: 0,
  keptBack: 0,
  damaged: 0,
  withoutFiles: false,
  beyond: { kind: 'peer', id: 'replica-1' },
  extra: {},
};

/** A bundle with `size` bytes that nothing packs. */
async function bundle(size: number, signed = true): Promise<Uint8Array> {
  async function* items(): AsyncGenerator<BundleItem> {
    const update = random.bytes(size);
    yield await Promise.resolve({ kind: 'document', part: { name: 'book/a/2026-01', generation: 0, update } } as const);
  }
  return join(writeBundle(platform, random.bytes(16), MANIFEST, items(), signed ? signer : undefined));
}

async function join(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return new Uint8Array(Buffer.concat(parts));
}

async function* inPieces(bytes: Uint8Array, most = 1 << 20): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.int(most);
    yield await Promise.resolve(bytes.subarray(at, at + size));
    at += size;
  }
}

/** What came out before it ended, and with which code it ended. */
async function opened(bytes: Uint8Array, passphrase: string): Promise<{ out: number; code: string }> {
  let out = 0;
  try {
    for await (const piece of openSealed(inPieces(bytes), passphrase)) out += piece.length;
    return { out, code: 'whole' };
  } catch (error) {
    if (!isFieldbookError(error)) throw error;
    return { out, code: error.code };
  }
}

async function pieces(bytes: Uint8Array): Promise<BundlePiece[]> {
  const all: BundlePiece[] = [];
  for await (const piece of readBundle(platform, inPieces(bytes))) all.push(piece);
  return all;
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: unknown) => (isFieldbookError(error) ? error.code : String(error)),
  );

it('[BND-15] a sealed bundle opens to the same bytes, however they come, at every size around a chunk', async () => {
  const overhead = (await bundle(0)).length;
  for (const size of [1, 3 * SEALED_CHUNK_BYTES, ...[-1, 0, 1].map((more) => SEALED_CHUNK_BYTES - overhead + more)]) {
    const plain = await bundle(size);
    for (const most of [1 << 20, 700]) {
      const sealed = await join(sealBundle(inPieces(plain, most), 'correct horse', random, FAST));
      expect(isSealed(sealed)).toBe(true);
      expect(isSealed(plain)).toBe(false);
      expect(
        Buffer.from(await join(openSealed(inPieces(sealed, most), 'correct horse'))).equals(Buffer.from(plain)),
      ).toBe(true);
      // Nothing of the content shows.
      expect(Buffer.from(sealed).includes(Buffer.from(plain.subarray(60, 100)))).toBe(false);
      expect(await codeOf(pieces(sealed))).toBe('bundle_version');
    }
  }
});

it('[BND-15] a wrong passphrase gives nothing out and says so; the same word typed otherwise opens it', async () => {
  const sealed = await join(sealBundle(inPieces(await bundle(100)), 'Gr\u00f6\u00dfe', random, FAST));
  expect(await opened(sealed, 'Gro\u0308\u00dfe')).toMatchObject({ code: 'whole' });
  for (const wrong of ['', 'gr\u00f6\u00dfe', 'Gr\u00f6\u00dfe ', 'x'.repeat(1_000)])
    expect(await opened(sealed, wrong)).toEqual({ out: 0, code: 'bundle_passphrase' });
  expect(await codeOf(join(sealBundle(inPieces(await bundle(1)), '', random, FAST)))).toBe('invalid_argument');
});

it('[BND-15] every flipped bit, cut, doubled, moved or missing chunk is refused, and nothing of a bad chunk comes out', async () => {
  const plain = await bundle(3 * SEALED_CHUNK_BYTES);
  const sealed = await join(sealBundle(inPieces(plain), 'p', random, FAST));
  const whole = SEALED_CHUNK_BYTES + 16;
  const chunk = (index: number): Uint8Array => sealed.subarray(96 + index * whole, 96 + (index + 1) * whole);
  const chunks = Math.ceil((sealed.length - 96) / whole);
  expect(chunks).toBe(4);
  const start = sealed.subarray(0, 96);
  const glue = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
  const all = [0, 1, 2, 3].map(chunk) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  for (const [name, bytes, most] of [
    ['without its last chunk', glue(start, all[0], all[1], all[2]), 2],
    ['without one in the middle', glue(start, all[0], all[2], all[3]), 1],
    ['two swapped', glue(start, all[1], all[0], all[2], all[3]), 0],
    ['one doubled', glue(start, all[0], all[0], all[1], all[2], all[3]), 1],
    ['something behind', glue(sealed, new Uint8Array(40)), 3],
    ['a last chunk twice', glue(sealed, all[3]), 3],
    ['nothing but the beginning', start, 0],
    ['half of the beginning', sealed.subarray(0, 50), 0],
  ] as const) {
    const { out, code } = await opened(bytes, 'p');
    expect([name, code]).toEqual([name, 'bundle_corrupt']);
    expect(out).toBeLessThanOrEqual(most * SEALED_CHUNK_BYTES);
  }
  for (let round = 0; round < 60; round++) {
    const at = round < 20 ? round * 5 : random.int(sealed.length);
    const broken = sealed.slice();
    broken[at]! ^= 1 << random.int(8);
    const { out, code } = await opened(broken, 'p');
    expect(['bundle_corrupt', 'bundle_version', 'bundle_passphrase'], `byte ${at}`).toContain(code);
    expect(out, `byte ${at}`).toBeLessThanOrEqual(Math.max(0, Math.floor((at - 96) / whole)) * SEALED_CHUNK_BYTES);
    const cut = await opened(sealed.subarray(0, at), 'p');
    expect(cut.code, `cut at ${at}`).toBe('bundle_corrupt');
  }
});

it('[BND-15] a stranger’s file cannot make this program work or remember without bound', async () => {
  const sealed = await join(sealBundle(inPieces(await bundle(10)), 'p', random, FAST));
  const { crc32 } = await import('../journal/crc32.ts');
  for (const [at, value] of [
    [33, 31],
    [33, 3],
    [34, 255],
    [35, 200],
    [36, 9],
    [32, 2],
  ] as const) {
    const hostile = sealed.slice();
    hostile[at] = value;
    const parameters = hostile.subarray(32, 96);
    new DataView(hostile.buffer).setUint32(92, crc32(parameters, 0, 0, 60), true);
    expect(['bundle_corrupt', 'bundle_version'], `byte ${at}`).toContain((await opened(hostile, 'p')).code);
  }
});

it('[BND-16] a signature is of the device whose key made it, and holds for every byte before it', async () => {
  const signed = await bundle(500);
  const found = (await pieces(signed)).filter((piece) => piece.kind === 'signature');
  expect(found).toHaveLength(1);
  const digest = createHash('sha256').update(signer.publicKey).digest();
  const { base32 } = await import('../ids.ts');
  expect(found[0]!.signature.device).toBe(`d${base32(new Uint8Array(digest.subarray(0, 15)))}`);
  expect((await pieces(await bundle(500, false))).some(({ kind }) => kind === 'signature')).toBe(false);
});

it('[BND-16] a forged signature, one that is missing, and what is put behind one are refused', async () => {
  const { encodeEnd, encodeSection, encodeHeader, encodeDocument } = await import('./format.ts');
  const { signBundle } = await import('./signature.ts');
  const { encodeManifest } = await import('./manifest.ts');
  const manifest = encodeManifest(MANIFEST);
  const id = random.bytes(16);
  const section = (type: number, payload: Uint8Array, flags = 0x80): Uint8Array =>
    encodeSection(type, flags, payload, payload.length);
  const extra = section(2, encodeDocument({ name: 'book/a/2026-01', generation: 0, update: new Uint8Array(2) }));
  const build = async (options: { forge?: boolean; without?: boolean; behind?: boolean; unknown?: boolean }) => {
    const before = Buffer.concat([encodeHeader({ major: 1, minor: 0, flags: 0x0100, id }), section(1, manifest)]);
    const digest = new Uint8Array(createHash('sha256').update(before).digest());
    if (options.forge === true) digest[0]! ^= 1;
    const parts = [before];
    if (options.without !== true) parts.push(Buffer.from(section(5, await signBundle(signer, digest), 0)));
    if (options.behind === true) parts.push(Buffer.from(extra));
    if (options.unknown === true) parts.push(Buffer.from(section(77, new Uint8Array(3), 0)));
    const all = Buffer.concat(parts);
    const end = encodeEnd({
      bytes: all.length,
      sections: parts.length,
      documents: options.behind === true ? 1 : 0,
      records: 0,
      blobs: 0,
      sha256: new Uint8Array(createHash('sha256').update(all).digest()),
    });
    return new Uint8Array(Buffer.concat([all, section(0x45, end)]));
  };
  expect((await pieces(await build({}))).map(({ kind }) => kind)).toEqual(['manifest', 'signature', 'end']);
  for (const options of [{ forge: true }, { without: true }, { behind: true }, { unknown: true }])
    expect(await codeOf(pieces(await build(options))), JSON.stringify(options)).toBe('bundle_corrupt');
});
