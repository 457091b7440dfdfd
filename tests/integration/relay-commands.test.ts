import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { LONG } from '../scaffold/mode.ts';
import { startCommand } from '../scaffold/program.ts';
import { ROOT } from '../../.ci/lib/paths.mjs';

const BIN = join(ROOT, 'packages/relay/bin/fieldbook-relay.mjs');
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];
/** Somebody else may look into the repository too. */
const mayBeNobody =
  process.getuid?.() === 0 && spawnSync('setpriv', [...NOBODY, process.execPath, BIN, '--version']).status === 0;

/** The code of a command's end and the code of the error that it says, as JSON where asked for. */
async function end(args: readonly string[], as: readonly string[] = []): Promise<[number | null, string]> {
  const command = as.length === 0 ? [process.execPath] : ['setpriv', ...as, process.execPath];
  const program = startCommand(command[0]!, [...command.slice(1), BIN, ...args], { FIELDBOOK_HOME: '/nonexistent' });
  const { code } = await program.ended;
  const said = program.output();
  if (!args.includes('--json') || code === 2) return [code, /\(([a-z_]+)\)\n?$/.exec(said)?.[1] ?? said.trim()];
  return [code, (JSON.parse(said) as { error?: { code: string } }).error?.code ?? 'done'];
}

it('[OPS-26] commands for storage and backups: what is wrong is said for what it is, with a code and an exit code, and nothing is touched', async () => {
  const relay = await new Relay().up();
  const folder = emptyFolder('commands');
  const data = ['--data', relay.data];
  const backups = join(folder, 'backups');
  const prune = ['backup', 'prune', '--to', backups];
  const [none, file] = [join(folder, 'none'), join(folder, 'file')];
  writeFileSync(file, '');
  expect(await end(['backup', 'create', '--to', backups, ...data, '--json'])).toEqual([0, 'done']);
  // A stray file is nobody's business.
  mkdirSync(join(backups, 'blobs'), { recursive: true });
  writeFileSync(join(backups, 'blobs/README'), 'ours');
  expect(await end([...prune, '--keep', '0d', '--json'])).toEqual([0, 'done']);
  expect(existsSync(join(backups, 'blobs/README'))).toBe(true);

  const wrong: (readonly [readonly string[], [code: number, said: unknown]])[] = [
    [
      ['storage', 'check', '--data', none, '--json'],
      [3, 'not_found'],
    ],
    [
      ['backup', 'prune', '--to', folder, '--keep', '1d', '--json'],
      [3, 'not_found'],
    ],
    [
      [...prune, '--keep', '-5d'],
      [2, expect.stringContaining('Write a span')],
    ],
    [
      ['storage', 'clean', '--data', file],
      [3, 'not_found'],
    ],
    [
      ['storage', 'clean', '--bogus', ...data],
      [2, expect.stringContaining("unknown option '--bogus'")],
    ],
    [
      ['backup', 'prune', '--to', backups],
      [2, expect.stringContaining('--keep')],
    ],
    [
      [...prune, '--keep', '5'],
      [2, expect.stringContaining('Write a span')],
    ],
    [
      [...prune, '--keep', '1.5d'],
      [2, expect.stringContaining('Write a span')],
    ],
    [
      [...prune, '--keep', '99999999d'],
      [2, expect.stringContaining('Write a span')],
    ],
    [
      ['restore', '--from', backups, '--data', none, '--at', 'noon', '--json'],
      [2, expect.stringContaining('invalid_argument')],
    ],
  ];
  for (const [args, expected] of wrong.slice(0, LONG ? undefined : 3))
    expect([args, await end(args)]).toEqual([args, expected]);
  expect(existsSync(none)).toBe(false);

  const manifest = join(backups, 'backups/20260101T000000Z-000000000001.json');
  for (const text of ['{', '{}', 'null'].slice(0, LONG ? 3 : 1)) {
    writeFileSync(manifest, text);
    expect([text, await end([...prune, '--keep', '1d', '--json'])]).toEqual([text, [1, 'storage_failed']]);
  }

  if (!mayBeNobody) return;
  // Who may not look is not told that there is nothing.
  expect(await end(['storage', 'clean', ...data, '--json'], NOBODY)).toEqual([1, 'storage_failed']);
  expect(await end([...prune, '--keep', '1d', '--json'], NOBODY)).toEqual([1, 'storage_failed']);
  if (!LONG) return;
  rmSync(manifest);
  // Readable, and still not his to change.
  spawnSync('chmod', ['-R', 'a+rX', folder]);
  expect(await end([...prune, '--keep', '1d', '--json'], NOBODY)).toEqual([1, 'storage_failed']);
});
