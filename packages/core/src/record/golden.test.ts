import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import { makeCard, makeTestEdit, testEditId, testHlc } from '../testing/index.ts';
import { decodeCard, encodeCard } from './card.ts';
import { decodeDirectoryRecord, encodeDirectoryRecord } from './directory.ts';
import { decodeEdit, encodeEdit } from './edit.ts';
import { decodeEntry, encodeEntry } from './entry.ts';

const FILE = new URL('../../../../tests/golden/record/v1.json', import.meta.url);
const path = (text: string): AttributePath => text as AttributePath;
const head = {
  writer: '01kf0000000000000000000000' as WriterId,
  device: 'd000000000000000000000000' as DeviceId,
  extra: {},
};

/** Every kind of record in version 1, with the values that are easy to get wrong. */
const samples = {
  card: {
    record: makeCard({
      name: 'größer 🙂',
      tags: ['baseline'],
      ended: 1_768_478_500_000,
      status: 'finished',
      attributes: new Map<AttributePath, string | number | boolean | null | { time: number } | string[]>([
        [path('params/a🙂'), 1e-3],
        [path('params/a🙃'), true],
        [path('params/layers'), ['conv', 'dense']],
        [path('params/start'), { time: 5 }],
        [path('params/none'), null],
      ]),
      metrics: new Map([
        [
          path('loss'),
          { count: 3, last: 0.5, lastStep: 10, min: 0.5, minStep: 10, max: 1.1, maxStep: 2, nonFinite: 0 },
        ],
        [
          path('odd'),
          {
            count: 1,
            last: Number.NaN,
            lastStep: 0.5,
            min: Number.NaN,
            minStep: -0,
            max: Infinity,
            maxStep: -3,
            nonFinite: 1,
          },
        ],
      ]),
      extra: { future: ['kept'] },
    }),
    encode: encodeCard,
    decode: decodeCard,
  },
  edit: {
    record: makeTestEdit({
      id: testEditId(1),
      value: 'renamed',
      base: [testEditId(2)],
      at: testHlc(1, 7),
      signature: new Uint8Array([1, 2, 3]),
    }),
    encode: encodeEdit,
    decode: decodeEdit,
  },
  'attribute edit': {
    record: makeTestEdit({
      id: testEditId(1),
      field: 'attribute',
      path: path('eval/best 🙂'),
      value: ['a', 'größer'],
      base: [testEditId(2)],
      at: testHlc(1, 7),
    }),
    encode: encodeEdit,
    decode: decodeEdit,
  },
  'attribute time edit': {
    record: makeTestEdit({
      id: testEditId(1),
      field: 'attribute',
      path: path('eval/at'),
      value: { time: 1_768_478_400_000 },
      at: testHlc(1, 7),
    }),
    encode: encodeEdit,
    decode: decodeEdit,
  },
  'attribute removal': {
    record: makeTestEdit({
      id: testEditId(1),
      field: 'attribute',
      op: 'remove',
      path: path('eval/best'),
      value: null,
      at: testHlc(1, 7),
    }),
    encode: encodeEdit,
    decode: decodeEdit,
  },
  segment: {
    record: {
      kind: 'segment',
      ...head,
      first: 1,
      last: 9,
      digest: 'cd'.repeat(32) as BlobDigest,
      size: 7,
      points: 9,
      startTime: 0.5,
      endTime: 1,
      levels: [],
    } as const,
    encode: encodeEntry,
    decode: decodeEntry,
  },
  tail: {
    record: {
      kind: 'tail',
      ...head,
      first: 10,
      last: 11,
      names: ['loss', 'acc'],
      metric: new Uint16Array([0, 1]),
      step: new Float64Array([1, 1]),
      value: new Float64Array([0.5, Number.NaN]),
      time: new Float64Array([3, 4]),
      ordinal: new Float64Array([10, 11]),
    } as const,
    encode: encodeEntry,
    decode: decodeEntry,
  },
  companion: {
    record: makeCard({ role: 'system', removed: [path('params/lr'), path('größe')] }),
    encode: encodeCard,
    decode: decodeCard,
  },
  file: {
    record: {
      kind: 'file',
      ...head,
      ordinal: 12,
      place: null,
      path: 'checkpoints/last',
      name: 'größe.pt',
      size: 7,
      time: 5,
      modified: 4.5,
      fileKind: 'model',
      mime: 'application/octet-stream',
      meta: '{"framework":"torch"}',
      travel: 'request',
      digest: 'ab'.repeat(32),
      chunks: 'cd'.repeat(32),
      spool: null,
      expected: null,
      source: null,
      failure: null,
    },
    encode: encodeEntry,
    decode: decodeEntry,
  },
  pending: {
    record: {
      kind: 'file',
      ...head,
      ordinal: 13,
      place: null,
      path: 'data',
      name: 'a',
      size: null,
      time: 5,
      modified: null,
      fileKind: 'file',
      mime: null,
      meta: null,
      travel: null,
      digest: null,
      chunks: null,
      spool: '000001-a',
      expected: 'ef'.repeat(32),
      source: 's3://bucket/a',
      failure: 'The disk is full.',
    },
    encode: encodeEntry,
    decode: decodeEntry,
  },
  removed: {
    record: {
      kind: 'file',
      ...head,
      ordinal: 14,
      place: 2,
      path: 'checkpoints',
      name: '',
      size: null,
      time: 6,
      modified: null,
      fileKind: 'removed',
      mime: null,
      meta: null,
      travel: null,
      digest: null,
      chunks: null,
      spool: null,
      expected: null,
      source: null,
      failure: null,
    },
    encode: encodeEntry,
    decode: decodeEntry,
  },
  objects: {
    record: {
      kind: 'objects',
      ...head,
      first: 3,
      last: 9,
      digest: '12'.repeat(32),
      size: 100,
      rows: 3,
      startTime: 1,
      endTime: 2,
      paths: [
        { path: 'console/stdout', kind: 'text', rows: 2, firstStep: 0, lastStep: 1 },
        { path: 'samples', kind: 'image', rows: 1, firstStep: -0.5, lastStep: -0.5 },
      ],
      files: ['34'.repeat(32), '56'.repeat(32)],
    },
    encode: encodeEntry,
    decode: decodeEntry,
  },
  objecttail: {
    record: {
      kind: 'objecttail',
      ...head,
      first: 3,
      last: 9,
      rows: [
        {
          path: 'samples',
          step: 0.1,
          time: 5,
          kind: 'image',
          text: '',
          digest: '34'.repeat(32),
          size: 5,
          mime: 'image/png',
          name: 'a.png',
          meta: '{"caption":"∞"}',
          ordinal: 4,
          part: 0,
        },
        {
          path: 'console/stdout',
          step: 1,
          time: 5,
          kind: 'text',
          text: 'epoch 1',
          digest: '',
          size: 0,
          mime: '',
          name: '',
          meta: '{"open":true}',
          ordinal: 9,
          part: 1,
        },
      ],
    },
    encode: encodeEntry,
    decode: decodeEntry,
  },
  capture: {
    record: { kind: 'capture', ...head, ordinal: 2, section: 'git', data: '{"commit":null}' },
    encode: encodeEntry,
    decode: decodeEntry,
  },
  book: {
    record: { kind: 'book', title: 'MNIST', created: 5, extra: {} } as const,
    encode: encodeDirectoryRecord,
    decode: decodeDirectoryRecord,
  },
  view: {
    record: {
      kind: 'view',
      view: testEditId(3),
      project: 'größer',
      name: 'last week 🙂',
      search: '?q=status:running&by=a:params/lr',
      removed: false,
      usual: true,
      by: 'ada',
      device: head.device,
      at: testHlc(1, 7),
      extra: { future: [1] },
    },
    encode: encodeDirectoryRecord,
    decode: decodeDirectoryRecord,
  },
  'view renamed': {
    record: {
      kind: 'view',
      view: testEditId(3),
      project: 'mnist',
      name: 'this week',
      search: null,
      removed: null,
      usual: null,
      by: 'ada',
      device: head.device,
      at: testHlc(2, 0),
      extra: {},
    },
    encode: encodeDirectoryRecord,
    decode: decodeDirectoryRecord,
  },
  link: {
    record: { kind: 'link', target: '/p/mnist?q=tags+has+"best"', extra: {} },
    encode: encodeDirectoryRecord,
    decode: decodeDirectoryRecord,
  },
} as unknown as Record<
  string,
  { record: unknown; encode: (record: unknown) => Uint8Array; decode: (bytes: Uint8Array) => unknown }
>;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('golden records', () => {
  // FIELDBOOK_GOLDEN=write makes the file anew; do that only with a new version number.
  if (process.env.FIELDBOOK_GOLDEN === 'write') {
    const golden = Object.fromEntries(
      Object.entries(samples).map(([kind, { record, encode }]) => [kind, hex(encode(record))]),
    );
    writeFileSync(FILE, `${JSON.stringify(golden, null, 2)}\n`);
  }
  const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string>;

  it.each(Object.keys(samples))('[REC-1] version 1 of a %s is written and read as the golden bytes say', (kind) => {
    const { record, encode, decode } = samples[kind]!;
    expect(hex(encode(record))).toBe(golden[kind]);
    expect(decode(Uint8Array.from(Buffer.from(golden[kind]!, 'hex')))).toEqual(record);
  });
});
