import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { FileShape } from '../shapes.ts';
import type { CaptureShape, CapturedRun, Recipe } from './recipe.ts';
import { CODE, recipeOf, safeRelative } from './recipe.ts';
import { checkDataScript, checkoutScript, checksumLines, readme, runScript, shellQuote } from './scripts.ts';

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'recipe-'));
  folders.push(made);
  return made;
}

/** Nothing of these may ever be run, opened or left unquoted. */
const EVIL = [
  "'; touch HACKED; '",
  '$(touch HACKED)',
  '`touch HACKED`',
  '"; touch HACKED; "',
  '\\',
  "\\'; touch HACKED #",
  'a\nb touch HACKED',
  '${HOME:-$(touch HACKED)}',
  '}"; touch HACKED; "{',
  '-rf',
  'ä€😀',
  '',
  '*',
  '~root',
  '!!',
];

const file = (path: string, more: Partial<FileShape> = {}): FileShape => ({
  version: 'v',
  path,
  name: path.split('/').at(-1)!,
  kind: 'source',
  size: 1,
  digest: 'd',
  mime: null,
  meta: null,
  at: 0,
  writer: 'w',
  device: 'd',
  current: true,
  state: 'here',
  travel: 'now',
  requested: false,
  source: null,
  failure: null,
  holders: [],
  ...more,
});

function run(captures: Record<string, Record<string, unknown>>, more: Partial<CapturedRun> = {}): CapturedRun {
  const list = Object.entries(captures).map(([section, data]): CaptureShape => ({
    writer: 'w',
    device: 'd',
    section,
    data,
  }));
  return {
    id: 'r1',
    name: 'name',
    project: 'p',
    host: null,
    attributes: {},
    writers: [{ writer: 'w', created: 0 }],
    captures: list,
    ...more,
  } as unknown as CapturedRun;
}

const COMMIT = 'a'.repeat(40);

describe('names of recorded files', () => {
  it('[CLI-29] lead nowhere but below the folder, whatever they say', () => {
    for (const path of ['a', 'a/b.py', 'src/…/ä.py', '.hidden', 'git/x', '.gitignore', '...', 'a b'])
      expect(safeRelative(path)).toBe(path);
    for (const path of [
      '',
      '/etc/passwd',
      '../x',
      'a/../../x',
      'a/./b',
      'a//b',
      'a/',
      '..',
      '.git/hooks/post-checkout',
      'a/.GIT/config',
      '.git ',
      'GIT~1/config',
      'a\\..\\b',
      'C:x',
      'a\nb',
      'a\0b',
      'x'.repeat(256),
      'a/'.repeat(1500) + 'b',
    ])
      expect(safeRelative(path), path).toBeUndefined();
  });

  it('[CLI-29] that would leave it, or meet on a disk that does not tell cases apart, are left out and said', () => {
    const recipe = recipeOf(
      run({}),
      [
        file('source/untracked/../../../evil'),
        file('source/untracked/.git/hooks/post-checkout'),
        file('source/files/A.py'),
        file('source/files/a.py'),
        file('config//etc/cron.d/x'),
        file('model/best.pt'),
        file('source/untracked/old.py', { current: false }),
      ],
      [],
    );
    expect(recipe.files.map(({ target }) => target)).toEqual(['snapshot/A.py']);
    expect(recipe.warnings.filter((text) => text.includes('left out'))).toHaveLength(4);
  });
});

describe('what journals say', () => {
  it('[CLI-29] is a word to a shell, never more', () => {
    const output = execFileSync('sh', [
      '-c',
      `for word in ${EVIL.map(shellQuote).join(' ')}; do printf '%s\\0' "$word"; done`,
    ]);
    expect(output.toString().split('\0').slice(0, -1)).toEqual(EVIL);
  });

  it('[CLI-29] runs nothing from any script, in any place where it can stand', () => {
    for (const evil of EVIL) {
      const here = folder();
      const variables = Object.fromEntries([
        ['LANG', evil],
        ['OTHER', evil],
        [`X=1; touch HACKED; Y`, 'v'],
      ]);
      const recipe = recipeOf(
        run(
          {
            command: { argv: ['printf', '%s', evil, `/r/${evil}`], cwd: `/r/${evil}`, launcher: 'fieldbook run' },
            git: {
              commit: COMMIT,
              root: '/r',
              remotes: { [evil]: evil, b: `https://h/${evil}` },
              dirty: true,
              notes: [evil],
            },
            variables,
            python: { version: evil },
          },
          { name: evil, host: evil, id: 'r1', attributes: { [`params/${evil}/seed`]: evil } },
        ),
        [],
        [],
      );
      const data = [{ path: evil, digest: evil, list: '1-x', root: `/nowhere/${evil}`, unchecked: 0, note: evil }];
      for (const [name, text] of [
        ['run.sh', runScript(recipe)],
        ['check-data.sh', checkDataScript(data)],
        ['checkout.sh', checkoutScript(recipe).replaceAll(/^ *git (fetch|init|checkout).*$/gm, 'true')],
      ] as const) {
        writeFileSync(join(here, name), text);
        mkdirSync(join(here, 'code'), { recursive: true });
        spawnSync('sh', [name], { cwd: here });
      }
      const left = execFileSync('find', [here, '-name', 'HACKED*']).toString();
      expect(left, JSON.stringify(evil)).toBe('');
      // Markdown from a journal stays text: in an indented block, or escaped.
      for (const line of readme(recipe, data).split('\n'))
        if (line.includes('HACKED')) expect(line).toMatch(/^( {4}|- (Of the checkout:|It ran in) )/);
    }
  });

  it('[CLI-29] cannot name a commit or a remote that git would take for something else', () => {
    const git = (data: object): Recipe['git'] => recipeOf(run({ git: data as Record<string, unknown> }), [], []).git;
    expect(git({ commit: '--upload-pack=x' })).toBeNull();
    expect(git({ commit: `${COMMIT}\n` })).toBeNull();
    const remotes = { a: '-x', b: 'ext::sh -c "touch HACKED"', c: 'https://h/x\ny', d: 'git@h:x.git' };
    expect(git({ commit: COMMIT, remotes })?.remotes).toEqual(['git@h:x.git']);
  });
});

describe('the command', () => {
  it('[CLI-28] is the one of the launcher, with the places of that machine made places of the folder', () => {
    const recipe = recipeOf(
      run({
        command: {
          argv: [
            '/opt/venv/bin/python3.11',
            '-u',
            '/home/a/net/train.py',
            '--data=/home/a/net/data',
            '--out',
            '/tmp/x',
          ],
          cwd: '/home/a/net/scripts',
          launcher: 'fieldbook run',
        },
        git: { commit: COMMIT, root: '/home/a/net', remotes: {}, dirty: false },
        variables: { OMP_NUM_THREADS: '2', CUDA_VISIBLE_DEVICES: '3' },
      }),
      [],
      ['/mirror'],
    );
    expect(recipe.command).toEqual([
      '/opt/venv/bin/python3.11',
      '-u',
      `${CODE}/train.py`,
      `--data=${CODE}/data`,
      '--out',
      '/tmp/x',
    ]);
    expect(recipe.folder).toBe('scripts');
    expect(recipe.git?.remotes).toEqual(['/mirror', '/home/a/net']);
    const script = runScript(recipe);
    expect(script).toContain('exec "${PYTHON:-python3}" -u "$code"/train.py --data="$code"/data --out /tmp/x "$@"');
    expect(script).toContain('export OMP_NUM_THREADS=2\n');
    expect(script).toContain('# not set again: CUDA_VISIBLE_DEVICES=3\n');
  });

  it('[CLI-28] of a Python process is put together from interpreter, module or script, and arguments', () => {
    const of = (data: object): string[] | null =>
      recipeOf(run({ command: { argv: ['/x/train.py', '--lr', '1'], cwd: '/x', ...data } }), [], []).command;
    expect(of({ entry: '/x/train.py', interpreter_options: ['-O'] })).toEqual([
      'python',
      '-O',
      `${CODE}/train.py`,
      '--lr',
      '1',
    ]);
    expect(of({ entry: '/x/pkg/__main__.py', module: 'pkg' })).toEqual(['python', '-m', 'pkg', '--lr', '1']);
  });

  it('[CLI-31] misses no patch where nothing that git knows was changed', () => {
    const git = { commit: COMMIT, root: '/w', remotes: {}, dirty: true, changed_files: 0, untracked_files: 2 };
    const warnings = recipeOf(run({ git }), [file('source/untracked/extra.py')], []).warnings.join('\n');
    expect(warnings).toContain('in untracked/');
    expect(warnings).not.toContain('will differ');
    const changed = recipeOf(run({ git: { ...git, changed_files: 1 } }), [], []).warnings.join('\n');
    expect(changed).toContain('will differ');
  });

  it('[CLI-31] says first what is missing: secrets, a dirty tree without a patch, files elsewhere, no checkout', () => {
    const recipe = recipeOf(
      run({
        command: { argv: ['./t', '--key', '[redacted]'], cwd: '/r', launcher: 'x' },
        git: {
          commit: COMMIT,
          root: '/r',
          remotes: {},
          dirty: true,
          notes: ['no patch: larger than 32 MiB'],
          untracked_left_out: { size: 3 },
        },
      }),
      [file('source/untracked/a.py', { state: 'elsewhere' }), file('config/c.yaml', { meta: { redacted: 2 } })],
      [],
    );
    const said = recipe.warnings.join('\n');
    for (const part of [
      'no patch was recorded',
      'larger than 32 MiB',
      '3 source files were not recorded (size)',
      'untracked/a.py are not on this machine',
      'out of config/c.yaml (2 places)',
      'A secret was taken out of the command line',
    ])
      expect(said).toContain(part);
    expect(runScript(recipe)).toContain('exit 2\nexec ./t --key');
    expect(recipeOf(run({}), [], []).warnings.join('\n')).toMatch(/No command line[\s\S]*not in a git checkout/);
  });
});

describe('checking data', () => {
  it('[CLI-33] finds changed and missing files, with names that need escaping', () => {
    const here = folder();
    const data = join(here, "it's data");
    mkdirSync(join(here, 'data'));
    mkdirSync(data);
    const names = ['plain', 'with space', 'back\\slash', 'new\nline', '-dash'];
    for (const name of names) writeFileSync(join(data, name), `content of ${name}`);
    const digest = (name: string, sum: string): string =>
      execFileSync(sum, [], { input: `content of ${name}` })
        .toString()
        .split(' ')[0]!;
    const files = names.map((path, index) => {
      const algorithm = index === 0 ? 'md5' : 'sha256';
      return { path, size: 0, algorithm, digest: digest(path, `${algorithm}sum`), modified: null } as const;
    });
    for (const sum of ['sha256', 'md5'] as const)
      writeFileSync(join(here, 'data', `1-x.${sum}`), checksumLines(files, sum));
    writeFileSync(
      join(here, 'check-data.sh'),
      checkDataScript([{ path: 'x', digest: 'd', list: '1-x', root: data, unchecked: 0, note: null }]),
    );
    const check = (...args: string[]): number | null =>
      spawnSync('sh', ['check-data.sh', ...args], { cwd: here }).status;
    expect(check()).toBe(0);
    expect(check('/nowhere')).toBe(1);
    writeFileSync(join(data, 'new\nline'), 'other');
    expect(check()).toBe(1);
    writeFileSync(join(data, 'new\nline'), 'content of new\nline');
    rmSync(join(data, 'plain'));
    expect(check()).toBe(1);
  });
});
