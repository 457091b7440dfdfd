/** A member of a ZIP archive, as its directory says. */
export interface ArchiveMember {
  name: string;
  size: number;
}

type Read = (start: number, end: number) => Promise<Uint8Array>;

/** An archive's directory of so many bytes has a hundred thousand members. */
const DIRECTORY_MAX = 16 * 1024 * 1024;
const MEMBERS_MAX = 100_000;
const TAIL = 66 * 1024;
const HEADER_MAX = 16 * 1024 * 1024;

/** What a ZIP archive (`.npz`, `.pt`, `.zip`) lists at its end; null where that cannot be read. No member is opened. */
export async function archiveMembers(size: number, read: Read): Promise<ArchiveMember[] | null> {
  const from = Math.max(0, size - TAIL);
  const tail = await read(from, size);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  let at = tail.length - 22;
  while (at >= 0 && view.getUint32(at, true) !== 0x06054b50) at -= 1;
  if (at < 0) return null;
  let length = view.getUint32(at + 12, true);
  let start = view.getUint32(at + 16, true);
  if (at >= 20 && view.getUint32(at - 20, true) === 0x07064b50) {
    const end = Number(view.getBigUint64(at - 20 + 8, true));
    if (!Number.isSafeInteger(end) || end + 56 > size) return null;
    const wide = await read(end, end + 56);
    const widely = new DataView(wide.buffer, wide.byteOffset, wide.byteLength);
    if (wide.length < 56 || widely.getUint32(0, true) !== 0x06064b50) return null;
    length = Number(widely.getBigUint64(40, true));
    start = Number(widely.getBigUint64(48, true));
  }
  if (!Number.isSafeInteger(start) || length > DIRECTORY_MAX || start + length > size) return null;
  const directory = await read(start, start + length);
  const entries = new DataView(directory.buffer, directory.byteOffset, directory.byteLength);
  const members: ArchiveMember[] = [];
  for (let place = 0; place + 46 <= directory.length && members.length < MEMBERS_MAX;) {
    if (entries.getUint32(place, true) !== 0x02014b50) break;
    const [name, extra, comment] = [28, 30, 32].map((offset) => entries.getUint16(place + offset, true)) as [
      number,
      number,
      number,
    ];
    let bytes = entries.getUint32(place + 24, true);
    if (bytes === 0xffffffff) bytes = wideSize(entries, place + 46 + name, extra) ?? bytes;
    members.push({ name: new TextDecoder().decode(directory.subarray(place + 46, place + 46 + name)), size: bytes });
    place += 46 + name + extra + comment;
  }
  return members;
}

/** The tensors that a safetensors file lists at its beginning; null for any other. */
export async function safetensorsHead(
  name: string,
  size: number,
  read: Read,
): Promise<{ name: string; type: string; shape: readonly number[] }[] | null> {
  if (!name.endsWith('.safetensors') || size < 10) return null;
  const first = await read(0, 8);
  const length = Number(new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true));
  if (!(length > 1 && length <= Math.min(HEADER_MAX, size - 8))) return null;
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder().decode(await read(8, 8 + length)));
  } catch {
    return null;
  }
  if (typeof head !== 'object' || head === null) return null;
  return Object.entries(head as Record<string, { dtype?: unknown; shape?: unknown }>).flatMap(([tensor, said]) => {
    if (tensor === '__metadata__' || typeof said?.dtype !== 'string' || !Array.isArray(said.shape)) return [];
    return [
      { name: tensor, type: said.dtype, shape: said.shape.filter((part): part is number => typeof part === 'number') },
    ];
  });
}

/** The size in the extra field of ZIP64, which comes first in it. */
function wideSize(view: DataView, start: number, length: number): number | null {
  for (let at = start; at + 4 <= start + length && at + 4 <= view.byteLength; at += 4 + view.getUint16(at + 2, true))
    if (view.getUint16(at, true) === 1 && at + 12 <= view.byteLength) return Number(view.getBigUint64(at + 4, true));
  return null;
}
