import { crc32 } from '@fieldbook/core/journal';
import { savedPath } from '../../../components/preview/name.ts';

/** Sizes and offsets beyond it need the records of ZIP64. */
const MOST = 0xffffffff;
const MOST_FILES = 0xffff;
const UTF8 = 0x0800;

interface Member {
  name: Uint8Array;
  crc: number;
  size: number;
  offset: number;
  time: number;
}

/**
 * A ZIP file of stored members, made piece by piece: what is compressed already would not get smaller, and nothing has to be held in
 * memory. Sizes and checksums are known before a member's head is written, so any reader can read it as a stream.
 */
export class Zip {
  readonly #parts: BlobPart[] = [];
  readonly #members: Member[] = [];
  readonly #names = new Set<string>();
  #length = 0;

  /** Adds a member whose bytes and CRC-32 are known. A name that is taken, or leads out of the folder, is changed. */
  add(name: string, content: Blob, crc: number, time: number): void {
    const member = {
      name: new TextEncoder().encode(this.#free(name)),
      crc,
      size: content.size,
      offset: this.#length,
      time,
    };
    this.#members.push(member);
    const head = headOf(member);
    this.#parts.push(head, content);
    this.#length += head.length + content.size;
  }

  blob(): Blob {
    const start = this.#length;
    const directory = this.#members.map(entryOf);
    const size = directory.reduce((sum, { length }) => sum + length, 0);
    return new Blob([...this.#parts, ...directory, endOf(this.#members.length, size, start)], {
      type: 'application/zip',
    });
  }

  #free(wanted: string): string {
    const clean = savedPath(wanted);
    let name = clean;
    // Most disks tell no capitals from small letters.
    for (let number = 2; this.#names.has(name.toLowerCase()); number++) {
      const dot = clean.lastIndexOf('.');
      name =
        dot > clean.lastIndexOf('/') ? `${clean.slice(0, dot)} (${number})${clean.slice(dot)}` : `${clean} (${number})`;
    }
    this.#names.add(name.toLowerCase());
    return name;
  }
}

/** CRC-32 of what comes in pieces. */
export class Checksum {
  value = 0;
  add(bytes: Uint8Array): void {
    this.value = crc32(bytes, this.value);
  }
}

function headOf({ name, crc, size, time }: Member): Uint8Array<ArrayBuffer> {
  const large = size >= MOST;
  const extra = large ? 20 : 0;
  const [bytes, view] = record(30 + name.length + extra);
  view.setUint32(0, 0x04034b50, true);
  view.setUint16(4, large ? 45 : 20, true);
  view.setUint16(6, UTF8, true);
  view.setUint32(10, dosTime(time), true);
  view.setUint32(14, crc, true);
  view.setUint32(18, large ? MOST : size, true);
  view.setUint32(22, large ? MOST : size, true);
  view.setUint16(26, name.length, true);
  view.setUint16(28, extra, true);
  bytes.set(name, 30);
  if (large) {
    const at = 30 + name.length;
    view.setUint16(at, 1, true);
    view.setUint16(at + 2, 16, true);
    view.setBigUint64(at + 4, BigInt(size), true);
    view.setBigUint64(at + 12, BigInt(size), true);
  }
  return bytes;
}

function entryOf({ name, crc, size, offset, time }: Member): Uint8Array<ArrayBuffer> {
  const large = size >= MOST || offset >= MOST;
  const extra = large ? 28 : 0;
  const [bytes, view] = record(46 + name.length + extra);
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(4, 45, true);
  view.setUint16(6, large ? 45 : 20, true);
  view.setUint16(8, UTF8, true);
  view.setUint32(12, dosTime(time), true);
  view.setUint32(16, crc, true);
  view.setUint32(20, large ? MOST : size, true);
  view.setUint32(24, large ? MOST : size, true);
  view.setUint16(28, name.length, true);
  view.setUint16(30, extra, true);
  view.setUint32(42, large ? MOST : offset, true);
  bytes.set(name, 46);
  if (large) {
    const at = 46 + name.length;
    view.setUint16(at, 1, true);
    view.setUint16(at + 2, 24, true);
    view.setBigUint64(at + 4, BigInt(size), true);
    view.setBigUint64(at + 12, BigInt(size), true);
    view.setBigUint64(at + 20, BigInt(offset), true);
  }
  return bytes;
}

function endOf(count: number, size: number, start: number): Uint8Array<ArrayBuffer> {
  const large = count >= MOST_FILES || size >= MOST || start >= MOST;
  const [bytes, view] = record((large ? 76 : 0) + 22);
  let at = 0;
  if (large) {
    view.setUint32(0, 0x06064b50, true);
    view.setBigUint64(4, 44n, true);
    view.setUint16(12, 45, true);
    view.setUint16(14, 45, true);
    view.setBigUint64(24, BigInt(count), true);
    view.setBigUint64(32, BigInt(count), true);
    view.setBigUint64(40, BigInt(size), true);
    view.setBigUint64(48, BigInt(start), true);
    view.setUint32(56, 0x07064b50, true);
    view.setBigUint64(64, BigInt(start + size), true);
    view.setUint32(72, 1, true);
    at = 76;
  }
  view.setUint32(at, 0x06054b50, true);
  view.setUint16(at + 8, Math.min(count, MOST_FILES), true);
  view.setUint16(at + 10, Math.min(count, MOST_FILES), true);
  view.setUint32(at + 12, Math.min(size, MOST), true);
  view.setUint32(at + 16, Math.min(start, MOST), true);
  return bytes;
}

function record(length: number): [Uint8Array<ArrayBuffer>, DataView] {
  const bytes = new Uint8Array(length);
  return [bytes, new DataView(bytes.buffer)];
}

/** Local time to two seconds, as MS-DOS had it; its years begin with 1980. */
function dosTime(time: number): number {
  const at = new Date(time);
  const year = Math.min(2107, Math.max(1980, at.getFullYear()));
  return (
    (((year - 1980) << 25) |
      ((at.getMonth() + 1) << 21) |
      (at.getDate() << 16) |
      (at.getHours() << 11) |
      (at.getMinutes() << 5) |
      (at.getSeconds() >> 1)) >>>
    0
  );
}
