import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { FieldbookError } from '../errors.ts';
import { crc32 } from '../journal/crc32.ts';
import { LIMITS } from '../limits.ts';

/** The bytes of `docs/formats/bundle.md`. The first is no text, and line ends are among them: a transfer that changes them is seen at once. */
export const MAGIC = new Uint8Array([0x89, 0x46, 0x42, 0x42, 0x0d, 0x0a, 0x1a, 0x0a]);
export const MAJOR = 1;
export const MINOR = 0;
export const HEADER_BYTES = 32;
export const SECTION_HEAD_BYTES = 16;

/** Header flags. The low byte must be understood by who reads, the high byte need not. */
export const FLAG_ENCRYPTED = 0x0001;
export const FLAG_SIGNED = 0x0100;

export const SECTION = { manifest: 1, document: 2, records: 3, blob: 4, signature: 5, end: 0x45 } as const;
/** Section flags. */
export const DEFLATED = 0x01;
/** Who does not know the section must not go on. */
export const CRITICAL = 0x80;

const MiB = 1024 * 1024;
/** What a section may be, unpacked. What a program holds of a bundle at a time is one of these, packed and unpacked. */
export const SECTION_LIMITS: Readonly<Record<number, number>> = {
  [SECTION.manifest]: 4 * MiB,
  [SECTION.document]: LIMITS.updateBytes + 2_048,
  [SECTION.records]: 4 * MiB,
  [SECTION.blob]: LIMITS.blobBytes + 32,
  [SECTION.signature]: 4_096,
  [SECTION.end]: 4_096,
};
/** Of a kind that this program does not know: passed over piece by piece, never held. */
export const UNKNOWN_SECTION_BYTES = 1024 * MiB;

/** Packs and unpacks, and hashes, as the platform can. */
export interface BundlePlatform {
  /** Raw DEFLATE (RFC 1951). */
  deflate(bytes: Uint8Array): Promise<Uint8Array>;
  /** Undoes it; rejects on broken bytes and as soon as there are more than `size` of them. */
  inflate(bytes: Uint8Array, size: number): Promise<Uint8Array>;
  sha256(): { update(bytes: Uint8Array): void; digest(): Uint8Array };
}

export interface BundleHeader {
  major: number;
  minor: number;
  flags: number;
  /** 16 random bytes: names the bundle, so that logs and people can tell two apart. */
  id: Uint8Array;
}

export function encodeHeader({ major, minor, flags, id }: BundleHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint8(8, major);
  view.setUint8(9, minor);
  view.setUint16(10, flags, true);
  bytes.set(id.subarray(0, 16), 12);
  view.setUint32(28, crc32(bytes, 0, 0, 28), true);
  return bytes;
}

/** Throws `bundle_corrupt` for anything that is no bundle, `bundle_version` for one that this program must not read. */
export function decodeHeader(bytes: Uint8Array): BundleHeader {
  const header = checkedHeader(bytes);
  if ((header.flags & FLAG_ENCRYPTED) !== 0)
    throw new FieldbookError(
      'bundle_version',
      'The bundle is sealed with a passphrase; whoever has the file opens it: "fieldbook bundle import", or the page.',
    );
  return header;
}

/** As `decodeHeader`, also of a sealed bundle. */
export function checkedHeader(bytes: Uint8Array): BundleHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || MAGIC.some((byte, at) => bytes[at] !== byte))
    throw new FieldbookError(
      'bundle_corrupt',
      'This is not a Fieldbook bundle, or it was changed on its way as if it were text.',
    );
  if (view.getUint32(28, true) !== crc32(bytes, 0, 0, 28))
    throw new FieldbookError('bundle_corrupt', 'The head of the bundle is damaged; copy it again.');
  const header = {
    major: view.getUint8(8),
    minor: view.getUint8(9),
    flags: view.getUint16(10, true),
    id: bytes.slice(12, 28),
  };
  if (header.major !== MAJOR)
    throw new FieldbookError(
      'bundle_version',
      `The bundle has format ${header.major}; this program reads ${MAJOR}. Update Fieldbook here.`,
      { details: { version: header.major } },
    );
  if ((header.flags & 0xff & ~FLAG_ENCRYPTED) !== 0)
    throw new FieldbookError('bundle_version', 'The bundle needs a newer Fieldbook to be read. Update it here.');
  return header;
}

export interface SectionHead {
  type: number;
  flags: number;
  stored: number;
  raw: number;
  crc: number;
}

export function decodeSectionHead(bytes: Uint8Array): SectionHead {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    type: view.getUint8(0),
    flags: view.getUint8(1),
    stored: view.getUint32(4, true),
    raw: view.getUint32(8, true),
    crc: view.getUint32(12, true),
  };
}

/** A section as stored; `packed` is its payload, of `raw` bytes unpacked. */
export function encodeSection(type: number, flags: number, packed: Uint8Array, raw: number): Uint8Array {
  const bytes = new Uint8Array(SECTION_HEAD_BYTES + packed.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, type);
  view.setUint8(1, flags);
  view.setUint32(4, packed.length, true);
  view.setUint32(8, raw, true);
  bytes.set(packed, SECTION_HEAD_BYTES);
  view.setUint32(12, sectionChecksum(bytes.subarray(0, 12), packed), true);
  return bytes;
}

/** Over the head without the checksum, and what follows it. */
export function sectionChecksum(head: Uint8Array, packed: Uint8Array): number {
  return crc32(packed, crc32(head, 0, 0, 12));
}

/** One document, or one of the parts that applied in order make it. */
export interface DocumentPart {
  name: string;
  generation: number;
  update: Uint8Array;
}

export function encodeDocument({ name, generation, update }: DocumentPart): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarString(encoder, name);
  encoding.writeVarUint(encoder, generation);
  encoding.writeVarUint8Array(encoder, update);
  return encoding.toUint8Array(encoder);
}

export function decodeDocument(bytes: Uint8Array): DocumentPart {
  return decoded(bytes, 'document', (decoder) => ({
    name: shortString(decoder, 256),
    generation: decoding.readVarUint(decoder),
    update: decoding.readVarUint8Array(decoder).slice(),
  }));
}

/** Records of one document, each under its key in a map of it. */
export interface RecordGroup {
  document: string;
  records: readonly { map: string; key: string; bytes: Uint8Array }[];
}

export function encodeRecords({ document, records }: RecordGroup): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarString(encoder, document);
  encoding.writeVarUint(encoder, records.length);
  for (const { map, key, bytes } of records) {
    encoding.writeVarString(encoder, map);
    encoding.writeVarString(encoder, key);
    encoding.writeVarUint8Array(encoder, bytes);
  }
  return encoding.toUint8Array(encoder);
}

export function decodeRecords(bytes: Uint8Array): RecordGroup {
  return decoded(bytes, 'group of records', (decoder) => {
    const document = shortString(decoder, 256);
    const count = decoding.readVarUint(decoder);
    const records: { map: string; key: string; bytes: Uint8Array }[] = [];
    // No array of the size that is told: what is not there ends the loop by throwing.
    for (let index = 0; index < count; index++)
      records.push({
        map: shortString(decoder, 64),
        key: shortString(decoder, LIMITS.keyBytes),
        bytes: decoding.readVarUint8Array(decoder).slice(),
      });
    return { document, records };
  });
}

/** What the last section says of all before it. */
export interface BundleEnd {
  /** Bytes before this section. */
  bytes: number;
  sections: number;
  documents: number;
  records: number;
  blobs: number;
  /** SHA-256 of all bytes before this section. */
  sha256: Uint8Array;
}

export function encodeEnd({ bytes, sections, documents, records, blobs, sha256 }: BundleEnd): Uint8Array {
  const encoder = encoding.createEncoder();
  for (const value of [bytes, sections, documents, records, blobs]) encoding.writeVarUint(encoder, value);
  encoding.writeUint8Array(encoder, sha256);
  return encoding.toUint8Array(encoder);
}

/** What a newer version adds behind is passed over. */
export function decodeEnd(payload: Uint8Array): BundleEnd {
  try {
    const decoder = decoding.createDecoder(payload);
    const [bytes, sections, documents, records, blobs] = Array.from({ length: 5 }, () => decoding.readVarUint(decoder));
    const sha256 = decoding.readUint8Array(decoder, 32).slice();
    return { bytes: bytes!, sections: sections!, documents: documents!, records: records!, blobs: blobs!, sha256 };
  } catch (error) {
    throw new FieldbookError('bundle_corrupt', 'The end of the bundle is damaged.', { cause: error });
  }
}

function decoded<T>(bytes: Uint8Array, what: string, read: (decoder: decoding.Decoder) => T): T {
  let value: T;
  let rest: boolean;
  try {
    const decoder = decoding.createDecoder(bytes);
    value = read(decoder);
    rest = decoding.hasContent(decoder);
  } catch (error) {
    throw new FieldbookError('bundle_corrupt', `A ${what} of the bundle cannot be decoded.`, { cause: error });
  }
  if (rest) throw new FieldbookError('bundle_corrupt', `A ${what} of the bundle has trailing bytes.`);
  return value;
}

function shortString(decoder: decoding.Decoder, limit: number): string {
  const bytes = decoding.readVarUint8Array(decoder);
  if (bytes.length > limit) throw new Error('a name is too long');
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}
