/**
 * CRC-32 as zlib and PNG have it (IEEE 802.3, reflected polynomial 0xedb88320), eight bytes a step.
 * `seed` and result are finished checksums, so `crc32(b, crc32(a))` is the checksum of a followed by b.
 */
const T = tables();
const T0 = T[0]!;
const T1 = T[1]!;
const T2 = T[2]!;
const T3 = T[3]!;
const T4 = T[4]!;
const T5 = T[5]!;
const T6 = T[6]!;
const T7 = T[7]!;

/** The checksum of `bytes[start, end)`, going on from `seed`. */
export function crc32(bytes: Uint8Array, seed = 0, start = 0, end = bytes.length): number {
  let crc = ~seed;
  let index = start;
  for (const last = end - 7; index < last; index += 8) {
    crc ^= bytes[index]! | (bytes[index + 1]! << 8) | (bytes[index + 2]! << 16) | (bytes[index + 3]! << 24);
    crc =
      T7[crc & 255]! ^
      T6[(crc >>> 8) & 255]! ^
      T5[(crc >>> 16) & 255]! ^
      T4[crc >>> 24]! ^
      T3[bytes[index + 4]!]! ^
      T2[bytes[index + 5]!]! ^
      T1[bytes[index + 6]!]! ^
      T0[bytes[index + 7]!]!;
  }
  for (; index < end; index++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[index]!) & 255]!;
  return ~crc >>> 0;
}

/** The checksum going on over a non-negative safe integer as eight little-endian bytes. */
export function crc32Of64(value: number, seed: number): number {
  const crc = ~seed ^ (value | 0);
  const high = Math.floor(value / 0x1_0000_0000);
  return (
    ~(
      T7[crc & 255]! ^
      T6[(crc >>> 8) & 255]! ^
      T5[(crc >>> 16) & 255]! ^
      T4[crc >>> 24]! ^
      T3[high & 255]! ^
      T2[(high >>> 8) & 255]! ^
      T1[(high >>> 16) & 255]! ^
      T0[high >>> 24]!
    ) >>> 0
  );
}

function tables(): Int32Array[] {
  const result = Array.from({ length: 8 }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    result[0]![byte] = crc;
  }
  for (let slice = 1; slice < 8; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const previous = result[slice - 1]![byte]!;
      result[slice]![byte] = (previous >>> 8) ^ result[0]![previous & 255]!;
    }
  }
  return result;
}
