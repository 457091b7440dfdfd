import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from '../../scaffold/folder.ts';
import { startCommand } from '../../scaffold/program.ts';
import { pythonForTests } from '../../scaffold/python.ts';

describe('a program started by a test', () => {
  const node = (script: string, home: string) =>
    startCommand(process.execPath, ['-e', script], { FIELDBOOK_HOME: home, FIELDBOOK_X: 'given' });

  it('is watched, and sees only the settings given', async () => {
    process.env['FIELDBOOK_LEAK'] = 'leaked';
    const program = node(
      `console.log('env ' + Object.keys(process.env).filter((n) => n.startsWith('FIELDBOOK_')).sort());
       console.log('ready at 42'); setInterval(() => {}, 1000)`,
      emptyFolder(),
    );
    const [, port] = await program.says(/ready at (\d+)/);
    expect(port).toBe('42');
    expect(program.output()).toContain('env FIELDBOOK_HOME,FIELDBOOK_X');
    expect(await program.stop()).toEqual({ code: null, signal: 'SIGTERM' });
    expect(await program.stop()).toEqual({ code: null, signal: 'SIGTERM' });
    delete process.env['FIELDBOOK_LEAK'];
  });

  it('that says nothing of the kind is quoted: when it ends, and when the time is over', async () => {
    const ends = node(`console.log('only this'); process.exit(3)`, emptyFolder());
    await expect(ends.says(/ready/)).rejects.toThrow(/Waited in vain for \/ready\/.*\nonly this/);
    expect(await ends.ended).toEqual({ code: 3, signal: null });
    const stays = node(`setInterval(() => {}, 1000)`, emptyFolder());
    await expect(stays.says(/ready/, 50)).rejects.toThrow(/Waited in vain/);
  });

  it('cannot be one that does not exist', async () => {
    const program = startCommand('/no/such/program', [], { FIELDBOOK_HOME: emptyFolder() });
    await expect(program.ended).rejects.toThrow(/ENOENT/);
  });
});

describe('what ends with a test', () => {
  let folder = '';
  let pid = 0;

  it('is made in one', async () => {
    folder = emptyFolder('gone');
    writeFileSync(join(folder, 'x'), 'x');
    const program = startCommand(process.execPath, ['-e', `console.log('up'); setInterval(() => {}, 1000)`], {
      FIELDBOOK_HOME: folder,
    });
    await program.says(/up/);
    pid = program.pid;
    expect(existsSync(folder)).toBe(true);
  });

  it('is gone in the next', () => {
    expect(existsSync(folder)).toBe(false);
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  });
});

describe('the Python of tests', () => {
  it('imports the client from its sources', async () => {
    const { command, env } = pythonForTests();
    const script = 'import fieldbook; print("from", fieldbook.__file__)';
    const program = startCommand(command, ['-c', script], { ...env, FIELDBOOK_HOME: emptyFolder() });
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.output()).toMatch(/from .*python-client\/src\/fieldbook\/__init__\.py/);
  });
});
