import { asFieldbookError, FieldbookError } from '../errors.ts';
import { crc32 } from '../journal/crc32.ts';
import { ByteQueue } from './byte-queue.ts';
import type { BundleEnd, BundleHeader, BundlePlatform, SectionHead } from './format.ts';
import {
  CRITICAL,
  decodeDocument,
  decodeEnd,
  decodeHeader,
  decodeRecords,
  decodeSectionHead,
  DEFLATED,
  FLAG_SIGNED,
  HEADER_BYTES,
  SECTION,
  SECTION_HEAD_BYTES,
  SECTION_LIMITS,
  sectionChecksum,
  UNKNOWN_SECTION_BYTES,
} from './format.ts';
import type { BundleManifest } from './manifest.ts';
import { decodeManifest } from './manifest.ts';
import type { BundleItem } from './writer.ts';
import type { BundleSignature } from './signature.ts';
import { verifyBundle } from './signature.ts';
import { splitBlob } from './writer.ts';

/** What comes out of a bundle, in its order: the manifest first, the end last and only when all of it was whole. */
export type BundlePiece =
  | { kind: 'manifest'; header: BundleHeader; manifest: BundleManifest }
  | BundleItem
  | { kind: 'signature'; signature: BundleSignature }
  | { kind: 'end'; end: BundleEnd; unknown: number };

/** The smallest section takes 16 bytes; more of them than this is no bundle that anybody made. */
const SECTIONS_MAX = 50_000_000;

/**
 * Reads a bundle from its bytes, in whatever pieces they come: a section is given out only when all of it is there and its checksum
 * holds, and one at a time is in memory. Throws `bundle_corrupt` where the bytes end early or are damaged (what was given out before
 * is good), `bundle_version` where a newer program is needed, and nothing else but what `chunks` throws.
 */
export async function* readBundle(
  platform: BundlePlatform,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<BundlePiece> {
  const queue = new ByteQueue(chunks);
  const hash = platform.sha256();
  // Of the bytes before a signature; a hash can be asked once.
  let unsigned: ReturnType<BundlePlatform['sha256']> | undefined;
  const digest = (bytes: Uint8Array): void => {
    hash.update(bytes);
    unsigned?.update(bytes);
  };
  try {
    const head = await queue.take(HEADER_BYTES);
    const header = decodeHeader(head ?? new Uint8Array(0));
    if ((header.flags & FLAG_SIGNED) !== 0) unsigned = platform.sha256();
    let isSigned = false;
    digest(head!);
    const seen = { bytes: HEADER_BYTES, sections: 0, documents: 0, records: 0, blobs: 0 };
    let unknown = 0;
    for (;;) {
      const before = seen.bytes;
      const raw = await queue.take(SECTION_HEAD_BYTES);
      if (raw === undefined) throw torn(seen.bytes);
      const section = decodeSectionHead(raw);
      checkSize(section, seen.bytes, unknownLimit(section));
      if (SECTION_LIMITS[section.type] === undefined) {
        if ((section.flags & CRITICAL) !== 0)
          throw new FieldbookError(
            'bundle_version',
            `The bundle has parts (${section.type}) that a newer Fieldbook has to read. Update it here.`,
          );
        if (isSigned) throw behindSignature();
        await skip(queue, raw, section, before, digest);
        seen.bytes += SECTION_HEAD_BYTES + section.stored;
        seen.sections += 1;
        unknown += 1;
        continue;
      }
      const packed = await queue.take(section.stored);
      if (packed === undefined) throw torn(before);
      if (sectionChecksum(raw, packed) !== section.crc) throw damaged(before);
      if (section.type === SECTION.end) {
        const end = decodeEnd(await unpack(platform, section, packed, before));
        if ((await queue.take(1)) !== undefined)
          throw new FieldbookError('bundle_corrupt', 'There are bytes behind the end of the bundle.');
        checkEnd(end, seen, hash.digest());
        if (unsigned !== undefined)
          throw new FieldbookError(
            'bundle_corrupt',
            'The bundle says that it is signed, and its signature is missing.',
          );
        yield { kind: 'end', end, unknown };
        return;
      }
      if (isSigned) throw behindSignature();
      const payload = await unpack(platform, section, packed, before);
      if (section.type === SECTION.signature && unsigned !== undefined) {
        // Over what came before it: its own bytes are not in.
        const signature = verifyBundle(payload, unsigned.digest());
        unsigned = undefined;
        isSigned = true;
        digest(raw);
        digest(packed);
        seen.bytes += SECTION_HEAD_BYTES + section.stored;
        seen.sections += 1;
        yield { kind: 'signature', signature };
        continue;
      }
      digest(raw);
      digest(packed);
      seen.bytes += SECTION_HEAD_BYTES + section.stored;
      seen.sections += 1;
      if (seen.sections > SECTIONS_MAX) throw new FieldbookError('bundle_corrupt', 'The bundle has too many parts.');
      if ((seen.sections === 1) !== (section.type === SECTION.manifest))
        throw new FieldbookError('bundle_corrupt', 'The bundle does not begin with what it says of itself.');
      switch (section.type) {
        case SECTION.manifest:
          yield { kind: 'manifest', header, manifest: decodeManifest(payload) };
          break;
        case SECTION.document:
          seen.documents += 1;
          yield { kind: 'document', part: decodeDocument(payload) };
          break;
        case SECTION.records: {
          const group = decodeRecords(payload);
          seen.records += group.records.length;
          yield { kind: 'records', group };
          break;
        }
        case SECTION.blob:
          if (payload.length < 32) throw damaged(before);
          seen.blobs += 1;
          yield { kind: 'blob', ...splitBlob(payload) };
          break;
        default:
          // A signature in a bundle that does not say it has one: of nobody.
          unknown += 1;
      }
    }
  } finally {
    await queue.close();
  }
}

/** What a bundle says of itself, from its first bytes. Reads no further. Throws as `readBundle`. */
export async function peekBundle(
  platform: BundlePlatform,
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ header: BundleHeader; manifest: BundleManifest }> {
  for await (const piece of readBundle(platform, chunks)) if (piece.kind === 'manifest') return piece;
  throw new FieldbookError('bundle_corrupt', 'The bundle does not say what it is.');
}

/**
 * Whether the last bytes of a file are the end of a bundle of `size` bytes: a copy that broke off is seen before any of it is taken in.
 * Throws `bundle_corrupt`.
 */
export function checkTail(tail: Uint8Array, size: number): void {
  for (let at = Math.max(0, tail.length - 16 - 128); at + SECTION_HEAD_BYTES <= tail.length; at++) {
    if (tail[at] !== SECTION.end) continue;
    const section = decodeSectionHead(tail.subarray(at, at + SECTION_HEAD_BYTES));
    const payload = tail.subarray(at + SECTION_HEAD_BYTES);
    if (section.stored !== payload.length) continue;
    if (sectionChecksum(tail.subarray(at, at + SECTION_HEAD_BYTES), payload) !== section.crc) continue;
    if (decodeEnd(payload).bytes !== size - (tail.length - at)) break;
    return;
  }
  throw new FieldbookError('bundle_corrupt', 'The bundle is not whole: its end is missing. Copy it again.');
}

/** How many last bytes `checkTail` wants to see. */
export const TAIL_BYTES = 256;

async function skip(
  queue: ByteQueue,
  raw: Uint8Array,
  section: SectionHead,
  at: number,
  update: (bytes: Uint8Array) => void,
): Promise<void> {
  update(raw);
  let crc = sectionChecksum(raw, new Uint8Array(0));
  for (let left = section.stored; left > 0;) {
    const piece = await queue.takeSome(left);
    if (piece === undefined) throw torn(at);
    update(piece);
    crc = crc32(piece, crc);
    left -= piece.length;
  }
  if (crc !== section.crc) throw damaged(at);
}

function unknownLimit({ type }: SectionHead): number {
  return SECTION_LIMITS[type] ?? UNKNOWN_SECTION_BYTES;
}

function checkSize({ flags, stored, raw }: SectionHead, at: number, limit: number): void {
  const isPacked = (flags & DEFLATED) !== 0;
  if (raw > limit || stored > limit || (!isPacked && stored !== raw)) throw damaged(at);
}

async function unpack(
  platform: BundlePlatform,
  { flags, raw }: SectionHead,
  packed: Uint8Array,
  at: number,
): Promise<Uint8Array> {
  if ((flags & DEFLATED) === 0) return packed;
  let bytes: Uint8Array;
  try {
    bytes = await platform.inflate(packed, raw);
  } catch (error) {
    throw damaged(at, asFieldbookError(error));
  }
  if (bytes.length !== raw) throw damaged(at);
  // Plain bytes whatever the platform answers with.
  return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

function checkEnd(end: BundleEnd, seen: Omit<BundleEnd, 'sha256'>, sha256: Uint8Array): void {
  const same =
    end.bytes === seen.bytes &&
    end.sections === seen.sections &&
    end.documents === seen.documents &&
    end.records === seen.records &&
    end.blobs === seen.blobs &&
    end.sha256.every((byte, index) => byte === sha256[index]);
  if (!same) throw new FieldbookError('bundle_corrupt', 'The bundle is not what its end says; copy it again.');
}

function behindSignature(): FieldbookError {
  return new FieldbookError('bundle_corrupt', 'Something follows the signature of the bundle that is not signed.');
}

function torn(at: number): FieldbookError {
  return new FieldbookError('bundle_corrupt', `The bundle breaks off after ${at} bytes.`, { details: { at } });
}

function damaged(at: number, cause?: unknown): FieldbookError {
  return new FieldbookError('bundle_corrupt', `The bundle is damaged at byte ${at}.`, { cause, details: { at } });
}
