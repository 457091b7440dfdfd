import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { editsOf, MemoryBlobStore, memoryStorage, openTestReplica } from '../testing/index.ts';
import type { DocumentName } from '../ids.ts';
import { importBundle } from './import.ts';
import { encodeManifest } from './manifest.ts';
import type { BundlePiece } from './reader.ts';
import { readBundle } from './reader.ts';
import { openSealed } from './sealed.ts';

const FOLDER = new URL('../../../../tests/golden/bundle/', import.meta.url);
/** One of each version that was ever written: files of all of them stay readable. */
const VERSIONS = readdirSync(FOLDER).filter((name) => name.endsWith('.fieldbook'));

const platform = {
  deflate: () => Promise.reject(new Error('nothing is written here')),
  inflate: async (bytes: Uint8Array, size: number) => new Uint8Array(inflateRawSync(bytes, { maxOutputLength: size })),
  sha256: () => {
    const hash = createHash('sha256');
    return { update: (bytes: Uint8Array) => void hash.update(bytes), digest: () => new Uint8Array(hash.digest()) };
  },
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

it('[BND-10] there is a golden bundle of the version that is written now', () => {
  expect(VERSIONS).toEqual(['v1.0-sealed.fieldbook', 'v1.0-signed.fieldbook', 'v1.0.fieldbook']);
});

it.each(VERSIONS)('[BND-10] the golden bundle %s means what it meant when it was written', async (name) => {
  const bytes = new Uint8Array(readFileSync(new URL(name, FOLDER)));
  const expected = JSON.parse(readFileSync(new URL(name.replace('.fieldbook', '.json'), FOLDER), 'utf8'));
  const pieces: BundlePiece[] = [];
  const plain = (): AsyncGenerator<Uint8Array> =>
    expected.passphrase === undefined ? whole(bytes) : openSealed(whole(bytes), expected.passphrase);
  for await (const piece of readBundle(platform, plain())) pieces.push(piece);
  const signer = pieces.flatMap((piece) => (piece.kind === 'signature' ? [hex(piece.signature.publicKey)] : []));
  expect(signer).toEqual(expected.signer === undefined ? [] : [expected.signer]);
  expect(bytes.length).toBe(expected.bytes);
  const told = pieces[0] as Extract<BundlePiece, { kind: 'manifest' }>;
  const { p, t, y, d, n, w, W, S, q, P, c, r, D, B, f, b, a, k, x, later } = expected.manifest;
  expect(told.manifest).toEqual({
    program: p,
    created: t,
    by: y,
    device: d,
    deviceName: n,
    workspace: { id: w, name: W },
    scope: { kind: 'runs', project: S, query: q },
    projects: P.map(([id, title, runs]: unknown[]) => ({ id, title, runs })),
    runCount: c,
    runs: r.map(([id, project, name, status, created]: unknown[]) => ({ id, project, name, status, created })),
    documents: D,
    blobs: B,
    documentBytes: f,
    blobBytes: b,
    absentBlobs: a,
    keptBack: k,
    damaged: x,
    withoutFiles: false,
    beyond: null,
    extra: { later },
  });
  // Fields of a newer version survive.
  expect(hex(encodeManifest(told.manifest))).toContain(hex(new TextEncoder().encode('later')));
  const documents = pieces.flatMap((piece) => (piece.kind === 'document' ? [piece.part] : []));
  expect(documents.map((part) => ({ ...part, update: hex(part.update) }))).toEqual(expected.documents);
  const records = pieces.flatMap((piece) =>
    piece.kind === 'records'
      ? piece.group.records.map((record) => ({ document: piece.group.document, ...record, bytes: hex(record.bytes) }))
      : [],
  );
  expect(records).toEqual(expected.records);
  const blobs = pieces.flatMap((piece) => (piece.kind === 'blob' ? [piece] : []));
  expect(blobs.map((blob) => ({ digest: blob.digest, bytes: hex(blob.bytes) }))).toEqual(expected.blobs);
  expect(pieces.at(-1)).toMatchObject({ kind: 'end', unknown: expected.unknown });

  const replica = await openTestReplica(await memoryStorage());
  const target = { replica, blobs: new MemoryBlobStore(), isPurged: async () => false };
  expect(await importBundle(platform, target, plain())).toMatchObject({ refused: [], changed: 1, added: 1 });
  const { document, key } = expected.records[0];
  expect(await editsOf(replica, document as DocumentName)).toEqual([key]);
});
