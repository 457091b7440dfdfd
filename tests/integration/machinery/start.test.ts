import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../../../.ci/lib/paths.mjs';

/** A checkout in miniature: the machinery itself, nothing to install or build, and an agent that says what it sees. */
let checkout: string;
let home: string;

const AGENT = `
console.log(JSON.stringify({ argv: process.argv.slice(2), pid: process.pid, cwd: process.cwd() }));
if (process.argv.includes('--stay')) {
  process.on('SIGTERM', () => { console.log('closed'); process.exit(7); });
  setInterval(() => {}, 1000);
}`;

beforeEach(() => {
  checkout = realpathSync(mkdtempSync(join(tmpdir(), 'fieldbook-start-')));
  home = mkdtempSync(join(tmpdir(), 'fieldbook-home-'));
  cpSync(join(ROOT, '.ci'), join(checkout, '.ci'), { recursive: true });
  write('package.json', JSON.stringify({ private: true, type: 'module', scripts: { start: 'node .ci/start.mjs' } }));
  write('package-lock.json', JSON.stringify({ lockfileVersion: 3, packages: {} }));
  write('node_modules/.package-lock.json', JSON.stringify({ lockfileVersion: 3, packages: {} }));
  write('packages/node-agent/bin/fieldbook.mjs', AGENT);
});

afterEach(() => {
  rmSync(checkout, { recursive: true, force: true });
  rmSync(home, { recursive: true, force: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(checkout, path)), { recursive: true });
  writeFileSync(join(checkout, path), text);
}

/** Nothing but a path and an empty home, and a registry that nobody listens on: whoever asks the network fails. */
const env = () => ({
  PATH: process.env['PATH'],
  HOME: home,
  npm_config_registry: 'http://127.0.0.1:9/',
  npm_config_fetch_retries: '0',
});
const options = () => ({ cwd: home, env: env(), encoding: 'utf8', timeout: 60_000 }) as const;

const start = (...args: string[]) => spawnSync(process.execPath, [join(checkout, '.ci/start.mjs'), ...args], options());

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('npm start', () => {
  it('becomes the agent, with the arguments given, from anywhere and without a network', () => {
    const { stdout, stderr, status } = start('--port', '0');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(JSON.parse(stdout)).toMatchObject({ argv: ['up', '--foreground', '--port', '0'] });
  });

  it('works through npm from another folder', () => {
    const { stdout } = spawnSync('npm', ['--silent', '--prefix', checkout, 'start', '--', '--port', '0'], options());
    expect(JSON.parse(stdout)).toMatchObject({ argv: ['up', '--foreground', '--port', '0'], cwd: checkout });
  });

  it('is one process, which gets the signals', async () => {
    const child = spawn(process.execPath, [join(checkout, '.ci/start.mjs'), '--stay'], { cwd: home, env: env() });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await expect.poll(() => output, { timeout: 10_000 }).toContain('\n');
    expect(JSON.parse(output)).toHaveProperty('pid', child.pid);
    child.kill('SIGTERM');
    const [code] = (await once(child, 'close')) as [number];
    expect({ code, output }).toMatchObject({ code: 7, output: expect.stringContaining('closed') as string });
  });

  it('ends when npm is told to, though npm tells only its shell', async () => {
    const child = spawn('npm', ['--silent', '--prefix', checkout, 'start', '--', '--stay'], { cwd: home, env: env() });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await expect.poll(() => output, { timeout: 10_000 }).toContain('\n');
    const { pid } = JSON.parse(output) as { pid: number };
    child.kill('SIGTERM');
    await expect.poll(() => output, { timeout: 5000 }).toContain('closed');
    await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
  });

  it('says what failed when packages are missing and cannot be installed', () => {
    const dependencies = { x: '1.0.0' };
    write('package.json', JSON.stringify({ private: true, dependencies }));
    const packages = { '': { dependencies }, 'node_modules/x': { version: '1.0.0' } };
    write('package-lock.json', JSON.stringify({ lockfileVersion: 3, packages }));
    const { stdout, stderr, status } = start();
    expect(stdout).toContain('installing packages (npm ci)');
    expect(stderr).toContain('npm ci failed');
    expect(status).toBe(1);
  });

  it('says so when there is no agent', () => {
    rmSync(join(checkout, 'packages'), { recursive: true });
    expect(start()).toMatchObject({ status: 1, stderr: expect.stringContaining('There is no agent') as string });
  });

  it('does not start what could not be built, and says what the compiler said', () => {
    write('packages/core/src/index.ts', 'export const x: string = 1;');
    write('node_modules/typescript/bin/tsc', `console.log('error TS2322'); process.exit(1);`);
    const { stdout, stderr, status } = start();
    expect(stderr).toContain('error TS2322');
    expect(stderr).toContain('could not be built: core');
    expect(stdout).not.toContain('argv');
    expect(status).toBe(1);
  });

  it('builds what is stale once, and nothing at the second start', () => {
    write('packages/core/src/index.ts', 'export const x = 1;');
    write('node_modules/typescript/bin/tsc', `console.log('compiled'); process.exit(0);`);
    expect(start().stdout).toContain('building core');
    write('node_modules/typescript/bin/tsc', 'process.exit(1);');
    const second = start();
    expect(second.status).toBe(0);
    expect(second.stdout).not.toContain('building');
    write('packages/core/src/index.ts', 'export const x = 2;');
    expect(start().stderr).toContain('could not be built: core');
  });

  it('is not held up by a build that was killed', async () => {
    const killed = spawn(process.execPath, ['-e', '']);
    await once(killed, 'close');
    write('node_modules/.cache/fieldbook/build.lock/pid', String(killed.pid));
    write('packages/core/src/index.ts', 'export const x = 1;');
    write('node_modules/typescript/bin/tsc', '');
    expect(start()).toMatchObject({ status: 0, stdout: expect.stringContaining('building core') as string });
  });
});
