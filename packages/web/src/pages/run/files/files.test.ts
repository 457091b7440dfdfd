import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from '../../../../../../tests/scaffold/folder.ts';
import { pythonForTests } from '../../../../../../tests/scaffold/python.ts';
import type { FileLine } from '../../../worker/files-api.ts';
import { placeOf } from './place.ts';
import type { FileRow } from './rows.ts';
import { fileRows } from './rows.ts';
import { Checksum, Zip } from './zip.ts';

function line(path: string, more: Partial<FileLine> = {}): FileLine {
  return {
    id: `w.${path}.${more.time ?? 1}`,
    run: 'r' as RunId,
    project: null,
    path,
    name: path.split('/').at(-1)!,
    kind: 'file',
    mime: null,
    size: 10,
    time: 1,
    modified: null,
    writer: 'w',
    machine: 'gpu-3',
    device: 'd',
    current: true,
    removed: false,
    meta: null,
    content: { digest: 'a'.repeat(64), chunks: null, size: 10 },
    source: null,
    failure: null,
    travel: 'now',
    state: 'here',
    kept: false,
    holders: [],
    requested: false,
    ...more,
  };
}

const request = {
  search: '',
  sort: 'name',
  descending: false,
  removed: false,
  toggled: new Set<string>(),
  expanded: new Set<string>(),
} as const;
const drawn = (rows: readonly FileRow[]): string[] =>
  rows.map(
    (row) =>
      `${' '.repeat(row.depth)}${row.label}${row.kind === 'folder' ? (row.group ? ` (${row.files})` : `/${row.files}`) : row.kind === 'version' ? '*' : ''}`,
  );

describe('the list of files', () => {
  it('[PRE-7] is a tree in the order of numbers, checkpoints are one group, and a group opens', () => {
    const files = [
      line('model'),
      ...[100, 20, 3, 1_000].map((step) => line(`ckpt/step_${step}.pt`)),
      line('ckpt/best.pt'),
      line('a/b/c'),
    ];
    expect(drawn(fileRows(files, request))).toEqual([
      'a/1',
      ' b/1',
      '  c',
      'ckpt/5',
      ' best.pt',
      ' step_#.pt (4)',
      'model',
    ]);
    const open = fileRows(files, { ...request, toggled: new Set(['ckpt/step_#.pt', 'a']) });
    expect(drawn(open)).toEqual([
      'a/1',
      'ckpt/5',
      ' best.pt',
      ' step_#.pt (4)',
      '  step_3.pt',
      '  step_20.pt',
      '  step_100.pt',
      '  step_1000.pt',
      'model',
    ]);
  });

  it('[PRE-7] shows the current version with its older ones behind it, and removed files when asked', () => {
    const files = [
      line('m', { time: 3 }),
      line('m', { time: 2, current: false }),
      line('old', { current: false, removed: true, state: 'removed' }),
      line('m', { time: 1, current: false }),
    ];
    expect(drawn(fileRows(files, request))).toEqual(['m']);
    const rows = fileRows(files, { ...request, removed: true, expanded: new Set(['m']) });
    expect(drawn(rows)).toEqual(['m', ' m*', ' m*', 'old']);
    expect(rows.flatMap((row) => (row.kind === 'folder' ? [] : [row.line.time]))).toEqual([3, 2, 1, 1]);
  });

  it('[PRE-7] searches every word in path, name and kind, and sorts by size, time, kind and place', () => {
    const files = [
      line('x/big', { size: 300, time: 1 }),
      line('y/small', { size: 2, time: 5, meta: { framework: 'torch' }, kind: 'model' }),
      line('z', { size: null, time: 3 }),
    ];
    expect(drawn(fileRows(files, { ...request, search: 'torch SMALL' }))).toEqual(['y/small']);
    expect(drawn(fileRows(files, { ...request, sort: 'size', descending: true }))).toEqual(['x/big', 'y/small', 'z']);
    expect(drawn(fileRows(files, { ...request, sort: 'time' }))).toEqual(['x/big', 'z', 'y/small']);
    expect(drawn(fileRows(files, { ...request, sort: 'place' }, (each) => (each.path === 'z' ? 0 : 1)))).toEqual([
      'z',
      'x/big',
      'y/small',
    ]);
  });

  it('[PRE-7] says where bytes are, and offers to ask for them where that helps and nowhere else', () => {
    const agent = { kind: 'agent' } as const;
    const cases: readonly [Partial<FileLine>, 'agent' | 'relay', boolean, string, boolean][] = [
      [{}, 'agent', true, 'here', false],
      [{}, 'relay', true, 'on the relay', false],
      [{ kept: true }, 'agent', true, 'here, in this browser', false],
      [{ kept: true }, 'agent', false, 'in this browser', false],
      [{ state: null }, 'agent', false, 'not in this browser', false],
      [{ state: 'elsewhere' }, 'relay', true, 'on gpu-3 only', true],
      [{ state: 'elsewhere', requested: true }, 'relay', true, 'asked gpu-3 for it', false],
      [{ state: 'elsewhere', travel: 'never' }, 'relay', true, 'stays on gpu-3', false],
      [{ state: 'elsewhere', holders: ['http://relay:1'] }, 'agent', true, 'on relay:1', false],
      [{ state: 'pending', content: null }, 'agent', true, 'waits on gpu-3', false],
      [{ state: 'pending', content: null, failure: 'disk full' }, 'agent', true, 'not stored', false],
      [{ state: 'named', content: null, source: 's3://b/k' }, 'agent', true, 'only named', false],
    ];
    for (const [more, kind, online, text, requestable] of cases) {
      const place = placeOf(line('f', more), { ...agent, kind }, online);
      expect({ text: place.text, requestable: place.requestable }, JSON.stringify(more)).toEqual({ text, requestable });
    }
  });
});

describe('several files as one', () => {
  it('[PRE-8] a ZIP file is read by another program byte for byte, and no name leads out of its folder or hides another', async () => {
    const zip = new Zip();
    const members: [string, Uint8Array<ArrayBuffer>][] = [
      ['a/b.txt', new TextEncoder().encode('hello\n')],
      ['a/b.txt', new TextEncoder().encode('again')],
      ['../../etc/passwd', new TextEncoder().encode('no')],
      ['/abs\\olute\u0000', new Uint8Array(0)],
      ['A/B.txt', new Uint8Array(1)],
      ['C:/evil/.. /..\u0020./aux.txt ', new Uint8Array(2)],
      ['invoice\u202Efdp.exe', new Uint8Array(3)],
      ['größe 模型.bin', Uint8Array.from({ length: 70_000 }, (_, index) => index % 253)],
    ];
    for (const [name, bytes] of members) {
      const checksum = new Checksum();
      checksum.add(bytes.subarray(0, 7));
      checksum.add(bytes.subarray(7));
      zip.add(name, new Blob([bytes]), checksum.value, Date.UTC(2026, 0, 15, 12));
    }
    const path = join(emptyFolder('zip'), 'all.zip');
    writeFileSync(path, new Uint8Array(await zip.blob().arrayBuffer()));
    const { command, env } = pythonForTests();
    const script =
      'import json, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(json.dumps([[i.filename, i.file_size, z.read(i)[:9].hex()] for i in z.infolist()]))';
    const listed = JSON.parse(
      execFileSync(command, ['-c', script, path], { env: { ...process.env, ...env }, encoding: 'utf8' }),
    ) as [string, number, string][];
    expect(listed).toEqual([
      ['a/b.txt', 6, Buffer.from('hello\n').toString('hex')],
      ['a/b (2).txt', 5, Buffer.from('again').toString('hex')],
      ['etc/passwd', 2, Buffer.from('no').toString('hex')],
      ['abs_olute_', 0, ''],
      ['A/B (3).txt', 1, '00'],
      ['C_/evil/_aux.txt', 2, '0000'],
      ['invoice_fdp.exe', 3, '000000'],
      ['größe 模型.bin', 70_000, '000102030405060708'],
    ]);
  });
});
