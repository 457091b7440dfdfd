import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { MemoryLevel } from 'memory-level';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { AttributePath, DeviceId, ProjectId, RunId, WorkspaceId, WriterId } from '@fieldbook/core';
import { bookName, HybridClock, monthOf, runDocumentName, utf8, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import type { Api, ApiRequest, LiveValues, SyncState } from '@fieldbook/core/api';
import { createApi } from '@fieldbook/core/api';
import { Book, RunDocument, Workspace } from '@fieldbook/core/documents';
import { Author } from '@fieldbook/core/fold';
import type { AttributeValue } from '@fieldbook/core/record';
import { Library } from '@fieldbook/core/library';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { SeriesReader } from '@fieldbook/core/series';
import type { LevelHandle } from '@fieldbook/core/store';
import { levelStorage } from '@fieldbook/core/store';
import { FakeClock, makeCard, MemoryBlobStore, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { measureUsage } from '@fieldbook/core/usage';

import { putObjects } from './api-objects.ts';

const PROJECT = 'mnist' as ProjectId;
const WRITER = '01kf0000000000000000000000' as WriterId;
const random = new SeededRandom(7);
const device: DeviceId = testDevice(random);
const clock = new FakeClock();
let replica: Replica;
let api: Api;
let tellSync: () => void = () => undefined;
let tellLive: (values: LiveValues) => void = () => undefined;
const beats: (() => void)[] = [];

interface Answer {
  status: number;
  headers: Readonly<Record<string, string>>;
  bytes: Uint8Array;
  // The tests say what they expect of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  json: any;
}

async function ask(
  method: string,
  target: string,
  options: { body?: unknown; headers?: Record<string, string>; role?: 'owner' | 'member' | 'viewer' } = {},
): Promise<Answer> {
  const [path, search = ''] = target.split('?', 2);
  const bytes =
    options.body instanceof Uint8Array
      ? options.body
      : options.body === undefined
        ? null
        : utf8(JSON.stringify(options.body));
  const request: ApiRequest = {
    method,
    path: `/api/v1${path}`,
    query: [...new URLSearchParams(search)],
    headers: { ...(options.body === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers },
    body: bytes,
    access: { role: options.role ?? 'owner', name: null },
  };
  const answer = await api.handle(request);
  const body = answer.body instanceof Uint8Array ? answer.body : new Uint8Array(0);
  const isJson = answer.headers['content-type']?.startsWith('application/json') === true;
  return {
    status: answer.status,
    headers: answer.headers,
    bytes: body,
    json: isJson ? JSON.parse(new TextDecoder().decode(body)) : undefined,
  };
}

/** The SHA-256 of "abc" (FIPS 180-2, appendix B.1). */
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const BYTES = { 'content-type': 'application/octet-stream' };

const path = (text: string): AttributePath => text as AttributePath;

beforeAll(async () => {
  const storage = levelStorage(
    new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' }) as unknown as LevelHandle,
  );
  replica = await openReplica({ storage, device, random });
  const created = clock.now();
  const month = monthOf(created);
  await replica.transact(WORKSPACE_DOCUMENT, (doc) => {
    const workspace = new Workspace(doc);
    workspace.ensureBook(PROJECT, month, 'MNIST', created);
    workspace.putDevice({
      kind: 'device',
      device,
      role: 'agent',
      name: 'gpu-1',
      publicKey: new Uint8Array(32),
      created,
      extra: {},
    });
  });
  await replica.transact(bookName(PROJECT, month), (doc) => {
    const book = new Book(doc);
    for (let index = 1; index <= 25; index++) {
      book.putCard(
        makeCard({
          run: `run-${index}` as RunId,
          device,
          created: created + index * 1_000,
          updated: created + index * 1_000 + 500,
          name: index <= 2 ? 'twin' : `net ${index}`,
          tags: index % 2 === 0 ? ['even'] : [],
          status: index === 25 ? 'running' : 'finished',
          ended: index === 25 ? null : created + index * 2_000,
          attributes: new Map<AttributePath, AttributeValue>([
            [path('params/lr'), index / 1_000],
            [path('params/odd'), Number.NaN],
            [path('data/when'), { time: created }],
          ]),
          metrics: new Map([
            [
              path('val/loss'),
              { count: 3, last: Infinity, lastStep: 2, min: 1 / index, minStep: 1, max: 2, maxStep: 0, nonFinite: 1 },
            ],
          ]),
        }),
      );
    }
  });
  const steps = Float64Array.from({ length: 1_000 }, (_, step) => step);
  await replica.transact(runDocumentName('run-3' as RunId), (doc) => {
    new RunDocument(doc).putTail(
      {
        kind: 'tail',
        writer: WRITER,
        device,
        first: 0,
        last: 999,
        names: ['val/loss'],
        metric: new Uint16Array(1_000),
        step: steps,
        value: steps.map((step) => (step === 500 ? Number.NaN : step === 700 ? 99 : Math.sin(step))),
        time: steps.map((step) => created + step),
        ordinal: steps,
        extra: {},
      },
      0,
    );
    putObjects(new RunDocument(doc), device);
  });
  const blobs = new MemoryBlobStore();
  const library = await Library.open(replica);
  const state: SyncState = { lastSeq: replica.lastSeq, peers: [], settled: true };
  api = createApi({
    program: { name: 'fieldbook', version: '0.1.0' },
    role: 'agent',
    replica,
    library,
    author: new Author({ device, by: 'ada', hybrid: new HybridClock(clock), clock, random }),
    series: new SeriesReader(blobs),
    blobs,
    clock,
    timers: {
      after: (_ms, run) => {
        beats.push(run);
        return () => undefined;
      },
    },
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: console.error },
    workspace: async () => ({ id: '01kf0000000000000000000001' as WorkspaceId, name: null, private: true }),
    sync: {
      state: async () => state,
      holders: async () => [],
      onChange: (listener) => {
        tellSync = listener;
        return () => undefined;
      },
    },
    live: {
      onLive: (listener) => {
        tellLive = listener;
        return () => undefined;
      },
    },
    gzip: async (bytes) => new Uint8Array(gzipSync(bytes)),
    storage: () =>
      measureUsage({
        storage,
        replica,
        blobs,
        clock,
        timers: { after: (_ms, run) => (setImmediate(run), () => undefined) },
        waiting: [],
        disk: async () => ({ free: 1, total: 2 }),
        folders: async () => new Map(),
      }),
  });
});

afterAll(async () => {
  api.close();
  await replica.close();
});

describe('the OpenAPI document', () => {
  it('[API-1] describes every route, and real answers have the schemas it gives', async () => {
    const document = (await ask('GET', '/openapi.json')).json;
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'fieldbook');
    const digest = 'a'.repeat(64);
    const kept = (await ask('PUT', `/blobs/${ABC}`, { body: utf8('abc'), headers: BYTES })).json.digest as string;
    const samples: Record<string, () => Promise<Answer>> = {
      'get /projects': () => ask('GET', '/projects'),
      'get /projects/{project}/runs': () => ask('GET', '/projects/mnist/runs?limit=3&columns=params/lr,val/loss.min'),
      'post /projects/{project}/runs/query': () =>
        ask('POST', '/projects/mnist/runs/query', { body: { q: '', limit: 2 } }),
      'get /runs/{run}': () => ask('GET', '/runs/run-3'),
      'get /runs/{run}/history': () => ask('GET', '/runs/run-3/history'),
      'post /runs/{run}/edits': () =>
        ask('POST', '/runs/run-9/edits', { body: [{ field: 'tags', op: 'add', value: 'seen' }] }),
      'get /runs/{run}/objects': () => ask('GET', '/runs/run-3/objects'),
      'get /runs/{run}/object': () => ask('GET', '/runs/run-3/object?path=samples'),
      'get /runs/{run}/series': () => ask('GET', '/runs/run-3/series?metric=val/loss&points=50'),
      'post /blobs/missing': () => ask('POST', '/blobs/missing', { body: { digests: [digest] } }),
      'post /blobs/prove': () => ask('POST', '/blobs/prove', { body: { digest: kept, nonce: digest } }),
      'get /runs/{run}/files': () => ask('GET', '/runs/run-3/files'),
      'get /runs/{run}/places': () => ask('GET', '/runs/run-3/places'),
      'post /runs/{run}/files/request': () => ask('POST', '/runs/run-3/files/request', { body: { digest } }),
      'get /device': () => ask('GET', '/device'),
      'get /workspace': () => ask('GET', '/workspace'),
      'get /projects/{project}/digest': () => ask('GET', '/projects/mnist/digest'),
      'get /sync': () => ask('GET', '/sync'),
      'get /sync/only-here': () => ask('GET', '/sync/only-here'),
      'get /health': () => ask('GET', '/health'),
      'get /storage': () => ask('GET', '/storage'),
      'get /query/parse': () => ask('GET', '/query/parse?q=status:running'),
    };
    const elsewhere = new Set([
      'get /documents/{name}',
      'get /blobs/{digest}',
      'head /blobs/{digest}',
      'put /blobs/{digest}',
      'get /events',
      // Bytes: tests/integration/files.test.ts and files-care.test.ts.
      'get /runs/{run}/file',
      'head /runs/{run}/file',
      // Of real machines, with their schemas: tests/integration/bundle.test.ts.
      'get /bundles',
      'get /bundles/contents',
      'post /bundles',
      'post /evict',
      'post /blobs/check',
      'post /blobs/incomplete',
      'post /blobs/repair',
      // An agent's own; tests/integration/agent.test.ts, sync.test.ts and follow.test.ts ask them of a real one.
      'get /follow',
      'post /follow',
      'post /runs/{run}/pin',
      'get /sync/unshared',
      'post /join',
      'post /leave',
      'post /sync/pause',
      'post /sync/retry',
      'post /sync/limit',
      'post /workspace',
      'post /demo',
      'post /drain',
    ]);
    const operations = Object.entries(document.paths as Record<string, object>).flatMap(([at, methods]) =>
      Object.keys(methods).map((method) => `${method} ${at}`),
    );
    expect(operations.filter((operation) => samples[operation] === undefined && !elsewhere.has(operation))).toEqual([]);
    for (const [operation, sample] of Object.entries(samples)) {
      const [method, at] = operation.split(' ') as [string, string];
      const answer = await sample();
      expect([operation, answer.status, answer.json]).toEqual([operation, 200, answer.json]);
      const pointer = `fieldbook#/paths/${at.replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D')}/${method}/responses/200/content/application~1json/schema`;
      expect([operation, ajv.validate({ $ref: pointer }, answer.json), ajv.errors]).toEqual([operation, true, null]);
    }
    const refused = await ask('GET', '/runs/nobody');
    expect(ajv.validate({ $ref: 'fieldbook#/components/schemas/Error' }, refused.json)).toBe(true);
  });
});

describe('requests', () => {
  it('[API-2] refuses what it does not know, each with its code, and says what is known', async () => {
    const cases: [string, string, unknown, number, string][] = [
      ['GET', '/projects?colour=red', undefined, 400, 'invalid_argument'],
      ['GET', '/projects/mnist/runs?limit=0', undefined, 400, 'invalid_argument'],
      ['GET', '/projects/mnist/runs?limit=many', undefined, 400, 'invalid_argument'],
      ['GET', '/projects/mnist/runs?limit=1&limit=2', undefined, 400, 'invalid_argument'],
      ['GET', '/projects/nothing-here/runs', undefined, 404, 'not_found'],
      ['GET', '/nothing', undefined, 404, 'not_found'],
      ['PUT', '/projects', undefined, 405, 'method_not_allowed'],
      ['GET', '/runs/run-3/series', undefined, 400, 'invalid_path'],
      ['GET', '/runs/run-3/series?metric=a&x=pace', undefined, 400, 'invalid_argument'],
      ['GET', '/documents/secrets', undefined, 400, 'invalid_id'],
      ['GET', '/documents/run/nobody', undefined, 404, 'not_found'],
      ['GET', '/runs/%ff', undefined, 400, 'invalid_argument'],
      ['GET', `/blobs/${'b'.repeat(64)}`, undefined, 404, 'blob_missing'],
      ['GET', '/blobs/xyz', undefined, 400, 'invalid_argument'],
      ['POST', '/runs/run-3/edits', { field: 'name' }, 400, 'invalid_argument'],
      ['POST', '/runs/run-3/edits', [], 400, 'invalid_argument'],
      ['POST', '/runs/run-3/edits', [{ field: 'colour', op: 'set', value: 'red' }], 400, 'invalid_argument'],
      ['POST', '/runs/run-3/edits', [{ field: 'name', op: 'set', value: 'a', mood: 1 }], 400, 'invalid_argument'],
      ['POST', '/runs/run-3/edits', [{ field: 'name', op: 'add', value: 'a' }], 400, 'invalid_value'],
      ['POST', '/runs/run-3/edits', [{ field: 'tags', op: 'add', value: ' spaced ' }], 400, 'invalid_value'],
      ['POST', '/join', { url: 'http://relay' }, 501, 'not_supported'],
    ];
    for (const [method, target, body, status, code] of cases) {
      const answer = await ask(method, target, body === undefined ? {} : { body });
      expect([target, body, answer.status, answer.json.error.code]).toEqual([target, body, status, code]);
    }
    expect((await ask('PUT', '/projects')).headers['allow']).toBe('GET');
    const form = await ask('POST', '/runs/run-3/edits', { body: [], headers: { 'content-type': 'text/plain' } });
    expect(form.json.error).toMatchObject({ code: 'invalid_argument' });
  });

  it('[API-3] lets viewers read and nothing else, members change runs, and only the owner decide for the machine', async () => {
    const body = [{ field: 'star', op: 'set', value: true }];
    expect((await ask('GET', '/runs/run-4', { role: 'viewer' })).status).toBe(200);
    expect((await ask('POST', '/runs/run-4/edits', { body, role: 'viewer' })).json.error.code).toBe('forbidden');
    expect((await ask('PUT', `/blobs/${'a'.repeat(64)}`, { body: new Uint8Array(1), role: 'viewer' })).status).toBe(
      403,
    );
    expect((await ask('POST', '/runs/run-4/edits', { body, role: 'member' })).status).toBe(200);
    expect((await ask('POST', '/join', { body: { url: 'http://relay' }, role: 'member' })).json.error.code).toBe(
      'forbidden',
    );
  });

  it('[API-4] finds a run by id, beginning of an id or name, and names the candidates when several fit', async () => {
    expect((await ask('GET', '/runs/net%207')).json.id).toBe('run-7');
    const twins = await ask('GET', '/runs/twin');
    expect(twins.status).toBe(409);
    expect(twins.json.error.details.candidates.map((one: { id: string }) => one.id).sort()).toEqual(['run-1', 'run-2']);
    expect((await ask('GET', '/runs/run-3?project=mnist')).json.id).toBe('run-3');
    expect((await ask('GET', '/runs/run-3?project=other')).status).toBe(404);
  });
});

describe('lists', () => {
  it('[API-5] pages through every run once, also when others come and go, and refuses a cursor of another question', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = (await ask('GET', `/projects/mnist/runs?limit=10${cursor}`)).json;
      expect(page.total).toBe(25);
      seen.push(...page.runs.map((run: { id: string }) => run.id));
      cursor = page.next === null ? '' : `&cursor=${encodeURIComponent(page.next)}`;
    } while (cursor !== '');
    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => `run-${25 - index}`));
    // The run that ended a page is what the next one starts behind, wherever it is by then.
    const first = (await ask('GET', '/projects/mnist/runs?limit=10')).json;
    await ask('POST', '/runs/run-22/edits', { body: [{ field: 'trashed', op: 'set', value: true }] });
    const second = (await ask('GET', `/projects/mnist/runs?limit=10&cursor=${encodeURIComponent(first.next)}`)).json;
    expect(second.runs[0].id).toBe('run-15');
    await ask('POST', '/runs/run-22/edits', { body: [{ field: 'trashed', op: 'set', value: false }] });
    const { next } = (await ask('GET', '/projects/mnist/runs?limit=10')).json;
    const other = await ask('GET', `/projects/mnist/runs?limit=10&sort=name&cursor=${encodeURIComponent(next)}`);
    expect(other.json.error).toMatchObject({ code: 'invalid_argument', details: { argument: 'cursor' } });
  });

  it('[API-21] answers queries of the language, groups with summaries, and leaves the trash out unless it is asked about', async () => {
    const list = async (search: string): Promise<Answer> => ask('GET', `/projects/mnist/runs?${search}`);
    const query = encodeURIComponent('params/lr < 0.004 and tags has "even"');
    const found = (await list(`q=${query}&columns=params/lr,val/loss.min`)).json;
    expect(found.runs.map((run: { id: string; values: object }) => [run.id, run.values])).toEqual([
      ['run-2', { 'params/lr': 0.002, 'val/loss.min': 0.5 }],
    ]);
    const grouped = (await list('group=status&aggregate=params/lr:max&limit=1&columns=')).json;
    expect(
      grouped.groups.map(
        ({ key, count, summaries }: { key: object; count: number; summaries: Record<string, { best: string }> }) => [
          key,
          count,
          summaries['params/lr']!.best,
        ],
      ),
    ).toEqual([
      [{ status: 'finished' }, 24, 'run-24'],
      [{ status: 'running' }, 1, 'run-25'],
    ]);
    expect((await list('q=params/lrr%20%3C%201')).json).toMatchObject({ total: 0, unknown: ['params/lrr'] });
    const wrong = (await list(`q=${encodeURIComponent('params/lr <')}`)).json.error;
    expect(wrong).toMatchObject({
      code: 'query_syntax',
      details: { position: expect.any(Number), expected: expect.any(Array) },
    });
    await ask('POST', '/runs/run-20/edits', { body: [{ field: 'trashed', op: 'set', value: true }] });
    expect((await list('columns=')).json.total).toBe(24);
    expect((await list('q=trashed')).json.runs.map((run: { id: string }) => run.id)).toEqual(['run-20']);
    await ask('POST', '/runs/run-20/edits', { body: [{ field: 'trashed', op: 'set', value: false }] });
    expect((await list('columns=')).json.total).toBe(25);
  });

  it('[API-6] sends NaN and infinities, which JSON lacks, as strings', async () => {
    const run = (await ask('GET', '/runs/run-5')).json;
    expect(run.attributes).toEqual({
      'data/when': { time: expect.any(Number) },
      'params/lr': 0.005,
      'params/odd': 'NaN',
    });
    expect(run.metrics['val/loss']).toMatchObject({ last: 'Infinity', min: 0.2 });
  });
});

describe('series', () => {
  it('[API-7] gives points as they are when they are few, else buckets that keep every extreme', async () => {
    const few = (await ask('GET', '/runs/run-3/series?metric=val/loss&from=498&to=502')).json;
    expect(few).toMatchObject({ total: 5, buckets: null, points: { steps: [498, 499, 500, 501, 502] } });
    expect(few.points.values[2]).toBe('NaN');
    const many = (await ask('GET', '/runs/run-3/series?metric=val/loss&points=40')).json;
    expect(many.points).toBeNull();
    expect(many.total).toBe(1_000);
    expect(Math.max(...many.buckets.max)).toBe(99);
    expect(many.buckets.size).toBe(20);
  });
});

describe('objects', () => {
  const rowsOf = async (search: string): Promise<Answer> => ask('GET', `/runs/run-3/object?${search}`);

  it('[API-23] lists paths with kinds, and gives rows with their texts, data, files and marks', async () => {
    const { paths } = (await ask('GET', '/runs/run-3/objects')).json;
    expect(paths).toEqual([
      { path: 'console/stdout', kinds: { text: 24 }, rows: 24, firstStep: 0, lastStep: 23 },
      { path: 'samples', kinds: { histogram: 1, hologram: 1, image: 1, text: 1 }, rows: 4, firstStep: 0, lastStep: 3 },
    ]);
    const { rows, next } = (await rowsOf('path=samples')).json;
    expect(next).toBeNull();
    expect(rows).toMatchObject([
      { step: 0, kind: 'text', text: 'größe', data: null, file: null, meta: null, open: false, gap: false },
      { step: 1, kind: 'histogram', text: null, data: { edges: [0, 1], counts: [2] } },
      {
        step: 2,
        kind: 'image',
        text: null,
        data: null,
        file: { digest: 'ab'.repeat(32), size: 9, mime: 'image/png' },
        meta: { caption: 'a' },
      },
      { step: 3, kind: 'hologram', text: 'no JSON', data: null },
    ]);
    const last = (await rowsOf('path=console/stdout&end=last&limit=2')).json;
    expect(last.rows).toMatchObject([
      { step: 22, text: '3 lines were left out', gap: true, open: false, meta: null },
      { step: 23, text: '99 %', gap: false, open: true, meta: null },
    ]);
    expect((await rowsOf('path=none')).json.rows).toEqual([]);
    expect((await rowsOf('path=samples&from=1&to=2')).json.rows).toHaveLength(2);
    expect(
      (await rowsOf('path=console/stdout&contains=LINE%202')).json.rows.map(({ step }: { step: number }) => step),
    ).toEqual([2, 20, 21]);
    const writer = (await rowsOf('path=samples&writer=01kf0000000000000000000009')).json;
    expect(writer.rows).toEqual([]);
  });

  it('[API-24] pages through rows by cursor, which is refused for another question', async () => {
    for (const end of ['first', 'last']) {
      const steps: number[] = [];
      let cursor = '';
      do {
        const page = (await rowsOf(`path=console/stdout&end=${end}&limit=7${cursor}`)).json;
        const found = page.rows.map(({ step }: { step: number }) => step);
        if (end === 'first') steps.push(...found);
        else steps.unshift(...found);
        cursor = page.next === null ? '' : `&cursor=${encodeURIComponent(page.next)}`;
      } while (cursor !== '');
      expect(steps).toEqual(Array.from({ length: 24 }, (_, step) => step));
    }
    const { next } = (await rowsOf('path=console/stdout&limit=7')).json;
    for (const search of [
      `path=samples&limit=7&cursor=${encodeURIComponent(next)}`,
      'path=samples&cursor=x',
      'path=samples&cursor=a~b~c~d~e',
    ]) {
      expect((await rowsOf(search)).json.error).toMatchObject({
        code: 'invalid_argument',
        details: { argument: 'cursor' },
      });
    }
    for (const search of [
      '',
      'path=a//b',
      'path=samples&limit=1001',
      'path=samples&writer=x',
      'path=samples&end=middle',
      'path=samples&from=2&to=1',
    ]) {
      expect((await rowsOf(search)).status, search).toBe(400);
    }
  });

  it('[API-25] a run has what was captured of it, the newest of each section, and how much it carries', async () => {
    const run = (await ask('GET', '/runs/run-3')).json;
    expect(run.captures).toEqual([
      { writer: WRITER, device, section: 'git', data: { commit: 'abc', dirty: null } },
      { writer: WRITER, device, section: 'gpus', data: {} },
    ]);
    expect(run.files).toEqual({ count: 2, bytes: 14 });
    expect(run.objects).toEqual({ segments: 0, bytes: 0, tails: 2 });
    expect((await ask('GET', '/runs/run-4')).json).toMatchObject({ captures: [], files: { count: 0, bytes: 0 } });
  });
});

describe('edits', () => {
  it('[API-8] makes edits that name what is in force, durable when answered; the same id again changes nothing', async () => {
    const id = '01kf0000000000000000000abc';
    const body = [{ id, field: 'name', op: 'set', value: 'first' }];
    const once = (await ask('POST', '/runs/run-10/edits', { body })).json;
    expect(once.run.name).toBe('first');
    const before = replica.lastSeq;
    const twice = (await ask('POST', '/runs/run-10/edits', { body })).json;
    expect(twice.edits).toEqual(once.edits);
    expect(replica.lastSeq).toBe(before);
    const other = await ask('POST', '/runs/run-10/edits', { body: [{ ...body[0], value: 'second' }] });
    expect(other.json.error.code).toBe('record_immutable');
    const next = (await ask('POST', '/runs/run-10/edits', { body: [{ field: 'name', op: 'set', value: 'third' }] }))
      .json;
    expect(next.edits[0].base).toEqual([id]);
    expect((await ask('GET', '/runs/run-10/history')).json.edits.map((edit: { value: string }) => edit.value)).toEqual([
      'first',
      'third',
    ]);
  });

  it('[API-9] makes all edits of a request in order, or none; requests at the same time do not conflict', async () => {
    const body = [
      { field: 'tags', op: 'add', value: 'a' },
      { field: 'tags', op: 'add', value: 'a' },
      { field: 'tags', op: 'remove', value: 'a' },
      { field: 'notes', op: 'set', value: 'one' },
      { field: 'notes', op: 'set', value: 'two' },
    ];
    const { run, edits } = (await ask('POST', '/runs/run-11/edits', { body })).json;
    expect(run).toMatchObject({ tags: [], notes: 'two', conflicts: [] });
    expect(edits[1]).toBeNull();
    const half = [
      { field: 'star', op: 'set', value: true },
      { field: 'tags', op: 'add', value: '' },
    ];
    expect((await ask('POST', '/runs/run-11/edits', { body: half })).status).toBe(400);
    expect((await ask('GET', '/runs/run-11')).json.star).toBe(false);
    await Promise.all(
      ['x', 'y', 'z'].map((value) =>
        ask('POST', '/runs/run-12/edits', { body: [{ field: 'name', op: 'set', value }] }),
      ),
    );
    expect((await ask('GET', '/runs/run-12')).json).toMatchObject({ name: 'z', conflicts: [] });
  });

  it('[API-31] lets anybody edit attributes of a run that has ended, with their history, and lists see it', async () => {
    const edit = async (...changes: object[]): Promise<Answer['json']> => {
      const body = changes.map((change) => ({ field: 'attribute', ...change }));
      return (await ask('POST', '/runs/run-14/edits', { body })).json;
    };
    const before = (await ask('GET', '/runs/run-14')).json;
    expect([before.ended === null, before.edited]).toEqual([false, {}]);
    const [recorded] = Object.entries(before.attributes) as [[string, unknown]];
    const path = 'eval/größe';
    const values = [0.93, 'text', true, null, ['a', 'b'], { time: 5 }];
    for (const value of values) {
      const { run, edits } = await edit({ op: 'set', path, value });
      expect(run.attributes[path]).toEqual(value);
      expect(edits[0]).toMatchObject({ field: 'attribute', op: 'set', path, value });
    }
    const found = async (q: string): Promise<string[]> => {
      const query = new URLSearchParams({ q }).toString();
      return (await ask('GET', `/projects/${PROJECT}/runs?${query}`)).json.runs.map(({ id }: { id: string }) => id);
    };
    // NaN, which JSON lacks, is a number here and no text.
    const nan = await edit({ op: 'set', path, value: { number: 'NaN' } });
    expect(nan.run.attributes[path]).toBe('NaN');
    expect(await found(`a:"${path}" = nan`)).toEqual(['run-14']);
    expect((await edit({ op: 'set', path, value: { number: 'NaN' } })).edits, 'nothing new').toEqual([null]);
    expect((await edit({ op: 'set', path, value: 'NaN' })).edits[0], 'a text').not.toBeNull();

    // In one request: over a recorded one, away with it, and back to what was recorded.
    const [attribute, value] = recorded;
    const both = await edit({ op: 'set', path: attribute, value: 'other' }, { op: 'remove', path: attribute });
    expect(attribute in both.run.attributes).toBe(false);
    const shown = (await ask('GET', '/runs/run-14')).json;
    expect(shown.edited[attribute]).toMatchObject({ op: 'remove', by: 'ada', scripted: value });
    expect(shown.edited[path]).not.toHaveProperty('scripted');
    expect(shown.heads[`attribute:${attribute}`]).toEqual([both.edits[1].id]);
    const cleared = await edit({ op: 'set', path: attribute, value: 'again' }, { op: 'clear', path: attribute });
    expect(cleared.run.attributes[attribute]).toEqual(value);
    expect(cleared.edits[1].base).toEqual([cleared.edits[0].id]);
    expect((await edit({ op: 'clear', path: attribute })).edits).toEqual([null]);
    const history = (await ask('GET', '/runs/run-14/history')).json.edits.filter(
      (each: { path: string }) => each.path === attribute,
    );
    expect(history.map((each: { op: string }) => each.op)).toEqual(['set', 'remove', 'set', 'clear']);

    // Somebody who had not seen it disagrees, until somebody has seen both.
    const blind = await edit({ op: 'set', path, value: 1, base: [] });
    expect(blind.run.conflicts).toEqual([`attribute:${path}`]);
    const { conflicts } = (await ask('GET', '/runs/run-14')).json;
    expect(conflicts[0].sides.map((side: { value: unknown }) => side.value)).toEqual([1, 'NaN']);
    expect((await edit({ op: 'set', path, value: 1 })).run.conflicts).toEqual([]);

    for (const [wrong, code] of [
      [{ op: 'set', value: 1 }, 'invalid_value'],
      [{ op: 'set', path }, 'invalid_argument'],
      [{ op: 'set', path: 'a//b', value: 1 }, 'invalid_path'],
      [{ op: 'add', path, value: 1 }, 'invalid_value'],
      [{ op: 'set', path, value: { time: 'noon' } }, 'invalid_argument'],
      [{ op: 'set', path, value: [1] }, 'invalid_argument'],
      [{ op: 'set', path, value: 'x'.repeat(4097) }, 'invalid_value'],
      [{ field: 'name', op: 'set', path, value: 'x' }, 'invalid_value'],
    ] as const)
      expect((await edit(wrong)).error?.code, JSON.stringify(wrong).slice(0, 60)).toBe(code);
    expect((await ask('GET', '/runs/run-14')).json.attributes[path]).toBe(1);
  });

  it('[API-10] shows a conflict when an author had not seen the other’s edit', async () => {
    const first = (await ask('POST', '/runs/run-13/edits', { body: [{ field: 'group', op: 'set', value: 'left' }] }))
      .json;
    expect(first.run.conflicts).toEqual([]);
    const blind = (
      await ask('POST', '/runs/run-13/edits', { body: [{ field: 'group', op: 'set', value: 'right', base: [] }] })
    ).json;
    expect(blind.run.conflicts).toEqual(['group']);
    const { conflicts } = (await ask('GET', '/runs/run-13')).json;
    expect(conflicts[0].sides.map((side: { value: string }) => side.value).sort()).toEqual(['left', 'right']);
    const settled = (await ask('POST', '/runs/run-13/edits', { body: [{ field: 'group', op: 'set', value: 'right' }] }))
      .json;
    expect(settled.run.conflicts).toEqual([]);
  });
});

describe('bytes', () => {
  it('[API-11] gives a document’s whole state, gzipped when that is accepted, and 304 while nothing changed', async () => {
    const name = bookName(PROJECT, monthOf(clock.now()));
    const plain = await ask('GET', `/documents/${name}`);
    const packed = await ask('GET', `/documents/${encodeURIComponent(name)}`, {
      headers: { 'accept-encoding': 'br, gzip' },
    });
    expect(packed.headers['content-encoding']).toBe('gzip');
    const doc = new Y.Doc();
    Y.applyUpdate(doc, new Uint8Array(gunzipSync(packed.bytes)));
    expect([...new Book(doc).cards()]).toHaveLength(25);
    expect(plain.headers['etag']).toBe(packed.headers['etag']);
    const again = await ask('GET', `/documents/${name}`, { headers: { 'if-none-match': plain.headers['etag']! } });
    expect([again.status, again.bytes.length]).toEqual([304, 0]);
  });

  it('[BLB-8] a proof is SHA-256(nonce ‖ bytes), and who does not have the blob has none', async () => {
    await ask('PUT', `/blobs/${ABC}`, { body: utf8('abc'), headers: BYTES });
    const nonce = '01'.repeat(32);
    const proof = createHash('sha256')
      .update(Buffer.from(`${nonce}616263`, 'hex'))
      .digest('hex');
    expect((await ask('POST', '/blobs/prove', { body: { digest: ABC, nonce } })).json).toEqual({ proof });
    const other = (await ask('POST', '/blobs/prove', { body: { digest: ABC, nonce: '02'.repeat(32) } })).json.proof;
    expect(other).not.toBe(proof);
    const absent = await ask('POST', '/blobs/prove', { body: { digest: 'f'.repeat(64), nonce } });
    expect([absent.status, absent.json.error.code]).toEqual([404, 'blob_missing']);
    const short = await ask('POST', '/blobs/prove', { body: { digest: ABC, nonce: '01' } });
    expect([short.status, short.json.error.code]).toEqual([400, 'invalid_argument']);
  });

  it('[API-12] takes a blob only under its own digest, and gives it back whole or by range', async () => {
    const bytes = utf8('0123456789');
    const digest = '84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882';
    const put = (name: string): Promise<Answer> =>
      ask('PUT', `/blobs/${name}`, { body: bytes, headers: { 'content-type': 'application/octet-stream' } });
    expect((await put('0'.repeat(64))).json.error.code).toBe('blob_corrupt');
    expect((await put(digest)).json).toEqual({ digest, size: 10 });
    expect((await put(digest)).status).toBe(200);
    expect((await ask('POST', '/blobs/missing', { body: { digests: [digest, 'f'.repeat(64)] } })).json.missing).toEqual(
      ['f'.repeat(64)],
    );
    const head = await ask('HEAD', `/blobs/${digest}`);
    expect([head.status, head.headers['content-length'], head.bytes.length]).toEqual([200, '10', 0]);
    for (const [range, expected, status] of [
      ['bytes=2-4', '234', 206],
      ['bytes=-3', '789', 206],
      ['bytes=8-', '89', 206],
      ['bytes=10-', '', 416],
      ['lines=1-2', '0123456789', 200],
    ] as const) {
      const part = await ask('GET', `/blobs/${digest}`, { headers: { range } });
      expect([range, part.status, new TextDecoder().decode(part.bytes)]).toEqual([range, status, expected]);
    }
  });

  it('[API-13] tells what changed as server-sent events, merged for a slow reader, and lets go when it leaves', async () => {
    const answer = await api.handle({
      method: 'GET',
      path: '/api/v1/events',
      query: [],
      headers: {},
      body: null,
      access: { role: 'viewer', name: null },
    });
    const chunks = (answer.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    const next = async (): Promise<string> => new TextDecoder().decode((await chunks.next()).value as Uint8Array);
    expect(await next()).toContain('retry:');
    expect(await next()).toMatch(/^event: sync\n/);
    const waiting = next();
    await ask('POST', '/runs/run-14/edits', { body: [{ field: 'star', op: 'set', value: true }] });
    const change = await waiting;
    expect(change).toMatch(/^event: change\n/);
    expect(JSON.parse(change.split('data: ')[1]!)).toEqual({ project: 'mnist', runs: ['run-14'] });
    for (const value of [1, 2, 3])
      tellLive({ run: 'run-25' as RunId, at: value, metrics: { loss: { step: value, value } } });
    tellSync();
    const both = [await next(), await next()].sort();
    expect(both[0]).toContain('"value":3');
    expect(both[1]).toMatch(/^event: sync/);
    const silent = next();
    beats.at(-1)!();
    expect(await silent).toMatch(/^:/);
    const last = chunks.next();
    await chunks.return!();
    expect((await last).done).toBe(true);
  });
});
