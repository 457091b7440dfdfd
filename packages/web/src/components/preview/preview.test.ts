import { SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { archiveMembers, safetensorsHead } from './archive.ts';
import { histogramOf } from './histogram.ts';
import { savedName, savedPath, shownName } from './name.ts';
import { pictureOf, pictureSize } from './picture.ts';
import { imageType, isText, viewerOf, viewerOfBytes } from './kind.ts';
import { numpyHead, numpyValues } from './numpy.ts';

const item = (name: string, more: object = {}) => ({
  name,
  mime: null,
  kind: 'file',
  text: null,
  content: { digest: '', chunks: null, size: 1 },
  meta: null,
  ...more,
});
const latin = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

describe('how a file is shown', () => {
  it('[PRE-9] follows its kind, type and name, and only then its first bytes', () => {
    const cases: readonly [ReturnType<typeof item>, string | null][] = [
      [item('a.png'), 'image'],
      [item('a', { mime: 'image/png' }), 'image'],
      [item('data.csv', { mime: 'text/html' }), 'table'],
      [item('data.csv', { mime: 'text/plain' }), 'table'],
      [item('x', { mime: 'text/html; charset=utf-8' }), 'html'],
      [item('fig.json', { mime: 'application/vnd.plotly.v1+json' }), 'json'],
      [item('train.py', { mime: 'text/x-python' }), 'text'],
      [item('model.pt', { kind: 'model' }), 'model'],
      [item('w.npy'), 'array'],
      [item('Makefile'), 'text'],
      [item('x', { kind: 'histogram', content: null, text: '{}' }), 'histogram'],
      [item('x', { content: null, text: '[1]' }), 'json'],
      [item('unknown.xyz'), null],
    ];
    for (const [each, viewer] of cases) expect(viewerOf(each), JSON.stringify(each)).toBe(viewer);
    expect(viewerOfBytes(latin('\x89PNG\r\n\x1a\n'))).toBe('image');
    expect(viewerOfBytes(latin('%PDF-1.7'))).toBe('pdf');
    expect(viewerOfBytes(latin('plain words\n'))).toBe('text');
    expect(viewerOfBytes(latin('\x00\x01\x02'))).toBe('bytes');
    // A cut character at the end is still a text.
    expect(isText(new TextEncoder().encode('grün').subarray(0, 3))).toBe(true);
  });

  it('[PRE-9] hands an image to the browser as an image, whatever type somebody claimed', () => {
    expect(imageType({ name: 'a.html', mime: 'text/html' }, latin('<script>'))).toBe('image/png');
    expect(imageType({ name: 'a.png', mime: 'text/html' }, latin('GIF89a'))).toBe('image/gif');
    expect(imageType({ name: 'a.svg', mime: null }, latin('<svg'))).toBe('image/svg+xml');
  });
});

describe('what lies in arrays, archives and models', () => {
  const npy = (header: string, values: Uint8Array): Uint8Array => {
    const text = `${header}${' '.repeat((64 - ((10 + header.length + 1) % 64)) % 64)}\n`;
    return Uint8Array.from([
      ...latin('\x93NUMPY\x01\x00'),
      text.length & 255,
      text.length >> 8,
      ...latin(text),
      ...values,
    ]);
  };

  it('[PRE-10] a numpy array says its shape, type and first numbers', () => {
    const floats = npy(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
      new Uint8Array(Float32Array.from([1.5, -2, 0.1, 4, 5, 6]).buffer),
    );
    const head = numpyHead(floats)!;
    expect(head).toMatchObject({ type: '<f4', shape: [2, 3], count: 6, fortran: false });
    expect(numpyValues(head, floats, 4)).toEqual(['1.5', '-2', '0.1', '4']);
    const whole = npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2,), }", Uint8Array.of(1, 0, 255, 255));
    expect(numpyValues(numpyHead(whole)!, whole, 9)).toEqual(['256', '-1']);
    expect(
      numpyValues(
        numpyHead(npy("{'descr': '|O', 'fortran_order': False, 'shape': (), }", new Uint8Array(3)))!,
        new Uint8Array(200),
        9,
      ),
    ).toBeNull();
    expect(numpyHead(latin('\x93NUMPY\x01\x00\xff\xff'))).toBeNull();
    expect(numpyHead(npy("__import__('os')", new Uint8Array(0)))).toBeNull();
  });

  it('[PRE-10] an archive lists its members, a safetensors file its tensors; foreign bytes are nothing, and never an error', async () => {
    const name = latin('archive/data.pkl');
    const entry = new Uint8Array(46 + name.length);
    const view = new DataView(entry.buffer);
    view.setUint32(0, 0x02014b50, true);
    view.setUint32(24, 1234, true);
    view.setUint16(28, name.length, true);
    entry.set(name, 46);
    const end = new Uint8Array(22);
    const last = new DataView(end.buffer);
    last.setUint32(0, 0x06054b50, true);
    last.setUint32(12, entry.length, true);
    last.setUint32(16, 100, true);
    const zip = Uint8Array.from([...new Uint8Array(100), ...entry, ...end]);
    const reader = (bytes: Uint8Array) => async (from: number, to: number) => bytes.subarray(from, to);
    expect(await archiveMembers(zip.length, reader(zip))).toEqual([{ name: 'archive/data.pkl', size: 1234 }]);
    const header = JSON.stringify({
      __metadata__: { a: 'b' },
      'w.0': { dtype: 'F32', shape: [3, 4], data_offsets: [0, 48] },
    });
    const tensors = Uint8Array.from([
      ...new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer),
      ...latin(header),
      ...new Uint8Array(48),
    ]);
    expect(await safetensorsHead('m.safetensors', tensors.length, reader(tensors))).toEqual([
      { name: 'w.0', type: 'F32', shape: [3, 4] },
    ]);
    const random = new SeededRandom(11);
    for (let times = 0; times < 300; times++) {
      const bent = (times % 2 === 0 ? zip : tensors).slice();
      for (let count = 0; count <= random.int(6); count++) bent[random.int(bent.length)] = random.int(256);
      await archiveMembers(bent.length, reader(bent));
      await safetensorsHead('m.safetensors', bent.length, reader(bent));
      numpyHead(bent);
    }
  });

  it('[PRE-10] a histogram is bars of its own widths; what has no rising edges is none', () => {
    const made = histogramOf('{"edges":[0,1,4],"counts":[2,8]}')!;
    expect(made.bars).toEqual([
      { x: 0, width: 0.25, height: 0.25 },
      { x: 0.25, width: 0.75, height: 1 },
    ]);
    for (const text of [
      '',
      '[]',
      '{"edges":[0,1],"counts":[1,2]}',
      '{"edges":[1,0],"counts":[1]}',
      '{"edges":[0,1],"counts":[-1]}',
      '{"edges":[0,null],"counts":[1]}',
    ])
      expect(histogramOf(text), text).toBeNull();
  });
});

it('[PRE-20] names show what would not be seen, and are saved as one segment that means nothing else', () => {
  expect(shownName('invoice\u202Efdp.exe')).toBe('invoice⟨U+202E⟩fdp.exe');
  expect(shownName('a\u0000b\u200Bc\u{E0041}')).toBe('a⟨U+0000⟩b⟨U+200B⟩c⟨U+E0041⟩');
  expect(shownName('größe 模型 👩‍🔬 <b>.txt')).toBe('größe 模型 👩‍🔬 <b>.txt');
  const cases: readonly [string, string][] = [
    ['../../etc/passwd', '.._.._etc_passwd'],
    ['..', 'file'],
    ['', 'file'],
    ['a\u0000.txt', 'a_.txt'],
    ['invoice\u202Efdp.exe', 'invoice_fdp.exe'],
    ['C:\\x<y>|?*".txt', 'C__x_y_____.txt'],
    ['COM1.txt', '_COM1.txt'],
    ['nul', '_nul'],
    ['name. . ', 'name'],
    ['.bashrc', '.bashrc'],
    ['模型 v2.pt', '模型 v2.pt'],
  ];
  for (const [name, saved] of cases) expect(savedName(name), JSON.stringify(name)).toBe(saved);
  const long = savedName(`${'模'.repeat(500)}.safetensors`);
  expect(new TextEncoder().encode(long).length).toBeLessThanOrEqual(200);
  expect(long).toMatch(/^模+\.safetensors$/);
  expect(savedPath('../a/./..//C:/ .. /b.txt')).toBe('a/C_/b.txt');
  expect(savedPath('../..')).toBe('file');
});

it('[PRE-21] how large a picture claims to be is read from its head, and a claim beyond memory is refused', () => {
  const head = (...parts: (string | number[])[]): Uint8Array<ArrayBuffer> =>
    Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...part].map((c) => c.charCodeAt(0)) : part)));
  const padded = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
    Uint8Array.from({ length: 64 }, (_, at) => bytes[at] ?? 0);
  const png = padded(head('\x89PNG\r\n\x1a\n', [0, 0, 0, 13], 'IHDR', [0, 0, 0xff, 0xff], [0, 0, 0xff, 0xfe]));
  expect(pictureSize(png)).toEqual({ width: 65_535, height: 65_534 });
  expect(pictureOf({ name: 'a.png', mime: null }, png)).toHaveProperty(
    'refused',
    expect.stringContaining('65,535 × 65,534'),
  );
  expect(pictureSize(padded(head('GIF89a', [0x10, 0x27, 0x20, 0x4e])))).toEqual({ width: 10_000, height: 20_000 });
  expect(
    pictureSize(
      padded(head('RIFF', [0, 0, 0, 0], 'WEBPVP8X', [10, 0, 0, 0, 0, 0, 0, 0], [0xff, 0xff, 0], [0x0f, 0x27, 0])),
    ),
  ).toEqual({ width: 65_536, height: 10_000 });
  expect(
    pictureSize(padded(head([0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xc2, 0, 17, 8, 0x27, 0x10, 0x4e, 0x20]))),
  ).toEqual({ width: 20_000, height: 10_000 });
  expect(
    pictureSize(padded(head([0, 0, 0, 28], 'ftypavif', [0, 0, 0, 20], 'ispe', [0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0]))),
  ).toEqual({ width: 65_536, height: 131_072 });
  expect(pictureSize(padded(head('BM')))).toEqual({ width: 0, height: 0 });
  for (const cut of [0, 3, 10, 20, 23]) expect(pictureSize(png.slice(0, cut)), `${cut} bytes`).toBeNull();
  expect(pictureSize(new Uint8Array([0xff, 0xd8, 0xff, 0xc0]))).toBeNull();
});
