import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import type { Filling } from '../tests/e2e/fill.ts';
import { launchProfile } from '../tests/scaffold/browser.ts';
import { ROOT } from './harness.ts';
import { fillHome } from './web-fill.ts';

export interface BenchAgent extends AsyncDisposable {
  readonly url: string;
  readonly home: string;
  readonly token: string;
}

/** A real agent with a home of its own, gone with it, and made-up runs in that. */
export async function benchAgent(fillings: readonly Filling[] = []): Promise<BenchAgent> {
  const home = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  if (fillings.length > 0) await fillHome(home, fillings);
  const process_ = spawn(
    process.execPath,
    [join(ROOT, 'packages/node-agent/bin/fieldbook.mjs'), 'up', '--foreground', '--port', String(await freePort())],
    { env: { ...process.env, FIELDBOOK_HOME: home, FIELDBOOK_USER: 'bench' }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const url = await says(process_.stdout);
  return {
    url,
    home,
    token: readFileSync(join(home, 'agent.token'), 'utf8').trim(),
    [Symbol.asyncDispose]: async () => {
      process_.kill('SIGKILL');
      await new Promise((resolve) => process_.once('close', resolve));
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export interface BenchBrowser extends AsyncDisposable {
  readonly context: BrowserContext;
}

/** A browser with a profile on disk, of somebody who has seen the first steps; gone with it. */
export async function benchBrowser(args: readonly string[] = []): Promise<BenchBrowser> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-profile-'));
  const context = await launchProfile(folder, args);
  await context.addInitScript(() => localStorage.setItem('fieldbook/tour', 'true'));
  return {
    context,
    [Symbol.asyncDispose]: async () => {
      await context.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const WAIT_MS = 300_000;

/** Waits until the browser has stored a project's table, and every file of the page. */
export async function isStored(page: Page, project: string): Promise<void> {
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  for (const until = Date.now() + WAIT_MS; !(await page.evaluate(hasHead, project));) {
    if (Date.now() > until) throw new Error(`The table of ${project} was not stored.`);
    await page.waitForTimeout(100);
  }
}

/** In the page: whether its worker has stored a project's table. */
async function hasHead(project: string): Promise<boolean> {
  if (!(await indexedDB.databases()).some(({ name }) => name === 'fieldbook/tables')) return false;
  const asked = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('a read failed'));
    });
  const db = await asked(indexedDB.open('fieldbook/tables'));
  try {
    return (await asked(db.transaction('heads').objectStore('heads').getKey(project))) !== undefined;
  } finally {
    db.close();
  }
}

/** The agent's address, once it says it. Its output is read on: nobody likes to write to a closed pipe. */
function says(stream: NodeJS.ReadableStream): Promise<string> {
  let output = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      output += String(chunk);
      const url = /running at (http:\S+)/.exec(output)?.[1];
      if (url !== undefined) resolve(url);
    });
    stream.on('end', () => reject(new Error(`The agent did not start:\n${output}`)));
  });
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
