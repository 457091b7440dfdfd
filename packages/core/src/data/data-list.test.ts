import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../ids.ts';
import { SeededRandom } from '../testing/index.ts';
import type { DataFile } from './data-list.ts';
import { compareUtf8, dataDigestOf, parseDataList, treeDigest } from './data-list.ts';

const GOLDEN = join(import.meta.dirname, '../../../../tests/golden/data');
const names = readdirSync(GOLDEN)
  .filter((name) => name.endsWith('.jsonl'))
  .map((name) => name.slice(0, -'.jsonl'.length));

const file = (path: string, size = 1, digest = 'aa'): DataFile => ({
  path,
  size,
  algorithm: 'sha256',
  digest,
  modified: null,
});

const row = (value: object): string => `${JSON.stringify(value)}\n`;

function listOf(files: readonly DataFile[], claim = treeDigest(files)): Uint8Array {
  const head = row({ 'fieldbook.data': 1, root: '/d', files: files.length, bytes: 0, digest: claim, from: 'files' });
  return utf8(head + files.map(({ path, size, digest }) => row({ path, size, sha256: digest })).join(''));
}

describe('golden lists', () => {
  it('are there', () => expect(names.length).toBeGreaterThan(10));

  it.each(names)('[DAT-8] %s means here what it means to the Python client', (name) => {
    const bytes = new Uint8Array(readFileSync(join(GOLDEN, `${name}.jsonl`)));
    const expected = JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), 'utf8')) as {
      error?: string;
      digest?: string;
      lines?: unknown[][];
    };
    if (expected.error !== undefined) {
      expect(() => parseDataList(bytes)).toThrow(expect.objectContaining({ code: 'invalid_value' }));
      return;
    }
    const list = parseDataList(bytes);
    expect(list.files.map(({ path, size, algorithm, digest }) => [path, size, algorithm, digest])).toEqual(
      expected.lines,
    );
    expect(treeDigest(list.files)).toBe(expected.digest);
    expect(list.digest).toBe(expected.digest);
  });
});

describe('parseDataList', () => {
  it('[DAT-9] reads what it is meant to read, with the sum of the bytes', () => {
    const list = parseDataList(listOf([file('a', 3), file('b', 4)]));
    expect(list).toMatchObject({ root: '/d', from: 'files', bytes: 7, notes: [] });
    expect(list.files[0]).toEqual(file('a', 3));
  });

  it.each([
    ['nothing', ''],
    ['no JSON', 'hello\n'],
    ['no object', '[1]\n'],
    ['no UTF-8', new Uint8Array([0x7b, 0xff, 0x7d])],
    ['a head without a digest', row({ 'fieldbook.data': 1, root: '', from: 'files' })],
    ['a negative size', listOf([{ ...file('a'), size: -1 }])],
    ['a size that is no integer', listOf([{ ...file('a'), size: 0.5 }])],
    ['an empty path', listOf([file('')])],
    ['a digest that hides a line', listOf([file('a', 1, 'aa\nb\u00001\u0000sha256:bb')])],
    ['another digest', listOf([file('a')], '0'.repeat(64))],
    ['a file twice', listOf([file('a'), file('a')])],
    ['another order', listOf([file('b'), file('a')])],
  ])('[DAT-9] refuses %s', (_, bytes) => {
    expect(() => parseDataList(typeof bytes === 'string' ? utf8(bytes) : bytes)).toThrow(
      expect.objectContaining({ code: 'invalid_value' }),
    );
  });

  it('[DAT-9] throws nothing but its own error, whatever bytes are changed (seed 7)', () => {
    const random = new SeededRandom(7);
    const good = listOf(['a', 'b/c', 'é', '😀'].map((path) => file(path)));
    let refused = 0;
    for (let round = 0; round < 2_000; round++) {
      const bytes = good.slice();
      for (const byte of random.bytes(3)) bytes[(byte * 7 + round) % bytes.length] = random.bytes(1)[0]!;
      try {
        parseDataList(bytes);
      } catch (error) {
        refused += 1;
        expect(error).toMatchObject({ code: 'invalid_value' });
      }
    }
    expect(refused).toBeGreaterThan(1_000);
  });
});

it('[DAT-8] orders texts as their UTF-8 bytes', () => {
  const texts = [
    '',
    'a',
    'a/b',
    'ab',
    'z',
    'é',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ue000',
    '\uff5e',
    '\u{10000}',
    '😀',
    '😀a',
  ];
  const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  for (const a of texts) for (const b of texts) expect(Math.sign(compareUtf8(a, b))).toBe(Math.sign(bytewise(a, b)));
});

it('[DAT-8] knows the attribute of a data version from other texts', () => {
  expect(dataDigestOf(`data:sha256:${'ab'.repeat(32)}`)).toBe('ab'.repeat(32));
  for (const other of ['data:sha256:ab', `data:sha256:${'AB'.repeat(32)}`, 'train.csv', 3, null])
    expect(dataDigestOf(other)).toBeUndefined();
});
