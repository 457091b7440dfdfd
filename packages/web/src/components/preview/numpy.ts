/** What a `.npy` file says of itself before its numbers. */
export interface NumpyHead {
  type: string;
  fortran: boolean;
  shape: readonly number[];
  count: number;
  /** Where the numbers begin. */
  start: number;
}

/** Reads the header of a `.npy` file (versions 1 to 3); null for bytes that are none. The header is a Python literal and is matched, never run. */
export function numpyHead(bytes: Uint8Array): NumpyHead | null {
  if (bytes.length < 12 || ![0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59].every((byte, index) => bytes[index] === byte))
    return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[6]! >= 2;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  if (start > bytes.length) return null;
  const text = new TextDecoder().decode(bytes.subarray(wide ? 12 : 10, start));
  const type = /'descr'\s*:\s*(?:'([^']{1,64})'|(\[.{1,2000}?\])\s*,\s*')/s.exec(text);
  const shape = /'shape'\s*:\s*\(([\d,\sL]*)\)/.exec(text)?.[1];
  if (type === null || shape === undefined) return null;
  const sizes = shape
    .split(',')
    .map((part) => part.replace('L', '').trim())
    .filter((part) => part !== '')
    .map(Number);
  if (sizes.length > 64 || !sizes.every((size) => Number.isSafeInteger(size))) return null;
  return {
    type: type[1] ?? type[2]!,
    fortran: /'fortran_order'\s*:\s*True/.test(text),
    shape: sizes,
    count: sizes.reduce((product, size) => product * size, 1),
    start,
  };
}

const READERS: Readonly<
  Record<string, [size: number, read: (view: DataView, at: number, little: boolean) => number | bigint]>
> = {
  f2: [2, (view, at, little) => half(view.getUint16(at, little))],
  f4: [4, (view, at, little) => Number(view.getFloat32(at, little).toPrecision(7))],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
  i1: [1, (view, at) => view.getInt8(at)],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  i8: [8, (view, at, little) => view.getBigInt64(at, little)],
  u1: [1, (view, at) => view.getUint8(at)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  u8: [8, (view, at, little) => view.getBigUint64(at, little)],
  b1: [1, (view, at) => view.getUint8(at)],
};

/** The first numbers of an array as far as `bytes` has them; null for a type that is no number. */
export function numpyValues(head: NumpyHead, bytes: Uint8Array, most: number): string[] | null {
  const reader = READERS[head.type.slice(1)];
  if (reader === undefined) return null;
  const [size, read] = reader;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: string[] = [];
  for (let index = 0; index < Math.min(head.count, most); index++) {
    const at = head.start + index * size;
    if (at + size > bytes.length) break;
    const value = read(view, at, !head.type.startsWith('>'));
    values.push(head.type.endsWith('b1') ? (value === 0 ? 'False' : 'True') : String(value));
  }
  return values;
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
