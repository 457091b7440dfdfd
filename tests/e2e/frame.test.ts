import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, Frame, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ask, startAgent } from '../fixtures/agent.ts';
import { Script } from '../fixtures/spool.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { ATTEMPTS_THAT_MAY, hostilePage, leavingPage, peerPage } from './hostile-page.ts';
import { installed, profile } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
}, 60_000);
afterAll(() => browser.close());

interface Ear {
  url: string;
  stun: string;
  heard: string[];
  /** Bare connections, before any request. */
  connections: () => number;
  /** Packets of peer connections. */
  packets: () => number;
}

/** Whoever listens outside. */
async function ear(pages: Readonly<Record<string, string>> = {}): Promise<Ear> {
  const heard: string[] = [];
  let connections = 0;
  let packets = 0;
  const server = createServer((request, response) => {
    heard.push(request.url!);
    response.setHeader('access-control-allow-origin', '*');
    const page = pages[request.url!];
    if (page !== undefined) response.setHeader('content-type', 'text/html');
    response.end(page);
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const udp = createSocket('udp4', () => (packets += 1));
  await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    udp.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stun: `stun:127.0.0.1:${udp.address().port}`,
    heard,
    connections: () => connections,
    packets: () => packets,
  };
}

/** A run with these pages, on an agent, or on a relay that an agent has sent it to. */
async function recorded(
  where: 'agent' | 'relay',
  pages: (app: string) => Readonly<Record<string, string>>,
): Promise<{ url: string; open: string }> {
  const relay = where === 'relay' ? await new Relay().up() : null;
  const machine = relay === null ? null : await new Machine('gpu', 'Ada').up();
  const home = machine?.home ?? emptyFolder('frame');
  const agent = machine === null ? await startAgent(home) : null;
  const url = relay?.url ?? agent!.url;
  const script = new Script(home, 'p', 'run-a');
  for (const [path, html] of Object.entries(pages(url)))
    script.upload(Buffer.from(html), { path, name: `${path}.html`, mime: 'text/html' });
  script.finish();
  if (relay === null) {
    await vi.waitFor(async () => {
      const files = (await ask(agent!, 'GET', '/runs/run-a/files')).json.files as { state: string }[];
      expect(files.length > 0 && files.every(({ state }) => state === 'here')).toBe(true);
    }, 30_000);
    return { url, open: url };
  }
  const token = await relay.token('member', 'Ada');
  await machine!.cli('join', relay.url, '--token', token);
  await vi.waitFor(async () => {
    const { body } = await relay.api<{ files: { state: string }[] }>(token, 'GET', '/runs/run-a/files');
    expect(body.files.length > 0 && body.files.every(({ state }) => state === 'here')).toBe(true);
  }, 30_000);
  return { url, open: `${url}/#token=${token}` };
}

/** Opens the file's preview and waits for the frame that shows it. */
async function frameOf(page: Page, url: string, file: string): Promise<Frame> {
  await page.goto(`${url}/r/run-a?tab=files&file=${file}`);
  return vi.waitFor(() => {
    const found = page.frames().find((each) => each.url().endsWith('/frame.html'));
    expect(found).toBeDefined();
    return found!;
  }, 20_000);
}

type Outcome = Record<string, string>;
declare const outcome: Outcome | undefined;

describe.each(['agent', 'relay'] as const)('a page that a run recorded, shown by the %s', (where) => {
  it('[PRE-1] runs its scripts, and reaches no server, no storage, no other page and nothing of the app', async () => {
    const outside = await ear();
    const html = (app: string): string => hostilePage({ told: outside.url, app, stun: outside.stun });
    const { url, open } = await recorded(where, (app) => ({ page: html(app) }));
    const context = await profile(browser);
    const page = await context.newPage();
    await page.goto(open);
    await page.getByRole('link', { name: 'p', exact: true }).first().waitFor();
    const answered: string[] = [];
    context.on('response', (response) => answered.push(response.url()));
    const frame = await frameOf(page, url, 'page');
    await frame.waitForFunction(() => outcome?.['done'] !== undefined, undefined, { timeout: 30_000 });
    const did = await frame.evaluate(() => outcome!);
    expect(did).toMatchObject({ runs: 'did: 42', eval: 'did: 42', origin: 'did: null' });
    const succeeded = Object.keys(did).filter((name) => did[name]!.startsWith('did'));
    expect(succeeded.filter((name) => !ATTEMPTS_THAT_MAY.includes(name))).toEqual([]);
    expect(outside.heard).toEqual([]);
    expect(outside.connections()).toBe(0);
    expect(outside.packets()).toBe(0);
    expect(answered.filter((address) => !address.startsWith(url) && !/^(blob|data):/.test(address))).toEqual([]);
    expect(context.pages()).toEqual([page]);
    expect(page.url()).toContain('/r/run-a?tab=files&file=page');
    expect(await page.title()).not.toContain('hostile');
    // The same page, served by nobody's policy, is heard: what is silent above could speak.
    const loud = await ear();
    const bare = await ear({
      '/page': hostilePage({ told: loud.url, app: url, stun: loud.stun }),
      '/peer': peerPage(loud.stun),
    });
    const control = await context.newPage();
    await control.goto(`${bare.url}/page`, { waitUntil: 'commit' });
    await vi.waitFor(() => {
      for (const name of ['stylesheet', 'script', 'image', 'fetch', 'xhr', 'beacon', 'socket'])
        expect(loud.heard, name).toContain(`/${name}`);
    }, 20_000);
    const peer = await context.newPage();
    await peer.goto(`${bare.url}/peer`);
    await vi.waitFor(() => expect(loud.packets()).toBeGreaterThan(0), 20_000);
  }, 120_000);

  it('[PRE-2] stays where it is: no script, link, form or refresh of it leads the frame to another address', async () => {
    const outside = await ear();
    const ways = ['location', 'replace', 'refresh', 'link', 'form', 'open', 'script', 'app', 'data'] as const;
    const { url, open } = await recorded(where, (app) =>
      Object.fromEntries(ways.map((way) => [way, leavingPage(way, { told: outside.url, app })])),
    );
    const context = await profile(browser);
    const page = await context.newPage();
    await page.goto(open);
    await page.getByRole('link', { name: 'p', exact: true }).first().waitFor();
    const said: string[] = [];
    page.on('console', (message) => said.push(message.text()));
    for (const way of ways) {
      said.length = 0;
      await page.goto(`${url}/r/run-a?tab=files&file=${way}`);
      await vi.waitFor(() => expect(said.join('\n'), way).toMatch(/violates|not allowed|sandboxed|blocked/i), 20_000);
      // Whatever the browser put into the frame instead, it came from nobody.
      for (const frame of page.frames()) {
        const address = frame.url();
        expect(
          address === page.url() || /^(|about:blank|chrome-error:.*|.*\/frame\.html)$/.test(address),
          `${way}: ${address}`,
        ).toBe(true);
      }
      expect(page.url()).toContain(`file=${way}`);
    }
    expect(outside.heard).toEqual([]);
    expect(outside.connections()).toBe(0);
    expect(context.pages()).toEqual([page]);
  }, 120_000);
});

it('[PRE-3] a page of a run opens with every server stopped, in the same frame with the same policy', async () => {
  const outside = await ear();
  const home = emptyFolder('frame');
  const agent = await startAgent(home);
  const script = new Script(home, 'p', 'run-a');
  script.upload(
    Buffer.from(`<!doctype html><p id=p></p><script>p.textContent = 'drawn ' + self.origin;
    fetch('${outside.url}/x').catch(() => (document.title = 'refused'));</script>`),
    { path: 'page', name: 'page.html', mime: 'text/html' },
  );
  script.finish();
  await vi.waitFor(async () => {
    const files = (await ask(agent, 'GET', '/runs/run-a/files')).json.files as { state: string }[];
    expect(files.map(({ state }) => state)).toEqual(['here']);
  }, 30_000);
  const context: BrowserContext = await profile(browser);
  const page = await context.newPage();
  await page.goto(agent.url);
  await installed(page);
  const before = await frameOf(page, agent.url, 'page');
  await before.getByText('drawn null').waitFor();
  await agent.program.stop();
  const frame = await frameOf(page, agent.url, 'page');
  await frame.getByText('drawn null').waitFor();
  await frame.waitForFunction(() => document.title === 'refused');
  expect(outside.heard).toEqual([]);
}, 90_000);
