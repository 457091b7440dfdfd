import { describe, expect, it } from 'vitest';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest } from '../ports.ts';
import { makeCard, makeTestEdit, randomCard, SeededRandom } from '../testing/index.ts';
import type { MetricSummary } from './card.ts';
import { decodeCard, encodeCard } from './card.ts';
import { decodeDirectoryRecord, encodeDirectoryRecord } from './directory.ts';
import { encodeAttribute } from './attribute.ts';
import { decodeEdit, encodeEdit } from './edit.ts';
import type { Entry } from './entry.ts';
import { decodeEntry, encodeEntry } from './entry.ts';
import type { ValueObject } from './value.ts';
import { decodeRecord, encodeRecord } from './value.ts';

const writer = '01kf0000000000000000000000' as WriterId;
const device = 'd000000000000000000000000' as DeviceId;
const digest = 'ab'.repeat(32) as BlobDigest;

const path = 'params/lr' as AttributePath;
const badAttributeEdits = [
  { field: 'attribute', path: null, value: 1 },
  { field: 'attribute', path: 'a//b' as AttributePath, value: 1 },
  { field: 'attribute', path, op: 'remove', value: 1 },
  { field: 'attribute', path, op: 'clear', value: true },
  { field: 'attribute', path, value: 'x'.repeat(LIMITS.attributeValueBytes + 1) },
  { field: 'attribute', path, value: ['x'.repeat(LIMITS.attributeValueBytes + 1)] },
  { field: 'attribute', path, value: Array.from({ length: LIMITS.attributeTexts + 1 }, () => 'a') },
  { field: 'attribute', path, value: { time: Number.NaN } },
];

const entries: Entry[] = [
  {
    kind: 'segment',
    writer,
    device,
    first: 1,
    last: 50_000,
    digest,
    size: 1234,
    points: 50_000,
    startTime: 1.5,
    endTime: 2.5,
    levels: [{ factor: 64, digest, size: 10 }],
    extra: {},
  },
  {
    kind: 'tail',
    writer,
    device,
    first: 7,
    last: 9,
    names: ['loss', 'acc'],
    metric: new Uint16Array([0, 1, 0]),
    step: new Float64Array([1, 1, 2]),
    value: new Float64Array([Number.NaN, -0, Infinity]),
    time: new Float64Array([1, 2, 3]),
    ordinal: new Float64Array([7, 7, 9]),
    extra: {},
  },
  {
    kind: 'writer',
    writer,
    device,
    ordinal: 9,
    attributes: { lr: 0.1, 'a/b': ['x', null] },
    environment: { argv: ['train.py', '--lr', '0.1'] },
    exitCode: 1,
    traceback: 'Traceback …',
    dropped: 3,
    signal: null,
    reason: null,
    damage: null,
    system: new Map(),
    extra: {},
  },
];

describe('records', () => {
  it('[REC-1] decode to what was encoded, and equal records are equal bytes', () => {
    const random = new SeededRandom(21);
    for (let round = 0; round < 500; round++) {
      const card = randomCard(random);
      const bytes = encodeCard(card);
      const decoded = decodeCard(bytes)!;
      // toEqual tells -0 from 0 and NaN from other numbers; maps are compared by content.
      expect(decoded).toEqual(card);
      expect(encodeCard(decoded)).toEqual(bytes);
      const reordered = {
        ...card,
        attributes: new Map([...card.attributes].reverse()),
        metrics: new Map([...card.metrics].reverse()),
      };
      expect(encodeCard(reordered)).toEqual(bytes);
    }
    const edit = makeTestEdit({ value: 'größer 🙂', base: [makeTestEdit().id], signature: new Uint8Array([1, 2]) });
    expect(decodeEdit(encodeEdit(edit))).toEqual(edit);
    for (const entry of entries) expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
    const book = { kind: 'book', title: 'MNIST', created: 5, extra: {} } as const;
    expect(decodeDirectoryRecord(encodeDirectoryRecord(book))).toEqual(book);
  });

  it('[REC-2] keeps fields of a newer version', () => {
    const extra: ValueObject = { zz: ['from', { the: 'future' }], color: 7, bytes: new Uint8Array([9]) };
    for (const [decode, encode, record] of [
      [decodeCard, encodeCard, makeCard({ extra })],
      [decodeEdit, encodeEdit, makeTestEdit({ extra })],
      [decodeEntry, encodeEntry, { ...entries[0]!, extra }],
      [decodeDirectoryRecord, encodeDirectoryRecord, { kind: 'book', title: 'x', created: 1, extra }],
    ] as [(bytes: Uint8Array) => { extra: ValueObject }, (record: unknown) => Uint8Array, unknown][]) {
      const bytes = encode(record);
      const decoded = decode(bytes);
      expect({ ...decoded.extra }).toEqual(extra);
      expect(encode(decoded)).toEqual(bytes);
    }
  });

  it('[REC-3] refuses broken bytes with a code, whatever they are', () => {
    const decoders = [decodeCard, decodeEdit, decodeEntry, decodeDirectoryRecord];
    const random = new SeededRandom(33);
    const samples = [encodeCard(randomCard(random)), encodeEdit(makeTestEdit()), ...entries.map(encodeEntry)];
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = random.chance(0.2) ? random.bytes(random.int(64)) : random.pick(samples).slice();
      for (let flips = random.int(4); flips > 0 && bytes.length > 0; flips--)
        bytes[random.int(bytes.length)] = random.int(256);
      const cut = random.chance(0.3) ? bytes.slice(0, random.int(bytes.length + 1)) : bytes;
      for (const decode of decoders) {
        try {
          decode(cut);
        } catch (error) {
          if (!isFieldbookError(error, 'record_malformed') && !isFieldbookError(error, 'record_too_large')) throw error;
          refused += 1;
        }
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  it('[REC-3] bounds depth, element counts and size before it allocates', () => {
    const deep = new Uint8Array(60_000).fill(117);
    for (let index = 1; index < deep.length; index += 2) deep[index] = 1;
    deep[0] = 1;
    const cases: [string, Uint8Array][] = [
      [
        'nested arrays',
        Uint8Array.from([1, ...Array.from({ length: 2000 }, (_, index) => (index % 2 === 0 ? 117 : 1))]),
      ],
      ['a million elements claimed', Uint8Array.from([1, 117, 0xc0, 0x84, 0x3d])],
      ['a huge byte string claimed', Uint8Array.from([1, 116, 0xff, 0xff, 0xff, 0x7f])],
      ['a huge string claimed', Uint8Array.from([1, 119, 0xff, 0xff, 0xff, 0x7f])],
      ['trailing bytes', Uint8Array.from([...encodeRecord({ k: 'x' }), 0])],
      ['no object', Uint8Array.from([1, 126])],
      ['nothing', new Uint8Array(0)],
      ['nothing but nesting', deep],
    ];
    for (const [what, bytes] of cases) {
      expect(() => decodeRecord(bytes, LIMITS.editBytes), what).toThrowError(FieldbookError);
    }
    expect(() => decodeRecord(encodeRecord({ k: 'x'.repeat(100) }), 50)).toThrowError(/limit is 50/);
    const proto = decodeRecord(
      encodeRecord(JSON.parse('{"k":"x","__proto__":{"polluted":true}}') as ValueObject),
      1000,
    )!;
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys(proto)).toContain('__proto__');
  });

  it('[REC-4] reads a kind or version of the future as nothing', () => {
    const future = encodeRecord({ k: 'comet', tail: true });
    for (const decode of [decodeCard, decodeEdit, decodeEntry, decodeDirectoryRecord]) {
      expect(decode(future)).toBeUndefined();
      expect(decode(Uint8Array.from([2, 1, 2, 3]))).toBeUndefined();
    }
  });

  it('[REC-5] holds 20 parameters and 15 metrics in 1 kB', () => {
    const random = new SeededRandom(5);
    const names = [
      'lr',
      'batch_size',
      'epochs',
      'optimizer',
      'weight_decay',
      'momentum',
      'dropout',
      'hidden',
      'layers',
      'seed',
    ];
    const attributes = new Map<AttributePath, string | number | boolean>();
    for (const [index, name] of names.entries()) {
      attributes.set(`params/${name}` as AttributePath, [0.001, 128, 90, 'adamw', 0.05][index % 5]!);
      attributes.set(`params/model/${name}` as AttributePath, [512, true, 12, 'gelu', 7][index % 5]!);
    }
    const metrics = new Map<AttributePath, MetricSummary>();
    for (const split of ['train', 'val', 'test']) {
      for (const name of ['loss', 'accuracy', 'f1', 'precision', 'recall']) {
        const last = random.float();
        metrics.set(`${split}/${name}` as AttributePath, {
          count: 9_000,
          last,
          lastStep: 90_000,
          min: name === 'loss' ? last : random.float(),
          minStep: name === 'loss' ? 90_000 : 1_200,
          max: name === 'loss' ? random.float() : last,
          maxStep: name === 'loss' ? 100 : 90_000,
          nonFinite: 0,
        });
      }
    }
    expect([attributes.size, metrics.size]).toEqual([20, 15]);
    const card = makeCard({
      run: '01kf0000000000000000000000' as never,
      name: 'resnet50 baseline',
      group: 'sweep-7',
      user: 'ada',
      host: 'gpu-3',
      tags: ['baseline'],
      attributes,
      metrics,
    });
    expect(encodeCard(card).length).toBeLessThanOrEqual(1024);
  });

  it('[REC-7] an edit of an attribute holds its path and whatever an attribute can be', () => {
    const path = 'eval/größe 🙂' as AttributePath;
    const values = [0.1, -0, Number.NaN, Infinity, 1e300, true, false, null, '', 'text', { time: 5.5 }, [], ['a', '']];
    for (const value of values) {
      const edit = makeTestEdit({ field: 'attribute', path, value });
      expect(decodeEdit(encodeEdit(edit))).toEqual(edit);
    }
    for (const op of ['remove', 'clear']) {
      const edit = makeTestEdit({ field: 'attribute', op, path, value: null });
      expect(decodeEdit(encodeEdit(edit))).toEqual(edit);
    }
    // What a newer version does with a path, or with an operation, is kept as it was.
    const newer = makeTestEdit({ field: 'mood', extra: { p: 'of the future' } });
    expect(decodeEdit(encodeEdit(newer))).toEqual(newer);
    const swung = makeTestEdit({ field: 'attribute', op: 'swing', path, value: 7 });
    expect(decodeEdit(encodeEdit(swung))).toEqual(swung);
  });

  it('[REC-6] refuses an edit whose value does not fit its field, when written and when read', () => {
    const wrong = [
      { field: 'name', value: 7 },
      { field: 'name', value: 'x'.repeat(LIMITS.nameBytes + 1) },
      { field: 'star', value: 'yes' },
      { field: 'tags', op: 'set', value: 'a' },
      { field: 'tags', op: 'add', value: ' padded ' },
      { field: 'tags', op: 'add', value: '' },
      { field: 'purge', value: false },
      { field: 'notes', value: 'x'.repeat(LIMITS.notesBytes + 1) },
      ...badAttributeEdits,
      { base: Array.from({ length: LIMITS.baseCount + 1 }, () => makeTestEdit().id) },
    ];
    for (const override of wrong) {
      const edit = makeTestEdit(override);
      expect(() => encodeEdit(edit), JSON.stringify(override).slice(0, 60)).toThrowError(FieldbookError);
      const forged = encodeRecord({
        k: 'edit',
        i: edit.id,
        r: edit.run,
        f: edit.field,
        o: edit.op,
        p: edit.path ?? undefined,
        v: encodeAttribute(edit.value),
        b: [...edit.base],
        y: 'x',
        d: edit.device,
        h: edit.at,
      });
      expect(() => decodeEdit(forged), JSON.stringify(override).slice(0, 60)).toThrowError(FieldbookError);
    }
  });
});
