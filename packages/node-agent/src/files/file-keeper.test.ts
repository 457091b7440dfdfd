import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttributePath, BlobDigest, DeviceId, ProjectId, RunId, WriterId } from '@fieldbook/core';
import { FieldbookError, runDocumentName } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import { CHUNK_BYTES, readFile } from '@fieldbook/core/files';
import { encodeProgress, progressKey } from '@fieldbook/core/ingest';
import type { FileEntry } from '@fieldbook/core/record';
import { fileKey } from '@fieldbook/core/record';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { FakeClock, FakeTimers, MemoryStorage, SeededRandom } from '@fieldbook/core/testing';
import { expect, it, onTestFinished, vi } from 'vitest';
import { fileBlobs } from '../machine/blobs.ts';
import { FileKeeper, Spools } from './index.ts';
import { storeFile } from './store-file.ts';

const DEVICE = 'd000000000000000000000001' as DeviceId;
const WRITER = '01kf000000000000000000000a' as WriterId;
const RUN = 'run-1' as RunId;
const random = new SeededRandom(41);
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const sha256 = (bytes: Uint8Array): BlobDigest => createHash('sha256').update(bytes).digest('hex') as BlobDigest;

/** One machine: a spool, a blob store on disk, a replica in memory. */
class Box {
  readonly root = mkdtempSync(join(tmpdir(), 'fieldbook-files-'));
  readonly journals = join(this.root, 'journals');
  readonly blobs = fileBlobs(join(this.root, 'blobs'));
  readonly clock = new FakeClock(Date.now());
  readonly timers = new FakeTimers(this.clock);
  free = 100e9;
  replica!: Replica;
  keeper!: FileKeeper;
  #ordinal = 0;

  static async open(options: { others?: string[]; blobs?: (box: Box) => Box['blobs'] } = {}): Promise<Box> {
    const box = new Box();
    box.replica = await openReplica({ storage: new MemoryStorage(), device: DEVICE, random });
    box.keeper = new FileKeeper({
      replica: box.replica,
      blobs: options.blobs?.(box) ?? box.blobs,
      device: DEVICE,
      spools: new Spools(box.journals, options.others),
      clock: box.clock,
      timers: box.timers,
      log: quiet,
      disk: () => Promise.resolve({ free: box.free, total: 500e9 }),
    });
    onTestFinished(async () => {
      await box.keeper.close();
      await box.replica.close();
      rmSync(box.root, { recursive: true, force: true });
    });
    return box;
  }

  folder(root = this.journals): string {
    const folder = join(root, 'mnist', RUN, `${WRITER}.files`);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  spool(name: string, bytes: Uint8Array, root?: string): void {
    writeFileSync(join(this.folder(root), name), bytes);
  }

  async name(spool: string, override: Partial<FileEntry> = {}): Promise<FileEntry> {
    const entry: FileEntry = {
      kind: 'file',
      writer: WRITER,
      device: DEVICE,
      ordinal: this.#ordinal++,
      place: null,
      path: `files/${spool}` as AttributePath,
      name: spool,
      size: null,
      time: 1,
      modified: null,
      fileKind: 'file',
      mime: null,
      meta: null,
      travel: null,
      digest: null,
      chunks: null,
      spool,
      expected: null,
      source: null,
      failure: null,
      extra: {},
      ...override,
    };
    await this.replica.transact(runDocumentName(RUN), (doc) => new RunDocument(doc).putFile(entry));
    return entry;
  }

  async entry(of: FileEntry): Promise<FileEntry> {
    const entry = await this.replica.read(runDocumentName(RUN), (doc) => new RunDocument(doc).get(fileKey(of)));
    if (entry?.kind !== 'file') throw new Error('the entry has gone');
    return entry;
  }

  async content(of: FileEntry): Promise<Buffer> {
    const { digest, chunks, size } = await this.entry(of);
    if (digest === null) throw new Error('it is not stored');
    const parts: Uint8Array[] = [];
    for await (const part of readFile(this.blobs, { digest, chunks, size })) parts.push(part);
    return Buffer.concat(parts);
  }

  spooled(root?: string): string[] {
    const folder = join(root ?? this.journals, 'mnist', RUN, `${WRITER}.files`);
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }
}

const large = (size: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  const view = new Uint32Array(bytes.buffer, 0, size >> 2);
  for (let index = 0; index < view.length; index++) view[index] = Math.imul(index + seed, 2_654_435_761);
  return bytes;
};

it('[FIL-6] stores what waits, of any size, once, and then empties the spool', async () => {
  const box = await Box.open();
  const contents = [new Uint8Array(0), random.bytes(1000), large(CHUNK_BYTES, 1), large(2 * CHUNK_BYTES + 17, 2)];
  const entries: FileEntry[] = [];
  for (const [index, bytes] of contents.entries()) {
    box.spool(`f${index}`, bytes);
    entries.push(await box.name(`f${index}`, index === 1 ? { size: 1000, expected: sha256(bytes) } : {}));
  }
  await box.keeper.drain();
  for (const [index, bytes] of contents.entries()) {
    const entry = await box.entry(entries[index]!);
    expect(entry).toMatchObject({
      digest: sha256(bytes),
      size: bytes.length,
      spool: null,
      expected: null,
      failure: null,
    });
    expect(entry.chunks === null).toBe(bytes.length <= CHUNK_BYTES);
    expect((await box.content(entry)).equals(bytes)).toBe(true);
  }
  expect(box.spooled()).toEqual([]);
  expect(box.keeper.status()).toEqual({ pending: 0, pendingBytes: 0, problem: null, failures: [] });
  const rest: string[] = [];
  for await (const [key] of box.replica.listPrivate('spooled/')) rest.push(key);
  expect(rest).toEqual([]);
});

it('[FIL-6] the order is chunks, list, entry, spool; and a chunk that is there is not written again', async () => {
  const said: string[] = [];
  const box = await Box.open({
    blobs: (own) =>
      new Proxy(own.blobs, {
        get: (target, name) =>
          name !== 'write'
            ? Reflect.get(target, name).bind(target)
            : async (bytes: Uint8Array) => {
                const digest = await target.write(bytes);
                said.push(
                  `${bytes.length > 1000 ? 'chunk' : 'list'} ${box.spooled().join()} ${(await box.entry(entry)).digest ?? 'pending'}`,
                );
                return digest;
              },
      }),
  });
  const bytes = large(CHUNK_BYTES + 100_000, 3);
  box.spool('big', bytes);
  const entry = await box.name('big');
  const seen: string[] = [];
  box.replica.onCommit(({ origin }) => origin === 'local' && seen.push(box.spooled().join()));
  await box.keeper.drain();
  expect(said).toEqual(['chunk big pending', 'chunk big pending', 'list big pending']);
  expect(seen).toEqual(['big']);
  const place = (digest: string): string => join(box.root, 'blobs/sha256', digest.slice(0, 2), digest);
  const first = sha256(bytes.subarray(0, CHUNK_BYTES));
  const { ino } = statSync(place(first));
  box.spool('other', bytes.subarray(0, CHUNK_BYTES));
  const other = await box.name('other');
  await box.keeper.drain();
  expect((await box.entry(other)).digest).toBe(first);
  expect(statSync(place(first)).ino).toBe(ino);
});

it('[FIL-8] what is not what its record says stays in the spool, and the entry says why', async () => {
  const box = await Box.open();
  const bytes = random.bytes(500);
  for (const name of ['size', 'digest', 'good']) box.spool(name, bytes);
  const size = await box.name('size', { size: 499 });
  const digest = await box.name('digest', { size: 500, expected: sha256(random.bytes(3)) });
  const gone = await box.name('gone');
  const good = await box.name('good', { size: 500 });
  await box.keeper.drain();
  expect(await box.entry(size)).toMatchObject({ digest: null, spool: 'size', failure: expect.stringContaining('499') });
  expect(await box.entry(digest)).toMatchObject({ digest: null, failure: expect.stringContaining('SHA-256') });
  expect(await box.entry(gone)).toMatchObject({ digest: null, failure: expect.stringContaining('not in the spool') });
  expect((await box.entry(good)).digest).toBe(sha256(bytes));
  expect(box.spooled()).toEqual(['digest', 'size']);
  expect(readFileSync(join(box.folder(), 'size'))).toEqual(Buffer.from(bytes));
  const codes = box.keeper.status().failures.map(({ path, code }) => `${path} ${code}`);
  expect(codes.sort()).toEqual(['files/digest blob_corrupt', 'files/gone not_found', 'files/size blob_corrupt']);
  // Put right, it is stored.
  box.spool('size', bytes.subarray(0, 499));
  await box.keeper.drain();
  expect(await box.entry(size)).toMatchObject({ digest: sha256(bytes.subarray(0, 499)), failure: null });
});

it('[FIL-8] follows no link out of the spool, neither of a file nor of a folder', async () => {
  const box = await Box.open();
  const secret = join(box.root, 'secret');
  writeFileSync(secret, 'do not read');
  symlinkSync(secret, join(box.folder(), 'linked'));
  const entry = await box.name('linked');
  const elsewhere = join(box.root, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'deep'), 'do not read');
  const other = '01kf000000000000000000000b' as WriterId;
  symlinkSync(elsewhere, join(box.journals, 'mnist', RUN, `${other}.files`));
  const deep = await box.name('deep', { writer: other });
  await box.keeper.drain();
  for (const one of [entry, deep])
    expect(await box.entry(one)).toMatchObject({ digest: null, failure: expect.any(String) });
  expect(existsSync(secret)).toBe(true);
});

it('[FIL-9] what lies in the journals of others is stored and left there', async () => {
  const theirs = mkdtempSync(join(tmpdir(), 'fieldbook-theirs-'));
  onTestFinished(() => rmSync(theirs, { recursive: true, force: true }));
  const box = await Box.open({ others: [theirs] });
  const bytes = random.bytes(300);
  box.spool('f', bytes, theirs);
  const entry = await box.name('f');
  await box.keeper.drain();
  expect((await box.entry(entry)).digest).toBe(sha256(bytes));
  box.clock.advance(10 * 86_400_000);
  await box.keeper.drain();
  expect(box.spooled(theirs)).toEqual(['f']);
});

it('[FIL-50] a home that goes on as another device stores what waits in its own spool, and says nothing of others’ files', async () => {
  const theirs = mkdtempSync(join(tmpdir(), 'fieldbook-theirs-'));
  onTestFinished(() => rmSync(theirs, { recursive: true, force: true }));
  const box = await Box.open({ others: [theirs] });
  const bytes = random.bytes(300);
  box.spool('mine', bytes);
  box.spool('theirs', bytes, theirs);
  const before = 'd000000000000000000000002' as DeviceId;
  const mine = await box.name('mine', { device: before });
  const elsewhere = [
    await box.name('on-gpu-3', { device: before }),
    await box.name('theirs', { device: before }),
    await box.name('of-another', { device: before, writer: '01kf000000000000000000000b' as WriterId }),
  ];
  await box.keeper.drain();
  expect(await box.entry(mine)).toMatchObject({ device: before, digest: sha256(bytes), spool: null });
  expect(box.spooled()).toEqual([]);
  expect(box.spooled(theirs)).toEqual(['theirs']);
  for (const entry of elsewhere) expect(await box.entry(entry)).toMatchObject({ digest: null, failure: null });
  expect(box.keeper.status()).toMatchObject({ pending: 0, failures: [] });
});

it('[FIL-10] removes what nothing names, a day after its writer ended and was taken in', async () => {
  const box = await Box.open();
  box.spool('orphan', random.bytes(10));
  box.spool('.half.part', random.bytes(10));
  box.spool('named', random.bytes(10));
  await box.name('named', { size: 11 });
  const later = async (days: number): Promise<string[]> => {
    box.clock.set(Date.now() + days * 86_400_000);
    await box.keeper.drain();
    return box.spooled();
  };
  const all = ['.half.part', 'named', 'orphan'];
  expect(await later(2)).toEqual(all);
  await box.replica.putPrivate([
    [progressKey(WRITER), encodeProgress({ file: 0, offset: 9, done: false, purged: false })],
  ]);
  expect(await later(2)).toEqual(all);
  await box.replica.putPrivate([
    [progressKey(WRITER), encodeProgress({ file: 0, offset: 9, done: true, purged: false })],
  ]);
  expect(await later(0.9)).toEqual(all);
  expect(await later(1.1)).toEqual(['named']);
});

it('[FIL-11] leaves points their space: files wait, say so, and are stored when there is some', async () => {
  const box = await Box.open();
  const bytes = random.bytes(100_000);
  box.spool('f', bytes);
  const entry = await box.name('f', { size: 100_000 });
  box.free = 1_000_099_999;
  box.keeper.start();
  await vi.waitFor(() => expect(box.keeper.status().failures).toHaveLength(1));
  expect(box.keeper.status()).toMatchObject({ pending: 1, pendingBytes: 100_000, problem: { code: 'disk_full' } });
  await vi.waitFor(async () => expect((await box.entry(entry)).failure).toMatch(/kept for points/));
  expect(box.spooled()).toEqual(['f']);
  box.free = 1_000_100_000;
  await vi.waitFor(async () => {
    box.timers.advance(60_000);
    expect((await box.entry(entry)).digest).toBe(sha256(bytes));
  });
  await vi.waitFor(() => expect(box.keeper.status()).toMatchObject({ pending: 0, problem: null, failures: [] }));
});

it('[FIL-11] a disk that fills up half-way leaves the file in the spool and no part of it under a name', async () => {
  let full = true;
  const box = await Box.open({
    blobs: (own) =>
      new Proxy(own.blobs, {
        get: (target, name) =>
          name !== 'write'
            ? Reflect.get(target, name).bind(target)
            : async (bytes: Uint8Array) => {
                if (full && bytes.length < 1_000_000) throw new FieldbookError('disk_full', 'The disk is full.');
                return target.write(bytes);
              },
      }),
  });
  const bytes = large(CHUNK_BYTES + 10, 5);
  box.spool('f', bytes);
  const entry = await box.name('f');
  await box.keeper.drain();
  expect(await box.entry(entry)).toMatchObject({ digest: null, chunks: null, failure: 'The disk is full.' });
  expect(box.spooled()).toEqual(['f']);
  full = false;
  await box.keeper.drain();
  expect((await box.content(entry)).equals(bytes)).toBe(true);
});

it.each([
  ['between the turns of others', 3 * CHUNK_BYTES + 5, 7],
  ['by a thread', 8 * CHUNK_BYTES + 5, 1],
])('[FIL-12] hashing a file %s gives others their turn, and holds two chunks at a time', async (_how, size, least) => {
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns++;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  let held = 0;
  let most = 0;
  let before = 0;
  const between: number[] = [];
  const whole = createHash('sha256');
  const file = {
    stat: () => Promise.resolve({ size, mtimeMs: 1 }),
    read: (bytes: Uint8Array) => {
      if (held > 0) between.push(turns - before);
      before = turns;
      held += bytes.length;
      most = Math.max(most, held);
      bytes.fill(between.length + 1);
      whole.update(bytes);
      return Promise.resolve({ bytesRead: bytes.length, buffer: bytes });
    },
  };
  // The disk is the slowest: a chunk is written when the next one was read.
  let next = (): void => undefined;
  const write = async (bytes: Uint8Array): Promise<BlobDigest> => {
    next();
    const digest = sha256(bytes);
    if (bytes.length === CHUNK_BYTES) await new Promise<void>((resolve) => (next = resolve));
    held -= bytes.length;
    return digest;
  };
  const stored = await storeFile(file as never, { write }, { size, digest: null });
  counting = false;
  expect(stored.digest).toBe(whole.digest('hex'));
  expect(between.every((passed) => passed >= least)).toBe(true);
  expect(most).toBe(2 * CHUNK_BYTES);
});

it('[FIL-12] small files do not wait for large ones', async () => {
  // Large ones stand still until the test lets them go.
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const box = await Box.open({
    blobs: (own) =>
      new Proxy(own.blobs, {
        get: (target, name) =>
          name !== 'write'
            ? Reflect.get(target, name).bind(target)
            : async (bytes: Uint8Array) => {
                if (bytes.length > 1_000) await released;
                return target.write(bytes);
              },
      }),
  });
  const size = 8 * CHUNK_BYTES + 1;
  const entries: FileEntry[] = [];
  for (const [index, name] of ['large', 'larger', 'largest'].entries()) {
    box.spool(name, large(size + index, 7));
    entries.push(await box.name(name, { size: size + index }));
  }
  const isStored = async (entry: FileEntry): Promise<boolean> => (await box.entry(entry)).digest !== null;
  box.keeper.start();
  await vi.waitFor(() => expect(box.keeper.status().pending).toBe(3), { interval: 1 });
  box.spool('small', random.bytes(10));
  const small = await box.name('small', { size: 10 });
  box.keeper.filesPending({ run: RUN });
  box.timers.advance(1_000);
  const within = { interval: 5, timeout: 30_000 };
  await vi.waitFor(async () => expect(await isStored(small)).toBe(true), within);
  for (const entry of entries) expect(await isStored(entry)).toBe(false);
  release();
  for (const entry of entries) await vi.waitFor(async () => expect(await isStored(entry)).toBe(true), within);
}, 40_000);

it('[FIL-13] files of rows are blobs before their rows are committed, and leave the spool after it', async () => {
  const box = await Box.open();
  const bytes = random.bytes(2000);
  const owner = { project: 'mnist' as ProjectId, run: RUN, writer: WRITER };
  const file = { spool: 'o', name: 'o.png', size: 2000, mime: 'image/png', digest: sha256(bytes) };
  box.spool('o', bytes);
  await box.keeper.storeObjects(owner, [file]);
  expect(await box.blobs.read(file.digest)).toEqual(bytes);
  expect(box.spooled()).toEqual(['o']);
  box.keeper.objectsCommitted(owner, [file]);
  await vi.waitFor(() => expect(box.spooled()).toEqual([]));
});

it('[FIL-13] what could not be stored then is stored later, also by the next process', async () => {
  const box = await Box.open();
  const bytes = random.bytes(2000);
  const owner = { project: 'mnist' as ProjectId, run: RUN, writer: WRITER };
  const file = { spool: 'o', name: 'o.png', size: 2000, mime: 'image/png', digest: sha256(bytes) };
  box.spool('o', bytes);
  linkSync(join(box.folder(), 'o'), join(box.folder(), 'unnamed'));
  box.free = 0;
  await box.keeper.storeObjects(owner, [file, { ...file, spool: 'lost', digest: sha256(random.bytes(1)) }]);
  expect(box.keeper.status().problem?.code).toBe('disk_full');
  const row = {
    path: 'samples',
    step: 0,
    time: 1,
    kind: 'image',
    text: '',
    size: 2000,
    mime: 'image/png',
    name: 'o.png',
  };
  await box.replica.transact(runDocumentName(RUN), (doc) =>
    new RunDocument(doc).putObjectTail(
      {
        kind: 'objecttail',
        writer: WRITER,
        device: DEVICE,
        first: 0,
        last: 0,
        rows: [{ ...row, digest: file.digest, meta: '', ordinal: 0, part: 0 }],
        extra: {},
      },
      0,
    ),
  );
  box.keeper.objectsCommitted(owner, [file]);
  await box.keeper.drain();
  expect(box.spooled()).toContain('o');
  box.free = 100e9;
  // What another process remembers: nothing.
  const next = new FileKeeper({
    replica: box.replica,
    blobs: box.blobs,
    device: DEVICE,
    spools: new Spools(box.journals),
    clock: box.clock,
    timers: box.timers,
    log: quiet,
    disk: () => Promise.resolve({ free: 100e9, total: 500e9 }),
  });
  await next.drain();
  await next.close();
  expect(await box.blobs.read(file.digest)).toEqual(bytes);
  expect(box.spooled()).toEqual([]);
});

it('[FIL-15] a chunk that goes between its storing and its naming is stored again before the spooled file goes', async () => {
  const bytes = large(CHUNK_BYTES + 10, 9);
  const chunk = sha256(bytes.subarray(0, CHUNK_BYTES));
  let removed: boolean | undefined;
  const box = await Box.open({
    blobs: (own) =>
      new Proxy(own.blobs, {
        get: (target, name) =>
          name !== 'write'
            ? Reflect.get(target, name).bind(target)
            : async (part: Uint8Array) => {
                const digest = await target.write(part);
                // The chunk list comes last; a purge of another run with the same chunk looked around just now.
                if (part.length > 1_000 || removed !== undefined) return digest;
                if ((await target.stat(chunk)) === undefined) return digest;
                const removal = target.removal();
                removed = await removal.remove(chunk);
                removal.end();
                return digest;
              },
      }),
  });
  box.spool('model', bytes);
  const entry = await box.name('model');
  await box.keeper.drain();
  expect(removed).toBe(true);
  expect(box.spooled()).toEqual([]);
  expect((await box.content(entry)).equals(bytes)).toBe(true);
});

it('[FIL-15] what an earlier process has named is whole before its spooled file goes', async () => {
  const box = await Box.open();
  const bytes = large(CHUNK_BYTES + 10, 10);
  box.spool('model', bytes);
  const entry = await box.name('model');
  await box.keeper.drain();
  const stored = await box.entry(entry);
  // Killed between the commit and the removal from the spool; meanwhile its first chunk went.
  box.spool('model', bytes);
  await box.blobs.remove(sha256(bytes.subarray(0, CHUNK_BYTES)));
  const mark = `spooled/${RUN}/${WRITER}/model`;
  await box.replica.putPrivate([[mark, Buffer.from(`${fileKey(stored)}\n${box.folder()}`)]]);
  await box.keeper.drain();
  expect((await box.content(entry)).equals(bytes)).toBe(true);
  expect(box.spooled()).toEqual([]);
  expect(await box.replica.getPrivate(mark)).toBeUndefined();
  // A file of which nothing is left is no longer waited for.
  await box.replica.putPrivate([[mark, Buffer.from(`${fileKey(stored)}\n${box.folder()}`)]]);
  await box.keeper.drain();
  expect(await box.replica.getPrivate(mark)).toBeUndefined();
});
