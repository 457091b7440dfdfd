import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { TARGETS } from '../../.ci/lib/targets.mjs';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand, startProgram } from '../scaffold/program.ts';

const DEPLOY = join(ROOT, 'packages/relay/deploy');
const read = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8');

describe('deployment files', () => {
  it('[OPS-15] run commands that there are, and wait for the end of a relay as long as it may take', async () => {
    const lines = ['fieldbook-relay.service', 'fieldbook-agent.service', 'fieldbook-relay-backup.service'].flatMap(
      (file) =>
        [...read(file).matchAll(/^ExecStart=\/usr\/bin\/node (?:--\S+ )?\/opt\/fieldbook\/(\S+) (.*)$/gm)].map(
          ([, bin, args]) => {
            expect(existsSync(join(ROOT, bin!))).toBe(true);
            return { bin: bin!, args: args!.split(' ') };
          },
        ),
    );
    // A backup, and behind it what no longer is needed.
    expect(lines.map(({ args }) => args.slice(0, 2).join(' '))).toEqual([
      expect.stringMatching(/^serve/),
      expect.any(String),
      'backup create',
      'backup prune',
    ]);
    const [made, pruned] = lines.slice(2).map(({ args }) => args[args.indexOf('--to') + 1]);
    expect(pruned).toBe(made);
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
    const [, timeout] = /drain\.timeout +"(\d+) s"/.exec(check.output())!;
    const longest = Number(timeout) + 15;
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(read('fieldbook-relay.service'))![1])).toBeGreaterThan(longest);
    expect(Number(/stop_grace_period: (\d+)s/.exec(read('compose.yaml'))![1])).toBeGreaterThan(longest);
  });

  it('[OPS-15] a relay is started with the same young generation as a service, in the image and where it is measured', () => {
    const [, service] = /^ExecStart=\/usr\/bin\/node (--\S+)/m.exec(read('fieldbook-relay.service'))!;
    const [, image] = /^ENTRYPOINT \["node", "(--[^"]+)"/m.exec(read('Dockerfile'))!;
    const [, bench] = /^const HEAP = '(--\S+)';$/m.exec(readFileSync(join(ROOT, 'bench/rooms.ts'), 'utf8'))!;
    expect([image, bench]).toEqual([service, service]);
    expect(spawnSync(process.execPath, [service!, '-e', ''], { encoding: 'utf8' }).status).toBe(0);
  });

  it('[OPS-23] the user of the image owns every directory that a volume is mounted at', () => {
    const [image, compose] = [
      read('Dockerfile')
        .split(/^FROM /m)
        .at(-1)!,
      read('compose.yaml'),
    ];
    const user = /^USER (\S+)$/m.exec(image)![1]!;
    const mounts = [...compose.matchAll(/^ {6}- ['"]?[\w.-]+:(\/[\w/]+)['"]?$/gm)].map(([, path]) => path!);
    expect(mounts).toEqual(['/data', '/backups']);
    const [, made, owner, owned] = /^RUN mkdir -m 0700 ([^&]+) && chown (\S+) (.+)$/m.exec(image)!;
    expect(owner).toBe(`${user}:${user}`);
    // Done as root, so before the user is another.
    expect(image.indexOf('chown')).toBeLessThan(image.indexOf('\nUSER '));
    for (const mount of mounts) for (const list of [made!, owned!]) expect(list.split(' ')).toContain(mount);
  });

  it('[OPS-23] what the image has of the build is enough for a relay and its page', async () => {
    const [, image] = read('Dockerfile').split(/^FROM (?=\S+$)/m);
    const [home, folder] = [emptyFolder('image-data'), emptyFolder('image')];
    const copies = [...image!.matchAll(/^COPY --from=build \/opt\/fieldbook\/(\S+) (\S+)$/gm)];
    for (const [, from, to] of copies) {
      expect(to).toBe(from);
      if (from === 'node_modules') symlinkSync(join(ROOT, from), join(folder, from));
      else cpSync(join(ROOT, from!), join(folder, to!), { recursive: true });
    }
    // Neither sources nor tests nor other programs.
    const has = readdirSync(join(folder, 'packages'), { recursive: true, encoding: 'utf8' });
    const needless = /^(?!relay|web)\w|\.ts$|^\w+\/(?!bin|dist|package\.json)\w/;
    expect(has.filter((path) => needless.test(path))).toEqual([]);
    const [node, ...args] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(image!)![1]!) as string[];
    expect(node).toBe('node');
    const bin = join(folder, args.pop()!);
    const relay = startCommand(process.execPath, [...args, bin, 'serve', '--port', '0', '--data', home], {
      FIELDBOOK_HOME: home,
    });
    const [, url] = await relay.says(/running at (http:\/\/\S+)/);
    const [page, ready] = [await fetch(url!), await fetch(`${url}/readyz`)];
    expect([page.status, ready.status, (await page.text()).includes('<script')]).toEqual([200, 200, true]);
    expect((await relay.stop()).code).toBe(0);
  });

  it('[OPS-23] the build takes the sources and nothing that was built, installed or recorded', () => {
    const takes = ignoring(read('Dockerfile.dockerignore'));
    for (const path of ['.git/config', '.venv/bin/python', 'node_modules/yjs/package.json', 'bench/.venv/bin/python'])
      expect([path, takes(path)]).toEqual([path, false]);
    for (const path of [
      '.venv-torch/lib',
      'packages/web/node_modules/vite',
      'packages/core/dist/index.js',
      'tests/.output/x',
    ])
      expect([path, takes(path)]).toEqual([path, false]);
    // What npm and the build read: each of these is there, and comes along.
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { workspaces: string[] };
    const needed = [
      '.npmrc',
      'LICENSE',
      'package.json',
      'package-lock.json',
      'tsconfig.base.json',
      '.ci/build.mjs',
      ...TARGETS.flatMap(({ inputs }) => inputs),
      ...manifest.workspaces.map((workspace) => `${workspace}/package.json`),
      ...readdirSync(join(ROOT, '.ci/lib')).map((file) => `.ci/lib/${file}`),
      'packages/relay/bin/fieldbook-relay.mjs',
    ];
    for (const path of needed) expect([path, existsSync(join(ROOT, path)), takes(path)]).toEqual([path, true, true]);
    // Rolldown builds nothing when a tsconfig refers to one that is not there.
    for (const path of ['', ...manifest.workspaces].map((folder) => join(folder, 'tsconfig.json')).filter(takes)) {
      const text = readFileSync(join(ROOT, path), 'utf8');
      for (const [, to] of text.matchAll(/"path": "([^"]+)"/g))
        expect([path, to, takes(join(path, '..', to!, 'tsconfig.json'))]).toEqual([path, to, true]);
    }
    // All that is left of the root.
    expect(readdirSync(ROOT).filter(takes).toSorted()).toEqual(
      ['.ci', '.npmrc', 'LICENSE', 'package-lock.json', 'package.json', 'packages', 'tsconfig.base.json'].toSorted(),
    );
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
          read(file).replaceAll('/usr/bin/node', process.execPath).replaceAll('/opt/fieldbook', ROOT),
        );
      const units = readdirSync(folder).map((file) => join(folder, file));
      const said = spawnSync('systemd-analyze', ['verify', '--man=no', ...units], { encoding: 'utf8' });
      const ours = said.stderr.split('\n').filter((line) => line.includes('fieldbook'));
      expect([said.status, ours]).toEqual([0, []]);
    },
  );
});

/** Whether Docker takes a path of the context: the last line that is of it, or of a folder that it is in, decides. */
function ignoring(text: string): (path: string) => boolean {
  const rules = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const pattern = line.replace(/^!/, '').replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
      const parts = pattern.replaceAll('**/', '\0').replaceAll('*', '[^/]*').replaceAll('\0', '(?:.*/)?');
      return { takes: line.startsWith('!'), of: new RegExp(`^${parts}(?:/.*)?$`) };
    });
  return (path) => rules.findLast(({ of }) => of.test(path))?.takes ?? true;
}

/** Settings of the environment that a file sets. */
function variablesOf(text: string): Record<string, string> {
  const found = [...text.matchAll(/(FIELDBOOK_RELAY_[A-Z_]+)(?:=|: )("?)([^\n"]*?)\2(?= [A-Z]+_|\s*$)/gm)];
  return Object.fromEntries(found.map(([, name, , value]) => [name!, value!]));
}
