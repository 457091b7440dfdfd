import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, startAgent } from '../fixtures/agent.ts';
import { Script } from '../fixtures/spool.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { profile } from './visit.ts';

let browser: Browser;
let agent: Agent;
beforeAll(async () => {
  browser = await launchChromium();
}, 60_000);
afterAll(() => browser.close());

const PAGE = (told: string): string => `<!doctype html><title>quiet</title><script>
document.title = 'it ran';
const tell = (what) => fetch('${told}/' + encodeURIComponent(what), { mode: 'no-cors' });
tell('ran');
fetch('/api/v1/projects').then((answer) => answer.text()).then((text) => tell('read ' + text));
</script><img src="${told}/image">`;

/** What a page that runs would tell: everything that this server is asked for. */
async function ear(): Promise<{ url: string; heard: string[] }> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(decodeURIComponent(request.url!));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

/** Opens an address and waits for what the browser makes of it. */
async function open(page: Page, url: string): Promise<'shown' | { saved: string; as: string }> {
  const saving = page.waitForEvent('download', { timeout: 10_000 }).catch(() => undefined);
  const shown = await page.goto(url).then(
    () => true,
    () => false,
  );
  if (shown) return 'shown';
  const download = await saving;
  if (download === undefined) throw new Error('it was neither shown nor saved');
  return { saved: readFileSync(await download.path(), 'utf8'), as: download.suggestedFilename() };
}

it('[API-28] an uploaded page is saved by a browser and runs nowhere, also as a frame, an object or the other names of its bytes', async () => {
  const { url: told, heard } = await ear();
  const home = emptyFolder('page');
  const script = new Script(home, 'p', 'run-a');
  const bytes = Buffer.from(PAGE(told));
  const name = 'r\u00e9sum\u00e9 "1"; a/b.html';
  script.upload(bytes, { path: 'page', name, mime: 'text/html' });
  script.upload(Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${PAGE(told)}</svg>`), {
    path: 'picture',
    name: 'p.svg',
    mime: 'image/svg+xml',
  });
  script.finish();
  agent = await startAgent(home);
  await vi.waitFor(async () => {
    const files = (await ask(agent, 'GET', '/runs/run-a/files')).json.files as { state: string }[];
    expect(files.map(({ state }) => state)).toEqual(['here', 'here']);
  });
  const context = await profile(browser);
  const page = await context.newPage();
  // The page of ours itself may ask without more: what runs here is one of us.
  await page.goto(agent.url);
  expect(await page.evaluate(async () => (await fetch('/api/v1/projects')).status)).toBe(200);
  const at = (path: string): string => `${agent.url}/api/v1/runs/run-a/file?path=${path}`;
  const digest = createHash('sha256').update(bytes).digest('hex');
  expect(await open(page, at('page'))).toEqual({ saved: String(bytes), as: 'r\u00e9sum\u00e9 _1_; a_b.html' });
  expect(await open(page, at('picture'))).toMatchObject({ as: 'p.svg' });
  await open(page, `${agent.url}/api/v1/blobs/${digest}`);
  await page.goto(agent.url);
  // Frames and objects of such pages are against our policy.
  for (const [tag, attribute, directive] of [
    ['iframe', 'src', 'frame-src'],
    ['embed', 'src', 'object-src'],
    ['object', 'data', 'object-src'],
  ] as const) {
    const violated = await page.evaluate(
      ([name, key, source]) =>
        new Promise<string>((resolve) => {
          document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), {
            once: true,
          });
          const made = document.createElement(name!);
          made.setAttribute(key!, source!);
          document.body.append(made);
        }),
      [tag, attribute, at('page')],
    );
    expect(violated).toBe(directive);
  }
  // From another origin, where none of our policies holds: whatever comes of it, it is no script.
  const foreign = await context.newPage();
  await foreign.goto(`${told}/foreign`);
  const loaded = await foreign.evaluate(
    (source) =>
      new Promise<string>((resolve) => {
        const code = document.createElement('script');
        code.src = source;
        code.onload = code.onerror = (event): void => resolve((event as Event).type);
        document.body.append(code);
      }),
    at('page'),
  );
  expect(loaded).toBe('error');
  for (const one of context.pages()) expect(await one.title()).not.toBe('it ran');
  expect(heard.filter((what) => !['/foreign', '/favicon.ico'].includes(what))).toEqual([]);
}, 60_000);
