import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { emptyFolder } from '../scaffold/folder.ts';
import { startProgram } from '../scaffold/program.ts';

const DEPLOY = join(ROOT, 'packages/relay/deploy');
const read = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8');

describe('deployment files', () => {
  it('[OPS-15] run commands that there are, and wait for the end of a relay as long as it may take', async () => {
    const lines = ['fieldbook-relay.service', 'fieldbook-agent.service', 'fieldbook-relay-backup.service'].map(
      (file) => {
        const [, bin, args] = /^ExecStart=\/usr\/bin\/node \/opt\/fieldbook\/(\S+) (.*)$/m.exec(read(file))!;
        expect(existsSync(join(ROOT, bin!))).toBe(true);
        return { bin: bin!, args: args!.split(' ') };
      },
    );
    // Each option is one of the command's.
    for (const { bin, args } of lines) {
      const command = args.filter((arg) => /^[a-z]+$/.test(arg) && !arg.startsWith('/')).slice(0, 2);
      const help = spawnSync(process.execPath, [join(ROOT, bin), ...command, '--help'], { encoding: 'utf8' });
      for (const option of args.filter((arg) => arg.startsWith('--')))
        expect([bin, option, help.stdout.includes(option)]).toEqual([bin, option, true]);
    }
    const folder = emptyFolder('deploy');
    const check = startProgram('fieldbook-relay', ['config', 'check'], {
      FIELDBOOK_HOME: folder,
      ...variablesOf(read('Dockerfile')),
      ...variablesOf(read('compose.yaml')),
    });
    expect((await check.ended).code).toBe(0);
    expect(check.output()).not.toContain('names no setting');
    expect(check.output()).toMatch(/listen\.host +"0\.0\.0\.0"/);
    const [, timeout] = /drain\.timeout +(\d+)/.exec(check.output())!;
    const longest = Number(timeout) / 1000 + 15;
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(read('fieldbook-relay.service'))![1])).toBeGreaterThan(longest);
    expect(Number(/stop_grace_period: (\d+)s/.exec(read('compose.yaml'))![1])).toBeGreaterThan(longest);
  });

  it.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)(
    '[OPS-15] systemd finds nothing to say about the units',
    () => {
      const folder = emptyFolder('units');
      mkdirSync(folder, { recursive: true });
      // Where node is here.
      for (const file of readdirSync(DEPLOY).filter((name) => /\.(?:service|timer)$/.test(name)))
        writeFileSync(
          join(folder, file),
          read(file).replaceAll('/usr/bin/node /opt/fieldbook', `${process.execPath} ${ROOT}`),
        );
      const units = readdirSync(folder).map((file) => join(folder, file));
      const said = spawnSync('systemd-analyze', ['verify', '--man=no', ...units], { encoding: 'utf8' });
      const ours = said.stderr.split('\n').filter((line) => line.includes('fieldbook'));
      expect([said.status, ours]).toEqual([0, []]);
    },
  );
});

/** Settings of the environment that a file sets. */
function variablesOf(text: string): Record<string, string> {
  const found = [...text.matchAll(/(FIELDBOOK_RELAY_[A-Z_]+)(?:=|: )("?)([^\n"]*?)\2(?= [A-Z]+_|\s*$)/gm)];
  return Object.fromEntries(found.map(([, name, , value]) => [name!, value!]));
}
