import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import type { Program } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { spawn } from 'node:child_process';
import { ROOT } from '../../.ci/lib/paths.mjs';

interface Block {
  language: string;
  /** Where it is typed, or the file's name. */
  places: string[];
  text: string;
}

const PAGE = readFileSync(join(ROOT, 'docs/walkthrough.md'), 'utf8');

function blocks(): Block[] {
  return [...PAGE.matchAll(/^```(\w+) ([^\n]+)\n(.*?)^```$/gms)].map(([, language, places, text]) => ({
    language: language!,
    places: places!.split(' '),
    text: text!,
  }));
}

/** One host of the page: a folder of its own, and the two programs on its path. */
class Host {
  readonly name: string;
  readonly folder: string;
  readonly env: Record<string, string> & { FIELDBOOK_HOME: string };

  constructor(name: string) {
    this.name = name;
    this.folder = emptyFolder(name);
    const bin = emptyFolder('bin');
    const { command, env } = pythonForTests();
    const programs: [string, string][] = [
      ['fieldbook', `exec "${process.execPath}" "${join(ROOT, 'packages/node-agent/bin/fieldbook.mjs')}" "$@"`],
      ['fieldbook-relay', `exec "${process.execPath}" "${join(ROOT, 'packages/relay/bin/fieldbook-relay.mjs')}" "$@"`],
      ['python', `exec "${command}" "$@"`],
      ['hostname', `echo ${name}`],
    ];
    for (const [program, line] of programs) {
      writeFileSync(join(bin, program), `#!/bin/sh\n${line}\n`);
      chmodSync(join(bin, program), 0o755);
    }
    const home = join(this.folder, '.fieldbook');
    this.env = {
      ...env,
      FIELDBOOK_HOME: home,
      FIELDBOOK_HOST: name,
      FIELDBOOK_USER: name,
      HOME: this.folder,
      PATH: `${bin}:${process.env['PATH']}`,
    };
  }

  /** Types lines into a shell, as the page has them. */
  type(text: string): Promise<{ code: number | null; said: string }> {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FIELDBOOK_'));
    const shell = spawn('sh', ['-e', '-c', text], {
      cwd: this.folder,
      env: { ...Object.fromEntries(inherited), ...this.env },
    });
    let said = '';
    for (const stream of [shell.stdout, shell.stderr])
      stream.setEncoding('utf8').on('data', (more: string) => (said += more));
    shell.stdin.end();
    return new Promise((resolve, reject) => {
      shell.on('error', reject);
      shell.on('close', (code) => resolve({ code, said }));
    });
  }
}

it('[TOP-8] the walk-through does what its page says, typed as it stands there', { timeout: 240_000 }, async () => {
  const hosts = new Map(['relay', 'gpu-1', 'gpu-2', 'laptop'].map((name) => [name, new Host(name)]));
  const data = join(hosts.get('relay')!.folder, 'data');
  onTestFinished(async () => {
    for (const [name, host] of hosts) if (name !== 'relay') await host.type('fieldbook down');
  });
  let relay: Program | undefined;
  let url = '';
  const links = new Map<string, string>();
  const said = new Map<string, string>();
  // Names and ports of the page are those of a network that a test does not have.
  const here = (text: string): string =>
    text
      .replaceAll('/var/lib/fieldbook-relay', data)
      .replaceAll('http://relay:4280', url)
      .replaceAll('--host 0.0.0.0 --port 4280', '--port 0');
  for (const { language, places, text } of blocks()) {
    if (language === 'python') {
      for (const host of hosts.values()) writeFileSync(join(host.folder, places[0]!), text);
      continue;
    }
    expect(language).toBe('sh');
    if (places.includes('serve')) {
      const host = hosts.get('relay')!;
      relay = startCommand('sh', ['-c', `exec ${here(text).trim()}`], { ...host.env });
      url = (await relay.says(/running at (http:\/\/\S+)/))[1]!;
      continue;
    }
    const typed = await Promise.all(
      places.map((place) => hosts.get(place)!.type(here(text).replaceAll('<link>', links.get(place) ?? ''))),
    );
    for (const [index, { code, said: answer }] of typed.entries()) {
      const place = places[index]!;
      expect([place, text, code, code === 0 ? '' : answer]).toEqual([place, text, 0, '']);
      said.set(place, (said.get(place) ?? '') + answer);
      // What a person would write down: the links, in the order of the page.
      const names = [...text.matchAll(/invite --name (\S+)/g)].map(([, name]) => name!);
      const made = [...answer.matchAll(/^http\S+#invite=\S+$/gm)].map(([link]) => link);
      names.forEach((name, at) => links.set(name, made[at]!));
      if (text.includes('stick.fieldbook') && place === 'gpu-2')
        copyFileSync(
          join(hosts.get(place)!.folder, 'stick.fieldbook'),
          join(hosts.get('laptop')!.folder, 'stick.fieldbook'),
        );
    }
  }
  expect([...links.keys()]).toEqual(['gpu-1', 'gpu-2', 'laptop', 'reviewer']);
  const laptop = said.get('laptop')!;
  for (const name of ['gpu-1', 'gpu-2']) expect(laptop).toContain(name);
  // What the stick brings is known but for the points, which a laptop fetches when somebody looks at them.
  expect(laptop).toMatch(/stick\.fieldbook from gpu-2 on gpu-2: 0 documents with something new, 0 new records/);
  expect(laptop).toContain('Signed by gpu-2 (');
  expect(laptop).toContain('everything is exchanged');
  // A browser with the reviewer's link: the page comes without the secret, and what it then asks for with the token that it became.
  const page = await fetch(url);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')]);
  const secret = links.get('reviewer')!.split('#invite=')[1]!;
  const redeemed = await fetch(`${url}/api/v1/invitations/redeem`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ secret, device: 'a browser' }),
  });
  const { token } = (await redeemed.json()) as { token: string };
  const answer = await fetch(`${url}/api/v1/projects/walkthrough/runs`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { runs } = (await answer.json()) as {
    runs: { name: string; tags: string[]; metrics: Record<string, { count: number }> }[];
  };
  expect(
    runs
      .map(({ name, tags, metrics }) => [name, tags, metrics['loss']?.count])
      .toSorted((a, b) => (String(a) < String(b) ? -1 : 1)),
  ).toEqual([
    ['gpu-1', ['baseline'], 100],
    ['gpu-2', [], 100],
  ]);
  expect(relay!.output()).not.toContain(token);
});
