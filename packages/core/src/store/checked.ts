import { crc32 } from '../journal/crc32.ts';
import { FieldbookError } from '../errors.ts';

/** A stored value with its checksum in front: u32 little-endian CRC-32 of the rest. */
export function seal(bytes: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(bytes.length + 4);
  sealed.set(bytes, 4);
  new DataView(sealed.buffer).setUint32(0, crc32(bytes), true);
  return sealed;
}

/** The bytes of a sealed value; throws `store_corrupt` when they are not what was stored. */
export function unseal(sealed: Uint8Array, what: string): Uint8Array {
  const bytes = sealed.subarray(4);
  if (sealed.length < 4 || new DataView(sealed.buffer, sealed.byteOffset).getUint32(0, true) !== crc32(bytes)) {
    throw new FieldbookError('store_corrupt', `${what} does not have the checksum it was stored with.`);
  }
  return bytes;
}
