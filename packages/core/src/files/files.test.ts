import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import { MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import type { StoredFile } from './index.ts';
import {
  CHUNK_BYTES,
  chunkCount,
  decodeChunkList,
  encodeChunkList,
  fileVersions,
  globFits,
  planChunks,
  readFile,
  travelOf,
} from './index.ts';

interface Golden {
  line: string;
  size: number;
  digest: BlobDigest;
  chunks: BlobDigest[];
  list: string;
  listDigest: BlobDigest;
}
const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../tests/golden/files/v1.json'), 'utf8'),
) as Golden;
const content = new Uint8Array(Buffer.alloc(golden.size, golden.line));
const list = new Uint8Array(Buffer.from(golden.list, 'hex'));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (isFieldbookError(error) ? error.code : String(error)),
  );

async function storedGolden(): Promise<{ blobs: MemoryBlobStore; file: StoredFile }> {
  const blobs = new MemoryBlobStore();
  for (let at = 0; at < content.length; at += CHUNK_BYTES) await blobs.write(content.subarray(at, at + CHUNK_BYTES));
  await blobs.write(list, golden.listDigest);
  return { blobs, file: { digest: golden.digest, chunks: golden.listDigest, size: golden.size } };
}

describe('chunk lists', () => {
  it('[FIL-1] are the golden bytes, which Python reads too', () => {
    const chunks = Array.from({ length: chunkCount(golden.size) }, (_, index) =>
      sha256(content.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)),
    );
    expect(chunks).toEqual(golden.chunks);
    expect(sha256(content)).toBe(golden.digest);
    expect(encodeChunkList({ size: golden.size, chunks: golden.chunks })).toEqual(list);
    expect(sha256(list)).toBe(golden.listDigest);
    expect(decodeChunkList(list, golden.size)).toEqual({ size: golden.size, chunks: golden.chunks });
  });

  it('[FIL-2] that are cut, lengthened, of another size or no list at all are refused with blob_corrupt', () => {
    const random = new SeededRandom(31);
    const refused = (bytes: Uint8Array, size?: number): void => {
      let code: string | undefined = 'taken';
      try {
        decodeChunkList(bytes, size);
      } catch (error) {
        code = isFieldbookError(error) ? error.code : String(error);
      }
      expect(code, Buffer.from(bytes).toString('hex').slice(0, 40)).toBe('blob_corrupt');
    };
    for (let length = 0; length < list.length; length++) refused(list.subarray(0, length));
    refused(new Uint8Array([...list, 0]));
    refused(list, golden.size - 1);
    const huge = list.slice();
    huge.fill(255, 4, 12);
    refused(huge);
    const other = list.slice();
    other[3] = 0x32;
    refused(other);
    for (let times = 0; times < 300; times++) refused(random.bytes(random.int(200)));
  });
});

describe('reading a file', () => {
  it('[FIL-3] gives any range of it from the chunks that the range touches and no others', async () => {
    const { blobs, file } = await storedGolden();
    const random = new SeededRandom(32);
    const asked = new Set<string>();
    const watching = { read: (digest: BlobDigest) => (asked.add(digest), blobs.read(digest)) };
    const edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, golden.size - 1, golden.size];
    const ranges = edges.flatMap((start) => edges.filter((end) => end >= start).map((end) => ({ start, end })));
    for (let times = 0; times < 10; times++) {
      const start = random.int(golden.size);
      ranges.push({ start, end: start + random.int(golden.size - start + 1) });
    }
    for (const range of ranges) {
      asked.clear();
      const parts: Uint8Array[] = [];
      for await (const part of readFile(watching, file, range)) parts.push(part);
      expect(parts.every(({ length }) => length > 0 && length <= CHUNK_BYTES)).toBe(true);
      expect(Buffer.concat(parts).equals(content.subarray(range.start, range.end)), JSON.stringify(range)).toBe(true);
      const touched = golden.chunks.filter(
        (_, index) =>
          range.end > range.start && index * CHUNK_BYTES < range.end && (index + 1) * CHUNK_BYTES > range.start,
      );
      expect([...asked].sort(), JSON.stringify(range)).toEqual([golden.listDigest, ...touched].sort());
    }
    for (const range of [
      { start: -1, end: 1 },
      { start: 2, end: 1 },
      { start: 0, end: golden.size + 1 },
      { start: 0.5, end: 1 },
    ]) {
      expect(() => [...planChunks(golden.size, range)]).toThrow(/not within/);
    }
  });

  it('[FIL-3] an empty file is one empty blob, a file of one chunk needs no list', async () => {
    const blobs = new MemoryBlobStore();
    for (const bytes of [new Uint8Array(0), content.subarray(0, 1000)]) {
      const digest = await blobs.write(bytes);
      for (const size of [bytes.length, null]) {
        const parts: Uint8Array[] = [];
        for await (const part of readFile(blobs, { digest, chunks: null, size })) parts.push(part);
        expect(Buffer.concat(parts).equals(bytes)).toBe(true);
      }
    }
  });

  it('[FIL-3] what is missing or has another size than the file says is named, and nothing of it is given', async () => {
    const { blobs, file } = await storedGolden();
    const read = async (from: StoredFile, range?: { start: number; end: number }): Promise<number> => {
      let bytes = 0;
      for await (const part of readFile(blobs, from, range)) bytes += part.length;
      return bytes;
    };
    await blobs.remove(golden.chunks[1]!);
    expect(await codeOf(read(file))).toBe('blob_missing');
    expect(await read(file, { start: 0, end: CHUNK_BYTES })).toBe(CHUNK_BYTES);
    const swapped = encodeChunkList({
      size: golden.size,
      chunks: [golden.chunks[0]!, golden.chunks[2]!, golden.chunks[2]!],
    });
    expect(await codeOf(read({ ...file, chunks: await blobs.write(swapped) }))).toBe('blob_corrupt');
    await blobs.remove(golden.listDigest);
    expect(await codeOf(read(file))).toBe('blob_missing');
    expect(await codeOf(read({ digest: golden.chunks[2]!, chunks: null, size: 4 }))).toBe('blob_corrupt');
  });
});

const WRITERS = ['01kf000000000000000000000a', '01kf000000000000000000000b'] as WriterId[];
const DEVICES = ['d000000000000000000000000', 'd000000000000000000000001'] as DeviceId[];

function entry(override: Partial<FileEntry>): FileEntry {
  return {
    kind: 'file',
    writer: WRITERS[0]!,
    device: DEVICES[0]!,
    ordinal: 1,
    place: null,
    path: 'model' as AttributePath,
    name: 'model.pt',
    size: 3,
    time: 1000,
    modified: null,
    fileKind: 'file',
    mime: null,
    meta: null,
    travel: null,
    digest: null,
    chunks: null,
    spool: null,
    expected: null,
    source: null,
    failure: null,
    extra: {},
    ...override,
  };
}

describe('versions', () => {
  it('[FIL-4] the newest version at a path is current; a removal holds against what is older, at its path and below', () => {
    const at = (path: string, time: number, more: Partial<FileEntry> = {}): FileEntry =>
      entry({ path: path as AttributePath, time, ordinal: time, ...more });
    const gone = (path: string, time: number): FileEntry => at(path, time, { fileKind: 'removed', name: '', place: 0 });
    const shown = (entries: FileEntry[]): string[] =>
      fileVersions(entries).map(
        ({ entry: { path, time }, current, removed }) =>
          `${path}@${time}${current ? ' current' : ''}${removed ? ' removed' : ''}`,
      );
    expect(shown([at('a', 1), at('a', 2), at('b', 1, { writer: WRITERS[1]! })])).toEqual([
      'a@2 current',
      'b@1 current',
      'a@1',
    ]);
    expect(shown([at('a', 1), gone('a', 2)])).toEqual(['a@1 removed']);
    expect(shown([at('a', 1), gone('a', 2), at('a', 3)])).toEqual(['a@3 current', 'a@1 removed']);
    expect(shown([at('a/b', 1), at('ab', 1, { writer: WRITERS[1]! }), gone('a', 2)])).toEqual([
      'ab@1 current',
      'a/b@1 removed',
    ]);
  });

  it('[FIL-4] the same record from two devices is one version, of which the stored one is shown; any order gives the same', () => {
    const random = new SeededRandom(33);
    const digest = 'a'.repeat(64) as BlobDigest;
    for (let times = 0; times < 200; times++) {
      const entries = Array.from({ length: 1 + random.int(12) }, (_, index) =>
        entry({
          writer: random.pick(WRITERS),
          device: random.pick(DEVICES),
          ordinal: random.int(4),
          time: 1000 + random.int(3),
          path: random.pick(['a', 'a/b', 'c']) as AttributePath,
          fileKind: random.chance(0.2) ? 'removed' : 'file',
          place: index,
          digest: random.chance(0.5) ? digest : null,
        }),
      );
      // One record says one thing, whoever took it in.
      const said = new Map<string, FileEntry>();
      const same = entries.map((one) => {
        const key = `${one.writer}.${one.ordinal}`;
        const first = said.get(key) ?? one;
        said.set(key, first);
        return { ...first, device: one.device, digest: one.digest };
      });
      const once = [...new Map(same.map((one) => [`${one.writer}.${one.ordinal}.${one.device}`, one])).values()];
      const versions = fileVersions(once);
      expect(fileVersions(random.shuffle(once)), `seed 33, ${times}`).toEqual(versions);
      expect(new Set(versions.map(({ id }) => id)).size).toBe(versions.length);
      for (const version of versions)
        if (version.others.some((other) => other.digest !== null)) expect(version.entry.digest).toBe(digest);
    }
  });
});

describe('what travels', () => {
  it('[FIL-5] is as the writer said, else as the first rule that fits, else at once up to 64 MiB', () => {
    const MiB = 1024 * 1024;
    const file = (
      path: string,
      size: number | null,
      travel: FileEntry['travel'] = null,
    ): Parameters<typeof travelOf>[0] => ({
      path: path as AttributePath,
      size,
      travel,
    });
    expect(travelOf(file('model', 64 * MiB))).toBe('now');
    expect(travelOf(file('model', 64 * MiB + 1))).toBe('request');
    expect(travelOf(file('model', null))).toBe('now');
    const rules = [
      { pattern: 'checkpoints/**', over: 1 * MiB, travel: 'request' as const },
      { pattern: 'secret/*', over: 0, travel: 'never' as const },
      { pattern: '**', over: 0, travel: 'now' as const },
    ];
    expect(travelOf(file('checkpoints/10/optimizer', 2 * MiB), rules)).toBe('request');
    expect(travelOf(file('checkpoints/10/optimizer', 1 * MiB), rules)).toBe('now');
    expect(travelOf(file('secret/key', 0), rules)).toBe('never');
    expect(travelOf(file('secret/deep/key', 0), rules)).toBe('now');
    expect(travelOf(file('model', 100_000 * MiB), rules)).toBe('now');
    expect(travelOf(file('secret/key', 5, 'now'), rules)).toBe('now');
    expect(travelOf(file('model', 5, 'never'), rules)).toBe('never');
  });

  it('[FIL-5] globs know parts, and take no time that explodes', () => {
    for (const [pattern, fits, not] of [
      ['**', ['a', 'a/b'], []],
      ['a/**', ['a', 'a/b', 'a/b/c'], ['b', 'ab']],
      ['a/*', ['a/b'], ['a', 'a/b/c']],
      ['**/*.pt', ['x.pt', 'a/b/x.pt'], ['x.ptx', 'x.pt/y']],
      ['a/**/z', ['a/z', 'a/b/c/z'], ['a/zz']],
      ['m?del', ['model'], ['mdel', 'm/del']],
      ['*(1+1)*', ['x(1+1)y'], ['x11y']],
      ['', [], ['a']],
    ] as [string, string[], string[]][]) {
      for (const path of fits) expect(globFits(pattern, path), `${pattern} ${path}`).toBe(true);
      for (const path of not) expect(globFits(pattern, path), `${pattern} ${path}`).toBe(false);
    }
    const started = performance.now();
    expect(globFits(`${'**/*a*'.repeat(60)}b`, 'a/'.repeat(250) + 'a')).toBe(false);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
