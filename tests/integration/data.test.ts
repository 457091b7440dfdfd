import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { pythonForTests } from '../scaffold/python.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function fill(folder: string, files: Readonly<Record<string, string>>): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** A run that tracks data: paths of attributes and what they track. */
function track(home: string, run: string, data: Readonly<Record<string, string>>): void {
  const { command, env } = pythonForTests();
  const script = `
import fieldbook, json, sys
with fieldbook.init("p", run_id=sys.argv[1], capture=False) as run:
    for path, files in json.loads(sys.argv[2]).items():
        run[path].track_files(files)
`;
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FIELDBOOK_'));
  const ended = spawnSync(command, ['-c', script, run, JSON.stringify(data)], {
    env: { ...Object.fromEntries(inherited), ...env, FIELDBOOK_HOME: home },
    encoding: 'utf8',
  });
  expect(ended.status, ended.stderr).toBe(0);
}

/** Two runs of a home: the second saw other training data, and the same test data elsewhere. */
function twoRuns(): { home: string; folder: string } {
  const home = emptyFolder('home');
  const folder = emptyFolder('data');
  fill(folder, { 'one/a.csv': 'a', 'one/b.csv': 'bb', 'one/c.csv': 'ccc', 'one/moved.csv': 'moved', 'test/x': 'x' });
  fill(folder, {
    'two/a.csv': 'a',
    'two/b.csv': 'bbb',
    'two/d.csv': 'dddd',
    'two/sub/moved.csv': 'moved',
    'same/x': 'x',
  });
  track(home, 'left', {
    'data/train': join(folder, 'one'),
    'data/test': join(folder, 'test'),
    'data/old': join(folder, 'one'),
  });
  track(home, 'right', {
    'data/train': join(folder, 'two'),
    'data/test': join(folder, 'same'),
    'data/web': 'gs://bucket/x',
  });
  return { home, folder };
}

describe('fieldbook data', () => {
  it('[CLI-35] ls shows each data version with its digest, files and size, with and without an agent', async () => {
    const { home, folder } = twoRuns();
    const listed = await fieldbook(home, ['data', 'ls', 'right', '--json']);
    expect(listed.json).toMatchObject({
      run: 'right',
      data: [
        {
          path: 'data/test',
          digest: expect.stringMatching(/^[0-9a-f]{64}$/),
          files: 1,
          bytes: 1,
          from: 'files',
          state: 'here',
        },
        { path: 'data/train', files: 4, bytes: 13, source: null },
        { path: 'data/web', digest: null, source: 'gs://bucket/x', files: null },
      ],
    });
    const rows = `x\0${1}\0sha256:${sha256('x')}\n`;
    expect(listed.json.data[0].digest).toBe(sha256(rows));
    const agent = await startAgent(home);
    expect((await fieldbook(home, ['data', 'ls', 'right', '--json'])).json).toEqual(listed.json);
    const words = await fieldbook(home, ['data', 'ls', 'right']);
    expect(words.stdout).toContain(listed.json.data[1].digest.slice(0, 12));
    expect(words.stdout).toMatch(/data\/web\s+not known\s+–\s+–\s+gs:\/\/bucket\/x/);
    track(home, 'none', {});
    expect((await fieldbook(home, ['data', 'ls', 'none'])).stdout).toMatch(/names no data/);
    await agent.program.stop();
    rmSync(folder, { recursive: true });
  });

  it('[CLI-36] diff says same data, or which files were added, removed, changed and moved', async () => {
    const { home } = twoRuns();
    const { code, json } = await fieldbook(home, ['data', 'diff', 'left', 'right', '--json']);
    expect(code).toBe(0);
    expect(json).toMatchObject({ left: 'left', right: 'right' });
    expect(json.data.map(({ path, state }: { path: string; state: string }) => [path, state])).toEqual([
      ['data/old', 'removed'],
      ['data/test', 'same'],
      ['data/train', 'different'],
      ['data/web', 'added'],
    ]);
    expect(json.data[2].diff).toMatchObject({
      same: false,
      added: [{ path: 'd.csv', size: 4 }],
      removed: [{ path: 'c.csv', size: 3 }],
      changed: [{ path: 'b.csv', before: { size: 2 }, after: { size: 3 } }],
      moved: [{ from: 'moved.csv', to: 'sub/moved.csv' }],
      unknown: [],
      kept: 1,
      keptBytes: 1,
    });
    const agent = await startAgent(home);
    expect((await fieldbook(home, ['data', 'diff', 'left', 'right', '--json'])).json).toEqual(json);
    const { stdout } = await fieldbook(home, ['data', 'diff', 'left', 'right']);
    for (const line of [
      /data\/test {2}same data, [0-9a-f]{12} \(1 file, 1 B\)/,
      /data\/train {2}different data: [0-9a-f]{12} \(4 files, 11 B\); [0-9a-f]{12} \(4 files, 13 B\)/,
      / {2}\+ d\.csv {2}4 B/,
      / {2}- c\.csv {2}3 B/,
      / {2}~ b\.csv {2}2 B → 3 B/,
      / {2}> moved\.csv → sub\/moved\.csv/,
      /data\/old {2}only in left/,
      /data\/web {2}only in right, gs:\/\/bucket\/x/,
    ])
      expect(stdout).toMatch(line);
    const only = await fieldbook(home, ['data', 'diff', 'left', 'right', '--path', 'data/test', '--json']);
    expect(only.json.data).toHaveLength(1);
    const wrong = await fieldbook(home, ['data', 'diff', 'left', 'right', '--path', 'data/tset']);
    expect([wrong.code, wrong.stderr]).toEqual([3, expect.stringContaining('there is at: data/old, data/test')]);
    await agent.program.stop();
  });

  it('[CLI-37] diff compares digests and says so where a list is not on this machine or only names a place', async () => {
    const { home, folder } = twoRuns();
    await fieldbook(home, ['data', 'ls', 'left']);
    track(home, 'web', { 'data/train': 's3x://bucket/train' });
    const before = (await fieldbook(home, ['data', 'ls', 'right', '--json'])).json.data[1];
    const files = (await fieldbook(home, ['files', 'right', '--json'])).json.files;
    const { digest } = files.find(({ path }: { path: string }) => path === 'data/train/list');
    unlinkSync(join(home, 'blobs', 'sha256', digest.slice(0, 2), digest));
    const { json } = await fieldbook(home, ['data', 'diff', 'left', 'right', '--path', 'data/train', '--json']);
    expect(json.data[0]).toMatchObject({
      state: 'different',
      diff: null,
      right: { digest: before.digest, files: 4 },
      reason: expect.stringMatching(/^of right, its list is not on this machine but on /),
    });
    const web = await fieldbook(home, ['data', 'diff', 'left', 'web', '--path', 'data/train']);
    expect(web.stdout).toMatch(
      /cannot be said whether it is the same data[\s\S]*only its place is known: s3x:\/\/bucket\/train/,
    );
    // The same data is known by its digest alone.
    track(home, 'again', { 'data/train': join(folder, 'two') });
    const again = await fieldbook(home, ['data', 'diff', 'again', 'right', '--path', 'data/train', '--json']);
    expect(again.json.data[0]).toMatchObject({ state: 'same', reason: null });
  });

  it('[CLI-38] check holds the files here against the list, wherever they lie now', async () => {
    const home = emptyFolder('home');
    const folder = fill(join(emptyFolder('data'), 'd'), {
      'a.bin': 'a',
      'sub/b.bin': 'bb',
      'c.bin': 'ccc',
      'cafe\u0301': 'é',
    });
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff])]), 'odd');
    track(home, 'one', { 'data/train': folder });
    const good = await fieldbook(home, ['data', 'check', 'one', '--json']);
    expect([good.code, good.json]).toMatchObject([
      0,
      { ok: true, data: [{ root: folder, files: 5, same: 5, wrong: [] }] },
    ]);
    const moved = join(dirname(folder), 'moved');
    renameSync(folder, moved);
    const gone = await fieldbook(home, ['data', 'check', 'one', '--json']);
    expect([gone.code, gone.json.data[0].wrong.length]).toEqual([1, 5]);
    const there = await fieldbook(home, ['data', 'check', 'one', '--root', moved]);
    expect([there.code, there.stdout]).toEqual([0, expect.stringMatching(/all of 5 files in .*moved as listed/)]);
    writeFileSync(join(moved, 'a.bin'), 'A');
    writeFileSync(join(moved, 'c.bin'), 'longer');
    unlinkSync(join(moved, 'sub/b.bin'));
    symlinkSync('/nowhere', join(moved, 'sub/b.bin'));
    const wrong = await fieldbook(home, ['data', 'check', 'one', '--root', moved, '--json']);
    expect([wrong.code, wrong.json.ok]).toEqual([1, false]);
    expect(wrong.json.data[0].wrong).toEqual([
      { path: 'a.bin', verdict: 'changed', reason: 'its content is another' },
      { path: 'c.bin', verdict: 'changed', reason: 'it has 6 bytes, not 3' },
      { path: 'sub/b.bin', verdict: 'missing', reason: 'it is not there' },
    ]);
    const oid = sha256('ccc');
    writeFileSync(join(moved, 'c.bin'), `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 3\n`);
    const pointer = await fieldbook(home, ['data', 'check', 'one', '--root', moved]);
    expect(pointer.stdout).toMatch(/2 files of 5 .*not as listed/);
    expect(pointer.stdout).not.toContain('c.bin');
    expect(readdirSync(moved)).toHaveLength(5);
  });
});
