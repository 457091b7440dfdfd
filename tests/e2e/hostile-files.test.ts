import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { ask, startAgent } from '../fixtures/agent.ts';
import { Script } from '../fixtures/spool.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { profile, says } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
}, 60_000);
afterAll(() => browser.close());

const shown = (page: Page, path: string) => page.getByRole('region', { name: `Preview of ${path}` });

/** Packaged as plotly is: its script in `package_data`, and a figure that writes the page which loads it. */
const PLOTLY = `
class Figure:
    def to_json(self): return '{"data":[],"layout":{}}'
    def to_plotly_json(self): return {}
    def to_html(self, include_plotlyjs="cdn", full_html=True):
        return ('<html><head><meta charset="utf-8" /></head><body><div><script charset="utf-8" src="%s"></script>'
                '<div id="chart"></div><script>if (document.getElementById("chart")) { Plotly.newPlot("chart") }</script></div></body></html>' % include_plotlyjs)
`;
const LIBRARY =
  "/**\n* plotly.js v9.8.7\n* $& $' $1 */\nwindow.Plotly = { newPlot: (id) => { document.getElementById(id).textContent = 'drawn by ' + self.origin; } };\n";
const TRAIN = `
import fieldbook, plotly
run = fieldbook.init("shelf", run_id="drawn", name="drawn", capture=False)
run["chart"].append(fieldbook.Figure(plotly.Figure()), step=1)
run.finish()
`;

it('[PRE-24] a page draws with the library that its run has kept, without asking anybody', async () => {
  const home = emptyFolder('drawn');
  const folder = emptyFolder('packages');
  mkdirSync(join(folder, 'plotly', 'package_data'), { recursive: true });
  writeFileSync(join(folder, 'plotly', '__init__.py'), PLOTLY);
  writeFileSync(join(folder, 'plotly', 'package_data', 'plotly.min.js'), LIBRARY);
  writeFileSync(join(folder, 'train.py'), TRAIN);
  const { command, env } = pythonForTests();
  const program = startCommand(command, [join(folder, 'train.py')], {
    ...env,
    PYTHONPATH: `${folder}:${env['PYTHONPATH'] ?? ''}`,
    FIELDBOOK_HOME: home,
  });
  expect((await program.ended).code, program.output()).toBe(0);
  const agent = await startAgent(home);
  await vi.waitFor(async () => {
    const files = (await ask(agent, 'GET', '/runs/drawn/files')).json.files as { path: string; state: string }[];
    expect(files.map(({ path, state }) => [path, state])).toEqual([['libraries/plotly-9.8.7.min.js', 'here']]);
  }, 30_000);
  const context = await profile(browser);
  const asked: string[] = [];
  context.on('request', (request) => asked.push(request.url()));
  const page = await context.newPage();
  await page.goto(`${agent.url}/r/drawn?tab=media`);
  await page.frameLocator('iframe[title^="Page"]').getByText('drawn by null').waitFor();
  expect(asked.filter((url) => !url.startsWith(agent.url) && !/^(blob|data):/.test(url))).toEqual([]);
  await context.close();
}, 90_000);

const DRAWING = `<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><script>document.title = 'it ran'; fetch('/api/v1/projects')</script><rect width="20" height="20" fill="red" onload="document.title = 'it ran'"/></svg>`;
const level = (at: number): string =>
  at === 0 ? '<rect id="u0" width="1" height="1"/>' : `<g id="u${at}">${`<use href="#u${at - 1}"/>`.repeat(12)}</g>`;
const BOMB = `<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">${Array.from({ length: 12 }, (_, at) => level(at)).join('')}</svg>`;

it('[PRE-25] [PRE-21] [PRE-20] [PRE-22] files that were made to harm are words or still pictures, and no address of them is a page', async () => {
  const home = emptyFolder('hostile');
  const script = new Script(home, 'p', 'bad');
  const html = `<!doctype html><title>page</title><script>document.title = 'it ran'; fetch('http://127.0.0.1:9/x')</script>`;
  const claim = Buffer.alloc(64);
  claim.write('\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR', 'latin1');
  claim.writeUInt32BE(60_000, 16);
  claim.writeUInt32BE(60_000, 20);
  const put = (path: string, body: string | Buffer, mime?: string): unknown =>
    script.upload(Buffer.from(body), { path, ...(mime === undefined ? {} : { mime }) });
  put('drawing.svg', DRAWING, 'image/svg+xml');
  put('bomb.svg', BOMB, 'image/svg+xml');
  put('page.html', html, 'text/html');
  put('sniffed.txt', html, 'text/html');
  put('claim.png', claim, 'image/png');
  put('deep.json', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'application/json');
  put('../../up/invoice\u202Efdp.exe', 'MZ');
  put('<img src=x onerror="document.title=1">.txt', 'text');
  put(
    'notes.md',
    `![a](javascript:alert(1)) <svg onload="document.title='it ran'">[x](javascript:document.title='it%20ran')<iframe srcdoc="x"></iframe>`,
  );
  script.finish();
  const agent = await startAgent(home);
  await vi.waitFor(async () => {
    const files = (await ask(agent, 'GET', '/runs/bad/files')).json.files as { state: string }[];
    expect(files.length === 9 && files.every(({ state }) => state === 'here')).toBe(true);
  }, 30_000);
  const context = await profile(browser);
  const asked: string[] = [];
  const page = await context.newPage();
  const open = (path: string): Promise<unknown> =>
    page.goto(`${agent.url}/r/bad?tab=files&file=${encodeURIComponent(path)}`);

  await open('drawing.svg');
  const image = shown(page, 'drawing.svg').locator('img.shown');
  await image.waitFor();
  const address = (await image.getAttribute('src'))!;
  expect(address).toMatch(/^data:image\/svg\+xml,/);
  // As "Open image in new tab" does: a document, and nobody's.
  const tab = await context.newPage();
  tab.on('request', (request) => asked.push(request.url()));
  await tab.goto(address);
  expect(await tab.evaluate(() => self.origin)).toBe('null');
  await tab.close();
  await open('bomb.svg');
  await says(shown(page, 'bomb.svg'), 'stands for more elements than a browser draws');
  await open('claim.png');
  await says(shown(page, 'claim.png'), 'It claims 60,000 × 60,000 pixels');
  await open('deep.json');
  await shown(page, 'deep.json').getByRole('tree').waitFor();
  await shown(page, 'deep.json').getByRole('button', { name: 'Source' }).click();
  await shown(page, 'deep.json').locator('.cm-content').waitFor();
  await open('notes.md');
  await shown(page, 'notes.md').locator('.markdown').first().waitFor();
  expect(await shown(page, 'notes.md').locator('iframe, svg, a[href^=javascript]').count()).toBe(0);
  await open('../../up/invoice\u202Efdp.exe');
  await says(shown(page, '../../up/invoice⟨U+202E⟩fdp.exe'), 'MZ');
  await page.getByRole('treegrid', { name: 'Files' }).getByText('<img src=x onerror=').waitFor();
  const all = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download', exact: true }).click();
  expect((await all).suggestedFilename()).toBe('invoice_fdp.exe');
  expect(await page.title()).not.toMatch(/ran|^1$/);

  // The bytes under their own addresses: saved, whatever they say they are, and never a page.
  for (const path of ['page.html', 'sniffed.txt', 'drawing.svg']) {
    const alone = await context.newPage();
    alone.on('request', (request) => asked.push(request.url()));
    const saved = alone.waitForEvent('download');
    await alone.goto(`${agent.url}/api/v1/runs/bad/file?path=${path}`).catch(() => null);
    await saved;
    expect(await alone.title(), path).toBe('');
    await alone.close();
  }
  const [file] = (await ask(agent, 'GET', '/runs/bad/files')).json.files as { digest: string }[];
  const blob = await context.newPage();
  const saved = blob.waitForEvent('download');
  await blob.goto(`${agent.url}/api/v1/blobs/${file!.digest}`).catch(() => null);
  await saved;
  expect(asked.filter((url) => url.includes(':9/') || url.endsWith('/projects'))).toEqual([]);
  await context.close();
}, 120_000);
