import { createHash } from 'node:crypto';
import type { BlobDigest, DeviceId, ProjectId, RunId, WriterId, WorkspaceId } from '@fieldbook/core';
import { bookName, HybridClock, monthOf, runDocumentName, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import type { Api } from '@fieldbook/core/api';
import { createApi } from '@fieldbook/core/api';
import { Book, RunDocument, Workspace } from '@fieldbook/core/documents';
import { Author } from '@fieldbook/core/fold';
import { Library } from '@fieldbook/core/library';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { PointBuffer, sealSegment, SeriesReader } from '@fieldbook/core/series';
import { FakeClock, makeCard, MemoryBlobStore, memoryStorage, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as Y from 'yjs';
import type { SeriesAnswer, SeriesQuery } from './api.ts';
import { WebBlobs } from './blobs.ts';
import { MemoryBytes } from './bytes.ts';
import { Http } from './http.ts';
import type { KeptSeries } from './keep.ts';
import { LocalSeries } from './local-series.ts';
import { Manifests } from './manifests.ts';
import type { HeldDocument } from './manifests.ts';
import { answerOf, SeriesSource } from './series.ts';
import type { SeriesJson } from './series.ts';

const RUN = 'long' as RunId;
const PROJECT = 'mnist' as ProjectId;
const WRITER = '01kf0000000000000000000001' as WriterId;
const T0 = 1_768_478_400_000;
const POINTS = 300_000;
const SPIKE = 123_457;
/** One value beyond all others, at one step: what a chart must never lose. */
const value = (step: number): number =>
  step === SPIKE ? 1e6 : Math.sin(step / 7) + (step % 1_000 === 0 ? Number.NaN : 0);

const sealed = new Map<number, ReturnType<typeof sealSegment>>();

/** Sealed once for all tests. */
function segmentOf(first: number, end: number): ReturnType<typeof sealSegment> {
  let segment = sealed.get(first);
  if (segment !== undefined) return segment;
  const points = new PointBuffer();
  for (let step = first; step < end; step++) {
    points.push(0, step, value(step), T0 + step * 10, step);
    if (step % 3 === 0) points.push(1, step, step, T0 + step * 10, step);
  }
  segment = sealSegment({ run: RUN, writer: WRITER, first, last: end - 1 }, points.from(0), ['loss', 'acc']);
  sealed.set(first, segment);
  return segment;
}

/** A server of the real API over what a machine recorded; requests of the page reach it while it is `up`. */
class Server {
  readonly blobs = new MemoryBlobStore();
  readonly requests: string[] = [];
  up = true;
  /** A cache on the way that damages blobs. */
  bend = false;
  replica!: Replica;
  #api!: Api;

  async start(): Promise<void> {
    const random = new SeededRandom(5);
    const device: DeviceId = testDevice(random);
    const clock = new FakeClock();
    this.replica = await openReplica({ storage: await memoryStorage(), device, random });
    const month = monthOf(clock.now());
    await this.replica.transact(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).ensureBook(PROJECT, month, 'MNIST', 1));
    await this.replica.transact(bookName(PROJECT, month), (doc) =>
      new Book(doc).putCard(makeCard({ run: RUN, project: PROJECT, writer: WRITER, device, created: clock.now() })),
    );
    for (const [first, end] of [
      [0, 200_000],
      [200_000, 299_000],
    ] as const)
      await this.seal(device, first, end);
    await this.replica.transact(runDocumentName(RUN), (doc) => {
      const steps = Float64Array.from({ length: 1_000 }, (_, index) => 299_000 + index);
      new RunDocument(doc).putTail(
        {
          kind: 'tail',
          writer: WRITER,
          device,
          first: 299_000,
          last: POINTS - 1,
          names: ['loss'],
          metric: new Uint16Array(1_000),
          step: steps,
          value: steps.map(value),
          time: steps.map((step) => T0 + step * 10),
          ordinal: steps,
          extra: {},
        },
        0,
      );
    });
    this.#api = createApi({
      program: { name: 'fieldbook', version: '0' },
      role: 'agent',
      replica: this.replica,
      library: await Library.open(this.replica),
      author: new Author({ device, by: 'ada', hybrid: new HybridClock(clock), clock, random }),
      series: new SeriesReader(this.blobs),
      blobs: this.blobs,
      sha256: async (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest()),
      clock,
      timers: { after: () => () => undefined },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: console.error },
      workspace: async () => ({ id: '01kf0000000000000000000001' as WorkspaceId, name: null, private: true }),
      sync: {
        state: async () => ({ lastSeq: 0, peers: [], settled: true }),
        holders: async () => [],
        onChange: () => () => undefined,
      },
      live: { onLive: () => () => undefined },
    } as unknown as Parameters<typeof createApi>[0]);
    vi.stubGlobal('fetch', (url: string, init: { method: string; headers: Record<string, string> }) =>
      this.#answer(url, init),
    );
  }

  async seal(device: DeviceId, first: number, end: number): Promise<void> {
    const segment = await segmentOf(first, end);
    const digest = await this.blobs.write(segment.bytes);
    await this.replica.transact(runDocumentName(RUN), (doc) => {
      const { points: count, startTime, endTime } = segment;
      new RunDocument(doc).putSegment({
        kind: 'segment',
        writer: WRITER,
        device,
        first,
        last: end - 1,
        digest,
        size: segment.bytes.length,
        points: count,
        startTime,
        endTime,
        levels: [],
        extra: {},
      });
    });
  }

  /** The server's own answer, as the page would draw it. */
  async answer({ metric, x, from, to }: SeriesQuery): Promise<SeriesAnswer> {
    const query = new URLSearchParams({ metric, x, points: '2000' });
    if (from !== null) query.set('from', String(from));
    if (to !== null) query.set('to', String(to));
    const response = await this.#ask(`/api/v1/runs/${RUN}/series?${query}`, {});
    return answerOf((await response.json()) as SeriesJson, x);
  }

  async #answer(url: string, init: { headers: Record<string, string> }): Promise<Response> {
    if (!this.up) throw new TypeError('fetch failed');
    const { pathname, search } = new URL(url);
    this.requests.push(`${pathname.replace('/api/v1', '')} ${init.headers['range'] ?? ''}`.trim());
    return this.#ask(`${pathname}${search}`, init.headers);
  }

  async #ask(target: string, headers: Record<string, string>): Promise<Response> {
    const [path, search = ''] = target.split('?') as [string, string?];
    const query = [...new URLSearchParams(search)];
    const access = { role: 'owner', name: null } as const;
    const answer = await this.#api.handle({ method: 'GET', path, query, headers, body: null, access });
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    if (answer.body instanceof Uint8Array) pieces.push(answer.body.slice());
    else for await (const piece of answer.body ?? []) pieces.push(piece.slice());
    const body = answer.body === null ? null : new Uint8Array(await new Blob(pieces).arrayBuffer());
    if (this.bend && body !== null && path.includes('/blobs/'))
      for (let at = 0; at < body.length; at += 97) body[at]! ^= 1;
    return new Response(answer.status === 304 ? null : body, { status: answer.status, headers: { ...answer.headers } });
  }
}

/** A browser: what it keeps outlives its worker. */
class Browser {
  readonly bytes = new MemoryBytes();
  readonly series = new Map<string, KeptSeries>();
  held: HeldDocument | undefined;
  asksServer = false;

  /** Makes the worker's source anew, as opening a page does. */
  open(): SeriesSource {
    const http = new Http('http://localhost:1');
    const manifests = new Manifests(http, this.bytes, () => this.held);
    const keep = {
      getSeries: async (key: string) => this.series.get(key),
      putSeries: async (kept: KeptSeries) => void this.series.set(kept.key, kept),
      trimSeries: async () => undefined,
    };
    return new SeriesSource(
      http,
      keep,
      new LocalSeries(manifests, new WebBlobs(http, this.bytes)),
      () => this.asksServer,
    );
  }
}

const ZOOMS: readonly (readonly [from: number | null, to: number | null])[] = [
  [null, null],
  [100_000, 250_000],
  [120_000, 130_000],
  [SPIKE - 2_000, SPIKE + 2_000],
  [SPIKE - 400, SPIKE + 400],
];
const query = (override: Partial<SeriesQuery> = {}): SeriesQuery => ({
  run: RUN,
  metric: 'loss',
  x: 'step',
  from: null,
  to: null,
  updated: 0,
  ...override,
});
const spikeOf = ({ x, y }: SeriesAnswer): [number, number] => {
  const at = y.indexOf(Math.max(...y.filter((each) => !Number.isNaN(each))));
  return [x[at]!, y[at]!];
};

describe('series in the browser', () => {
  let server: Server;
  let browser: Browser;
  beforeEach(async () => {
    server = new Server();
    await server.start();
    browser = new Browser();
  });
  afterEach(() => vi.unstubAllGlobals());

  it('[WEB-10] are what the server would answer, at every zoom and on both axes, down to the points', async () => {
    const source = browser.open();
    for (const [from, to] of ZOOMS) {
      const here = await source.read(query({ from, to }));
      expect(here, String([from, to])).toEqual(await server.answer(query({ from, to })));
      expect(spikeOf(here)).toEqual([SPIKE, 1e6]);
    }
    const close = await source.read(query({ from: SPIKE - 400, to: SPIKE + 400 }));
    expect([close.buckets, close.x.length]).toEqual([0, 801]);
    const times = query({ x: 'time', from: T0, to: T0 + 2_000_000 });
    expect(await source.read(times)).toEqual(await server.answer(times));
    expect(await source.read(query({ metric: 'acc' }))).toEqual(await server.answer(query({ metric: 'acc' })));
    expect((await source.read(query({ metric: 'nothing' }))).total).toBe(0);
    expect(server.requests.filter((request) => request.includes('/series'))).toEqual([]);
  });

  it('[WEB-11] are drawn and zoomed without a server from what was drawn before, and say so', async () => {
    const first = browser.open();
    const seen = await Promise.all(ZOOMS.map(([from, to]) => first.read(query({ from, to, updated: 7 }))));
    server.up = false;
    browser.series.clear();
    const source = browser.open();
    for (const [index, [from, to]] of ZOOMS.entries()) {
      const kept = await source.read(query({ from, to, updated: 7 }));
      expect(kept).toEqual({ ...seen[index]!, origin: 'kept', note: 'As last seen in this browser.' });
    }
    // A range that nobody looked at, of bytes that somebody did.
    const near = await source.read(query({ from: SPIKE - 100, to: SPIKE + 100 }));
    expect([near.total, spikeOf(near)]).toEqual([201, [SPIKE, 1e6]]);
    const nowhere = await new Browser().open().read(query());
    expect([nowhere.origin, nowhere.note]).toEqual([
      'absent',
      'Not seen in this browser before, and no server answers.',
    ]);
  });

  it('[WEB-12] fetch each piece of a blob once, and nothing again while nothing is new', async () => {
    const source = browser.open();
    await Promise.all(['loss', 'acc', 'loss'].map((metric) => source.read(query({ metric }))));
    await source.read(query({ from: 1_000, to: 2_000 }));
    const blobs = server.requests.filter((request) => request.startsWith('/blobs/'));
    expect(blobs.length).toBeGreaterThan(1);
    expect(new Set(blobs).size).toBe(blobs.length);
    const before = server.requests.length;
    expect((await browser.open().read(query())).origin).toBe('fresh');
    expect(server.requests.slice(before), 'a new page asks whether anything is new, and gets nothing').toEqual([
      `/documents/run/${RUN}`,
    ]);
  });

  it('[WEB-12] take the manifest of a document that is open and current, and no other', async () => {
    const doc = new Y.Doc();
    browser.held = { doc, synced: true, loaded: Promise.resolve() };
    Y.applyUpdate(doc, (await server.replica.encodeState(runDocumentName(RUN))).update);
    const source = browser.open();
    expect(await source.read(query())).toEqual(await server.answer(query()));
    expect(server.requests.filter((request) => request.startsWith('/documents/'))).toEqual([]);
    // What comes into the room is in the next answer.
    const device = testDevice(new SeededRandom(9));
    await server.seal(device, POINTS, POINTS + 1_000);
    Y.applyUpdate(doc, (await server.replica.encodeState(runDocumentName(RUN))).update);
    expect((await source.read(query())).total).toBe(POINTS + 1_000);
    // One that has not caught up would show less than there is.
    browser.held = { doc: new Y.Doc(), synced: false, loaded: Promise.resolve() };
    expect((await browser.open().read(query())).total).toBe(POINTS + 1_000);
  });

  it('[WEB-13] say what is missing, and never call a part the whole', async () => {
    const entries = await server.replica.read(runDocumentName(RUN), (doc) => [...new RunDocument(doc).segments()]);
    const [{ digest }] = entries as [{ digest: BlobDigest }];
    const bytes = (await server.blobs.read(digest))!;
    await server.blobs.remove(digest);
    const part = await browser.open().read(query());
    expect(part).toEqual(await server.answer(query()));
    expect(part.note).toMatch(/recorded points are on another machine/);
    expect(browser.series.size, 'a part is not kept as the answer').toBe(0);
    await server.blobs.write(bytes);
    const whole = await browser.open().read(query());
    expect([whole.total, whole.note]).toEqual([POINTS, null]);
  });

  it('[WEB-13] fall back to the server for bytes that are not what their name says, and keep none of them', async () => {
    server.bend = true;
    const source = browser.open();
    expect(await source.read(query())).toEqual(await server.answer(query()));
    expect(server.requests.filter((request) => request.includes('/series'))).toHaveLength(1);
    server.bend = false;
    expect(await source.read(query())).toEqual(await server.answer(query()));
    expect(server.requests.filter((request) => request.includes('/series'))).toHaveLength(1);
  });

  it('[WEB-13] ask the server about a run that grows where nobody follows it', async () => {
    browser.asksServer = true;
    expect(await browser.open().read(query())).toEqual(await server.answer(query()));
    expect(server.requests).toEqual([`/runs/${RUN}/series`]);
  });
});
