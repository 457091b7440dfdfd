import type { BlobDigest } from '../ports.ts';
import { unpackDigests } from '../record/index.ts';
import { hexToBytes } from '@noble/hashes/utils.js';
import type { BundlePlatform, DocumentPart, RecordGroup } from './format.ts';
import {
  CRITICAL,
  DEFLATED,
  encodeDocument,
  encodeEnd,
  encodeHeader,
  encodeRecords,
  encodeSection,
  FLAG_SIGNED,
  MAJOR,
  MINOR,
  SECTION,
} from './format.ts';
import type { BundleManifest } from './manifest.ts';
import { encodeManifest } from './manifest.ts';
import type { BundleSigner } from './signature.ts';
import { signBundle } from './signature.ts';

/** What follows the manifest, in any order; documents before the blobs that they name. */
export type BundleItem =
  | { kind: 'document'; part: DocumentPart }
  | { kind: 'records'; group: RecordGroup }
  | { kind: 'blob'; digest: BlobDigest; bytes: Uint8Array };

/** Below this, packing gains nothing that a head of 16 bytes would not eat. */
const PACK_FROM = 256;
/** Of a large payload so much is tried first: segments and images are packed already. */
const SAMPLE = 64 * 1024;
const WORTH = 0.9;

/** The bytes of a bundle, a section at a time. What it holds in memory is one section. */
export async function* writeBundle(
  platform: BundlePlatform,
  id: Uint8Array,
  manifest: BundleManifest,
  items: AsyncIterable<BundleItem>,
  signer?: BundleSigner,
): AsyncGenerator<Uint8Array> {
  const hash = platform.sha256();
  // What is signed, and what the end says, differ by the signature: a hash can be asked once.
  let signed = signer === undefined ? undefined : platform.sha256();
  const told = { bytes: 0, sections: 0, documents: 0, records: 0, blobs: 0 };
  const count = (bytes: Uint8Array): Uint8Array => {
    hash.update(bytes);
    signed?.update(bytes);
    told.bytes += bytes.length;
    return bytes;
  };
  const section = async (type: number, flags: number, payload: Uint8Array): Promise<Uint8Array> => {
    const packed = await pack(platform, payload);
    told.sections += 1;
    return count(encodeSection(type, packed === null ? flags : flags | DEFLATED, packed ?? payload, payload.length));
  };
  yield count(encodeHeader({ major: MAJOR, minor: MINOR, flags: signer === undefined ? 0 : FLAG_SIGNED, id }));
  yield await section(SECTION.manifest, CRITICAL, encodeManifest(manifest));
  for await (const item of items) {
    switch (item.kind) {
      case 'document':
        told.documents += 1;
        yield await section(SECTION.document, CRITICAL, encodeDocument(item.part));
        break;
      case 'records':
        told.records += item.group.records.length;
        yield await section(SECTION.records, CRITICAL, encodeRecords(item.group));
        break;
      case 'blob': {
        told.blobs += 1;
        const payload = new Uint8Array(32 + item.bytes.length);
        payload.set(hexToBytes(item.digest));
        payload.set(item.bytes, 32);
        yield await section(SECTION.blob, CRITICAL, payload);
      }
    }
  }
  if (signer !== undefined && signed !== undefined) {
    const signature = await signBundle(signer, signed.digest());
    signed = undefined;
    yield await section(SECTION.signature, 0, signature);
  }
  const end = encodeEnd({ ...told, sha256: hash.digest() });
  yield encodeSection(SECTION.end, CRITICAL, end, end.length);
}

async function pack(platform: BundlePlatform, payload: Uint8Array): Promise<Uint8Array | null> {
  if (payload.length < PACK_FROM) return null;
  if (payload.length > 4 * SAMPLE) {
    const sample = payload.subarray(0, SAMPLE);
    if ((await platform.deflate(sample)).length > WORTH * SAMPLE) return null;
  }
  const packed = await platform.deflate(payload);
  return packed.length <= WORTH * payload.length ? packed : null;
}

/** A blob section's payload: which blob, and its bytes, not yet held against the name. */
export function splitBlob(payload: Uint8Array): { digest: BlobDigest; bytes: Uint8Array } {
  return { digest: unpackDigests(payload.subarray(0, 32))[0]!, bytes: payload.subarray(32) };
}
