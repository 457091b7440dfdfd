import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Book, RunDocument, Workspace } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import { CHUNK_BYTES, encodeChunkList } from '../files/index.ts';
import type { AttributePath, BookMonth, DocumentName, ProjectId, RunId, WriterId } from '../ids.ts';
import { WORKSPACE_DOCUMENT } from '../ids.ts';
import { Library } from '../library/index.ts';
import type { BlobDigest } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import {
  codeOf,
  contentsOf,
  makeCard,
  makeTestEdit,
  MemoryBlobStore,
  memoryStorage,
  openTestReplica,
  SeededRandom,
} from '../testing/index.ts';
import type { BundleRequest } from './export.ts';
import { planBundle } from './export.ts';
import type { BundlePlatform } from './format.ts';
import { encodeHeader, encodeSection, HEADER_BYTES, SECTION, SECTION_HEAD_BYTES } from './format.ts';
import type { BundleImport, BundleTarget } from './import.ts';
import { importBundle } from './import.ts';
import type { BundlePiece } from './reader.ts';
import { checkTail, peekBundle, readBundle, TAIL_BYTES } from './reader.ts';
import { writeBundle } from './writer.ts';

const platform: BundlePlatform = {
  deflate: async (bytes) => new Uint8Array(deflateRawSync(bytes)),
  inflate: async (bytes, size) => new Uint8Array(inflateRawSync(bytes, { maxOutputLength: Math.max(1, size) })),
  sha256: () => {
    const hash = createHash('sha256');
    return { update: (bytes) => void hash.update(bytes), digest: () => new Uint8Array(hash.digest()) };
  },
};
const mnist = 'mnist' as ProjectId;
const november = 'book/mnist/2026-11' as DocumentName;
const ID = new Uint8Array(16).fill(7);
const MAKER = {
  program: 'fieldbook/0.1.0',
  created: 1_768_478_400_000,
  by: 'Ada',
  device: 'd000000000000000000000000',
  deviceName: 'gpu-1',
  workspace: { id: '01kf0000000000000000000000', name: null },
};

interface Machine {
  replica: Replica;
  blobs: MemoryBlobStore;
  library: Library;
  contents(): Promise<string[]>;
}

async function machine(): Promise<Machine> {
  const storage = await memoryStorage();
  const replica = await openTestReplica(storage);
  return {
    replica,
    blobs: new MemoryBlobStore(),
    library: await Library.open(replica),
    contents: async () => {
      await replica.flush();
      return contentsOf(storage);
    },
  };
}

const writerOf = (run: number): WriterId => `01kf${String(run).padStart(22, '0')}` as WriterId;
const runDocument = (run: string): DocumentName => `run/${run}` as DocumentName;

/** A machine with `runs` runs of one project, each with a card, a tag and a file of its own. */
async function withRuns(runs: number): Promise<Machine & { files: BlobDigest[] }> {
  const made = await machine();
  const { replica, blobs } = made;
  await replica.transact(WORKSPACE_DOCUMENT, (doc) =>
    new Workspace(doc).ensureBook(mnist, '2026-11' as BookMonth, 'MNIST', 1),
  );
  const files: BlobDigest[] = [];
  for (let index = 1; index <= runs; index++) {
    const run = `run-${index}` as RunId;
    const card = makeCard({
      run,
      writer: writerOf(index),
      name: `run ${index}`,
      ordinal: 10,
      status: 'finished',
      ended: 5,
    });
    await replica.transact(november, (doc) => {
      new Book(doc).putCard(card);
      new Book(doc).addEdit(makeTestEdit({ run, field: 'tags', op: 'add', value: `tag ${index}` }));
    });
    const digest = await blobs.write(new SeededRandom(index).bytes(3_000));
    files.push(digest);
    await replica.transact(runDocument(run), (doc) => putFile(doc, index, digest, null, 3_000));
  }
  return { ...made, files };
}

function putFile(
  doc: ConstructorParameters<typeof RunDocument>[0],
  run: number,
  digest: BlobDigest,
  chunks: BlobDigest | null,
  size: number,
): void {
  new RunDocument(doc).putFile({
    kind: 'file',
    writer: writerOf(run),
    device: MAKER.device as never,
    ordinal: 1,
    place: null,
    path: 'model' as AttributePath,
    name: 'model.pt',
    fileKind: 'file',
    time: 5,
    size,
    digest,
    chunks,
    mime: null,
    meta: null,
    travel: null,
    spool: null,
    source: null,
    failure: null,
    extra: {},
  } as never);
}

async function requestOf({ library }: Machine, scope: BundleRequest['scope'], only?: string[]): Promise<BundleRequest> {
  const states = await library.runs(mnist);
  const runs = states.filter(({ id }) => only === undefined || only.includes(id));
  return { scope, runs, titles: new Map([['mnist', 'MNIST']]), withoutFiles: false };
}

async function bundleOf(from: Machine, scope: BundleRequest['scope'], only?: string[]): Promise<Uint8Array> {
  const { manifest, items } = await planBundle(from, await requestOf(from, scope, only), MAKER);
  return joined(writeBundle(platform, ID, manifest, items()));
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

async function* inPieces(bytes: Uint8Array, size = 1_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

function takeIn({ replica, blobs, library }: Machine, bytes: Uint8Array, piece?: number): Promise<BundleImport> {
  return importBundle(platform, { replica, blobs, isPurged: (run) => library.isPurged(run) }, inPieces(bytes, piece));
}

const all = { kind: 'workspace' } as const;
const some = { kind: 'runs', project: 'mnist', query: 'tags has "x"' } as const;

describe('bundles', () => {
  it('[BND-1] brings a replica everything that another has, whatever pieces the bytes come in, and a second time changes nothing', async () => {
    const ada = await withRuns(5);
    const bytes = await bundleOf(ada, all);
    for (const piece of [1, 17, 1_000_000]) {
      const grace = await machine();
      const first = await takeIn(grace, bytes, piece);
      expect(first).toMatchObject({
        documents: 7,
        changed: 7,
        blobs: 5,
        refused: [],
        unwanted: 0,
        bytes: bytes.length,
      });
      expect(await grace.library.digest(mnist)).toBe(await ada.library.digest(mnist));
      for (const digest of ada.files) expect(await grace.blobs.read(digest)).toEqual(await ada.blobs.read(digest));
      const before = await grace.contents();
      expect(await takeIn(grace, bytes, piece)).toMatchObject({
        documents: 7,
        changed: 0,
        added: 0,
        blobs: 0,
        present: 5,
      });
      expect(await grace.contents()).toEqual(before);
    }
  });

  it('[BND-2] says what is in it before any of it is read', async () => {
    const ada = await withRuns(3);
    const bytes = await bundleOf(ada, { kind: 'project', project: 'mnist' });
    const { header, manifest } = await peekBundle(platform, inPieces(bytes, 64));
    expect(header).toMatchObject({ major: 1, minor: 0, flags: 0 });
    expect(manifest).toMatchObject({
      ...MAKER,
      scope: { kind: 'project', project: 'mnist' },
      projects: [{ id: 'mnist', title: 'MNIST', runs: 3 }],
      runCount: 3,
      documents: 4,
      blobs: 3,
      blobBytes: 9_000,
      absentBlobs: 0,
    });
    expect(manifest.runs.map(({ name }) => name).sort()).toEqual(['run 1', 'run 2', 'run 3']);
  });

  it('[BND-3] holds of chosen runs nothing of the others, and is folded like them', async () => {
    const ada = await withRuns(4);
    await ada.replica.transact(WORKSPACE_DOCUMENT, (doc) =>
      new Workspace(doc).ensureBook('secret' as ProjectId, '2026-11' as BookMonth, 'Secret', 1),
    );
    const bytes = await bundleOf(ada, some, ['run-2', 'run-3']);
    const grace = await machine();
    await takeIn(grace, bytes);
    const [two, three] = (await grace.library.runs(mnist)).sort((a, b) => (a.id < b.id ? -1 : 1));
    const theirs = new Map((await ada.library.runs(mnist)).map((state) => [state.id, state]));
    expect(two).toEqual(theirs.get('run-2' as RunId));
    expect(three).toEqual(theirs.get('run-3' as RunId));
    expect(await grace.library.runs(mnist)).toHaveLength(2);
    expect(await grace.library.history(mnist, 'run-2' as RunId)).toEqual(
      await ada.library.history(mnist, 'run-2' as RunId),
    );
    const text = Buffer.from(await joinedRaw(bytes)).toString('latin1');
    for (const word of ['run 1', 'run 4', 'tag 1', 'tag 4', 'secret', 'Secret']) expect(text).not.toContain(word);
    for (const word of ['run 2', 'tag 3', 'MNIST']) expect(text).toContain(word);
    // The whole replica afterwards: no record twice, the same state.
    await takeIn(grace, await bundleOf(ada, all));
    expect(await grace.library.digest(mnist)).toBe(await ada.library.digest(mnist));
  });

  it('[BND-4] never puts an older card over a newer one, whichever came first', async () => {
    const ada = await withRuns(1);
    const early = makeCard({ run: 'run-9' as RunId, writer: writerOf(9), ordinal: 3, name: 'early' });
    await ada.replica.transact(november, (doc) => new Book(doc).putCard(early));
    const older = await bundleOf(ada, some, ['run-9']);
    const late = makeCard({ ...early, ordinal: 30, status: 'finished', ended: 9, name: 'late' });
    await ada.replica.transact(november, (doc) => new Book(doc).putCard(late));
    const newer = await bundleOf(ada, some, ['run-9']);
    const whole = await bundleOf(ada, all);
    const orders = [
      [older, newer, whole],
      [newer, older, whole],
      [whole, older, newer],
      [older, whole, older],
      [newer, whole, older],
    ];
    for (const order of orders) {
      const grace = await machine();
      for (const bytes of order) await takeIn(grace, bytes);
      expect(await grace.library.run(mnist, 'run-9' as RunId)).toMatchObject({ name: 'late', status: 'finished' });
      expect(await grace.library.digest(mnist)).toBe(await ada.library.digest(mnist));
    }
  });

  it('[BND-5] leaves of a bundle that breaks off only whole records, says so, and the whole one completes them', async () => {
    const ada = await withRuns(3);
    const bytes = await bundleOf(ada, all);
    const random = new SeededRandom(5);
    const ends = [
      0,
      1,
      HEADER_BYTES,
      HEADER_BYTES + 5,
      bytes.length - 1,
      ...Array.from({ length: 24 }, () => random.int(bytes.length)),
    ];
    for (const end of ends) {
      const grace = await machine();
      const before = await grace.contents();
      const error: unknown = await takeIn(grace, bytes.subarray(0, end)).catch((thrown: unknown) => thrown);
      expect(isFieldbookError(error, 'bundle_corrupt'), `cut at ${end}`).toBe(true);
      const { imported } = (error as { details: { imported: BundleImport } }).details;
      const nothing = imported.changed + imported.added + imported.blobs === 0;
      if (nothing) expect(await grace.contents()).toEqual(before);
      expect(String(error)).toContain(nothing ? 'Nothing was changed' : 'import the bundle again');
      for (const state of await grace.library.runs(mnist)) expect(state.name).toMatch(/^run \d$/);
      for await (const { digest } of grace.blobs.list()) expect(ada.files).toContain(digest);
      await takeIn(grace, bytes);
      expect(await grace.library.digest(mnist)).toBe(await ada.library.digest(mnist));
      expect(() => checkTail(bytes.slice(0, end).slice(-TAIL_BYTES), end)).toThrow(/end is missing/);
    }
    checkTail(bytes.slice(-TAIL_BYTES), bytes.length);
  });

  it('[BND-6] refuses damaged and hostile bytes with a reason, whatever they are, and stores nothing unjudged', async () => {
    const ada = await withRuns(2);
    const bytes = await bundleOf(ada, all);
    const random = new SeededRandom(11);
    const valid = new Set(await names(bytes));
    for (let round = 0; round < 150; round++) {
      const bad = bytes.slice();
      for (let flips = 1 + random.int(3); flips > 0; flips--) bad[random.int(bad.length)]! ^= 1 << random.int(8);
      const grace = await machine();
      const code = await codeOf(takeIn(grace, bad));
      expect(['bundle_corrupt', 'bundle_version'], `round ${round}: ${code}`).toContain(code);
      for await (const { name } of grace.replica.list()) expect(valid).toContain(name);
    }
    // A head that promises more than a section may have is refused before anything is read for it.
    const huge = encodeSection(SECTION.blob, 0x81, new Uint8Array(4), 4_000_000_000);
    const start = bytes.subarray(0, HEADER_BYTES + SECTION_HEAD_BYTES + storedAt(bytes, HEADER_BYTES));
    expect(await codeOf(read(new Uint8Array([...start, ...huge])))).toBe('bundle_corrupt');
    // One that unpacks to more than it says is stopped at what it says.
    const bomb = deflateRawSync(new Uint8Array(50_000_000));
    const lying = encodeSection(SECTION.document, 0x81, new Uint8Array(bomb), 1_000);
    expect(await codeOf(read(new Uint8Array([...start, ...lying])))).toBe('bundle_corrupt');
  });

  it('[GEN-11] adopts what was rebuilt elsewhere, and adds of what was rebuilt here only what the rebuilding did not know', async () => {
    const ada = await withRuns(2);
    const [grace, member] = [await machine(), await machine()];
    const old = await bundleOf(ada, all);
    for (const each of [grace, member]) await takeIn(each, old);
    const device = 'd111111111111111111111111' as never;
    const bad = makeTestEdit({ run: 'run-1' as RunId, device });
    const late = makeTestEdit({ run: 'run-1' as RunId });
    await ada.replica.transact(november, (doc) => new Book(doc).addEdit(bad));
    await ada.replica.rebuild(november, { reason: 'repair', time: 5, without: { devices: [device] } });
    await grace.replica.transact(november, (doc) => {
      for (const edit of [late, makeTestEdit({ run: 'run-1' as RunId, device })]) new Book(doc).addEdit(edit);
    });
    const lagging = await bundleOf(grace, all);
    const editsIn = ({ replica }: Machine): Promise<string[]> =>
      replica.read(november, (doc) => [...new Book(doc).edits()].map(([id]) => id).sort());
    const before = await editsIn(ada);
    // Of before: what the rebuilding knew is there or was removed; the rest is news.
    expect(await takeIn(ada, old)).toMatchObject({ refused: [], added: 0, changed: 0 });
    expect(await takeIn(ada, lagging)).toMatchObject({ refused: [], added: 1 });
    expect(await editsIn(ada)).toEqual([...before, late.id].sort());
    const rebuilt = await bundleOf(ada, all);
    const refused = await takeIn(member, rebuilt);
    expect(refused.refused.map(({ name, code }) => [name, code])).toEqual([[november, 'generation_mismatch']]);
    expect(await editsIn(member)).toHaveLength(2);
    const target = { ...grace, isPurged: (run: RunId) => grace.library.isPurged(run), rebuilds: true };
    expect(await importBundle(platform, target, inPieces(rebuilt))).toMatchObject({ refused: [], changed: 1 });
    expect(await editsIn(grace)).toEqual(await editsIn(ada));
    const [ours, theirs] = [await grace.replica.info(november), await ada.replica.info(november)];
    expect(ours!.generation).toBe(theirs!.generation);
    expect(await importBundle(platform, target, inPieces(rebuilt))).toMatchObject({
      refused: [],
      changed: 0,
      added: 0,
    });
  });

  it('[BND-6] judges every document as one from any other replica: a refused one is told and holds nothing else up', async () => {
    const ada = await withRuns(2);
    const { manifest } = await planBundle(ada, await requestOf(ada, all), MAKER);
    const { update } = await ada.replica.encodeState(november);
    const forged = async function* () {
      yield { kind: 'document', part: { name: 'book/mnist/2026-11', generation: 9, update } } as const;
      yield { kind: 'document', part: { name: 'notes/x', generation: 0, update } } as const;
      yield { kind: 'document', part: { name: 'run/run-1', generation: 0, update } } as const;
      yield {
        kind: 'records',
        group: { document: 'run/run-1', records: [{ map: 'entries', key: 'x', bytes: ID }] },
      } as const;
      yield {
        kind: 'records',
        group: {
          document: 'book/mnist/0000-01',
          records: [{ map: 'cards', key: 'run-1/x/y', bytes: new Uint8Array([1, 9, 9]) }],
        },
      } as const;
      yield { kind: 'document', part: { name: 'book/other/2026-11', generation: 0, update } } as const;
      yield { kind: 'blob', digest: ada.files[0]!, bytes: new Uint8Array(5) } as const;
    };
    const grace = await machine();
    const told = await takeIn(grace, await joined(writeBundle(platform, ID, manifest, forged())));
    expect(told.refused.map(({ name, code }) => [name, code])).toEqual([
      ['book/mnist/2026-11', 'generation_mismatch'],
      ['notes/x', 'invalid_id'],
      ['run/run-1', 'update_forbidden_content'],
      ['book/mnist/0000-01', expect.stringMatching(/^(record_malformed|update_forbidden_content)$/)],
    ]);
    expect(told).toMatchObject({ changed: 1, blobs: 0, unwanted: 1 });
    const held: string[] = [];
    for await (const { name } of grace.replica.list()) held.push(name);
    expect(held).toEqual(['book/other/2026-11']);
  });

  it('[BND-7] takes nothing in of a run that is purged here or by the bundle itself', async () => {
    const ada = await withRuns(3);
    const before = await bundleOf(ada, all);
    const chosen = await bundleOf(ada, some, ['run-1']);
    const grace = await machine();
    await grace.replica.transact(november, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ run: 'run-1' as RunId, field: 'purge', value: true })),
    );
    for (const bytes of [before, chosen]) {
      const told = await takeIn(grace, bytes);
      expect(told.purged).toBe(1);
      expect(await grace.replica.info(runDocument('run-1'))).toBeUndefined();
      expect(await grace.blobs.read(ada.files[0]!)).toBeUndefined();
    }
    expect((await grace.library.runs(mnist)).map(({ id }) => id).sort()).toEqual(['run-2', 'run-3']);
    // Somebody who never heard of the purge learns of it from the same file that has the run's old bytes.
    await ada.replica.transact(november, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ run: 'run-2' as RunId, field: 'purge', value: true })),
    );
    const emmy = await machine();
    expect(await takeIn(emmy, await bundleOf(ada, all))).toMatchObject({ purged: 1, blobs: 2, unwanted: 1 });
    expect(await emmy.replica.info(runDocument('run-2'))).toBeUndefined();
  });

  it('[BND-21] says what comes before it is in, in the first import, a broken one and one of what is here', async () => {
    const ada = await withRuns(3);
    const bytes = await bundleOf(ada, all);
    const grace = await machine();
    const takesIn = async (whole: Uint8Array): Promise<string[]> => {
      const said: string[] = [];
      const says = (word: string): void => void (said.at(-1) === word || said.push(word));
      const replica = new Proxy(grace.replica, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          if (name !== 'apply') return value.bind(target) as unknown;
          return (of: string, ...rest: unknown[]) => {
            if (of.startsWith('run/')) expect(expected).toContain(of);
            return value.call(target, of, ...rest) as unknown;
          };
        },
      });
      const expected = new Set<string>();
      const arrival = {
        expect: (name: string) => {
          expected.add(name);
          says('expect');
        },
        keep: () => Promise.resolve(says('keep')),
        end: (some: boolean) => says(`end ${some}`),
      };
      const blobs: BundleTarget['blobs'] = {
        read: (digest, range) => grace.blobs.read(digest, range),
        stat: (digest) => grace.blobs.stat(digest),
        write: (content, digest) => {
          says('write');
          return grace.blobs.write(content, digest);
        },
      };
      const target = { replica, blobs, isPurged: () => Promise.resolve(false) };
      await importBundle(platform, target, inPieces(whole), { arrival }).catch(() => undefined);
      return said;
    };
    expect(await takesIn(bytes.subarray(0, 600))).toEqual(['end false']);
    expect(await takesIn(bytes)).toEqual(['expect', 'keep', 'write', 'end true']);
    expect(await takesIn(bytes)).toEqual(['expect', 'keep', 'end true']);
    expect(await takesIn(bytes.subarray(0, bytes.length - 10))).toEqual(['expect', 'keep', 'end true']);
  });

  it('[BND-8] carries a file of many chunks, and stores no blob that nothing here names', async () => {
    const ada = await withRuns(1);
    const chunks = [
      await ada.blobs.write(new Uint8Array(CHUNK_BYTES).fill(1)),
      await ada.blobs.write(new Uint8Array(1_234).fill(2)),
    ];
    const size = CHUNK_BYTES + 1_234;
    const list = await ada.blobs.write(encodeChunkList({ size, chunks }));
    const whole = await ada.blobs.write(new Uint8Array([9]));
    await ada.replica.transact(runDocument('run-1'), (doc) => putFile(doc, 2, whole, list, size));
    const { manifest, items } = await planBundle(ada, await requestOf(ada, all), MAKER);
    const stray = new Uint8Array([1, 2, 3]);
    const more = async function* () {
      yield* items();
      yield { kind: 'blob', digest: await ada.blobs.write(stray), bytes: stray } as const;
    };
    const bytes = await joined(writeBundle(platform, ID, manifest, more()));
    // 8 MiB of one byte are packed.
    expect(bytes.length).toBeLessThan(100_000);
    const grace = await machine();
    expect(await takeIn(grace, bytes)).toMatchObject({ blobs: 4, unwanted: 1 });
    for (const digest of [list, ...chunks]) expect(await grace.blobs.stat(digest)).toBeDefined();
    expect(await grace.blobs.stat(whole)).toBeUndefined();
  });

  it('[BND-9] passes over parts and fields of a newer minor version, and refuses what it must understand and does not', async () => {
    const ada = await withRuns(1);
    const bytes = await bundleOf(ada, all);
    const newer = encodeHeader({ major: 1, minor: 9, flags: 0x0400, id: ID });
    const unknown = encodeSection(77, 0, new Uint8Array(100_000).fill(3), 100_000);
    const critical = encodeSection(77, 0x80, new Uint8Array(3), 3);
    const sections = sectionsOf(bytes);
    const withUnknown = (extra: Uint8Array): Uint8Array => sealed([newer, sections[0]!, extra, ...sections.slice(1)]);
    const grace = await machine();
    expect(await takeIn(grace, withUnknown(unknown), 333)).toMatchObject({ changed: 3, blobs: 1, refused: [] });
    expect(await grace.library.digest(mnist)).toBe(await ada.library.digest(mnist));
    expect(await codeOf(read(withUnknown(critical)))).toBe('bundle_version');
    for (const [major, flags] of [
      [2, 0],
      [0, 0],
      [1, 1],
      [1, 2],
    ] as const) {
      const head = encodeHeader({ major, minor: 0, flags, id: ID });
      expect(await codeOf(read(sealed([head, ...sections]))), `${major} ${flags}`).toBe('bundle_version');
    }
    expect(await codeOf(read(new TextEncoder().encode('hello, I am a text and no bundle at all')))).toBe(
      'bundle_corrupt',
    );
    const crlf = Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    expect(await codeOf(read(new Uint8Array(crlf)))).toBe('bundle_corrupt');
  });
});

async function read(bytes: Uint8Array): Promise<BundlePiece[]> {
  const pieces: BundlePiece[] = [];
  for await (const piece of readBundle(platform, inPieces(bytes))) pieces.push(piece);
  return pieces;
}

async function names(bytes: Uint8Array): Promise<string[]> {
  return (await read(bytes)).flatMap((piece) => (piece.kind === 'document' ? [piece.part.name] : []));
}

/** Everything in a bundle, unpacked. */
async function joinedRaw(bytes: Uint8Array): Promise<Uint8Array> {
  const raw: Uint8Array[] = [];
  for (const section of sectionsOf(bytes)) {
    const payload = section.subarray(SECTION_HEAD_BYTES);
    raw.push((section[1]! & 1) === 1 ? new Uint8Array(inflateRawSync(payload)) : payload);
  }
  return new Uint8Array(Buffer.concat(raw));
}

function storedAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(4, true);
}

/** All sections but the end. */
function sectionsOf(bytes: Uint8Array): Uint8Array[] {
  const sections: Uint8Array[] = [];
  for (let at = HEADER_BYTES; bytes[at] !== SECTION.end;) {
    const size = SECTION_HEAD_BYTES + storedAt(bytes, at);
    sections.push(bytes.subarray(at, at + size));
    at += size;
  }
  return sections;
}

/** A header and sections with an end that fits, written with nothing of the writer but its end's code. */
function sealed(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(parts);
  const count = { documents: 0, records: 0, blobs: 0 };
  for (const part of parts.slice(1)) {
    if (part[0] === SECTION.document) count.documents += 1;
    if (part[0] === SECTION.blob) count.blobs += 1;
  }
  const end: number[] = [];
  for (let value of [bytes.length, parts.length - 1, count.documents, count.records, count.blobs]) {
    while (value > 127) {
      end.push((value & 127) | 128);
      value = Math.floor(value / 128);
    }
    end.push(value);
  }
  const payload = new Uint8Array([...end, ...createHash('sha256').update(bytes).digest()]);
  return new Uint8Array(Buffer.concat([bytes, encodeSection(SECTION.end, 0x80, payload, payload.length)]));
}
