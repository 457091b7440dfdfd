import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import type { Agent } from '../fixtures/agent.ts';
import { ask, startAgent } from '../fixtures/agent.ts';
import { faultProxy } from '../fixtures/fault-proxy.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function examples(): Promise<{ agent: Agent; home: string; port: number; url: string }> {
  const home = emptyFolder('offline');
  const port = await freePort();
  const agent = await agentAt(home, port);
  await ask(agent, 'POST', '/demo', {});
  return { agent, home, port, url: agent.url };
}

/** Two tabs of one browser that show the examples, kept in it, and whose agent is gone. */
async function twoTabs(agent: Agent): Promise<readonly [left: Page, right: Page]> {
  const context = await profile(browser);
  const left = await visit(context, `${agent.url}/p/digits`);
  await rowOf(left, 'too fast').waitFor();
  await saved(left);
  await installed(left);
  const right = await visit(context, `${agent.url}/p/digits`);
  await rowOf(right, 'too fast').waitFor();
  await saved(right);
  await agent.program.stop();
  await says(syncMark(left), 'Offline');
  return [left, right];
}

async function tag(page: Page, run: string, word: string): Promise<void> {
  await rowOf(page, run).click();
  await page.keyboard.press('t');
  await page.getByRole('textbox', { name: 'Find or make a tag' }).fill(word);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Apply' }).click();
  await rowOf(page, run).getByRole('button', { name: word }).waitFor();
}

async function until<T>(look: () => Promise<T>, fits: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const value = await look();
    if (fits(value)) return value;
    if (Date.now() > deadline) throw new Error(`It stayed ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Waits until the browser refuses to store more: it goes by an older measure of the room for half a minute. */
async function untilFull(page: Page): Promise<void> {
  const write = () =>
    page.evaluate(
      () =>
        new Promise<string | undefined>((resolve) => {
          const opening = indexedDB.open('probe');
          opening.onupgradeneeded = () => opening.result.createObjectStore('bytes', { autoIncrement: true });
          opening.onerror = () => resolve(opening.error?.name);
          opening.onsuccess = () => {
            const db = opening.result;
            const transaction = db.transaction('bytes', 'readwrite');
            transaction.objectStore('bytes').add(new Uint8Array(1_000));
            transaction.oncomplete = transaction.onabort = () => {
              db.close();
              resolve(transaction.error?.name);
            };
          };
        }),
    );
  await expect.poll(write, { timeout: 60_000, interval: 500 }).toBe('QuotaExceededError');
}

describe('with every server stopped', () => {
  it('[PWA-1] every page opens by its address and takes edits', async () => {
    const { agent, home, port, url } = await examples();
    const { runs } = (await ask(agent, 'GET', '/projects/digits/runs?limit=2')).json;
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'too fast').waitFor();
    await saved(page);
    await installed(page);
    await agent.program.stop();
    await says(syncMark(page), 'Offline');
    const pages: readonly (readonly [string, string | RegExp])[] = [
      ['/', 'digits'],
      ['/p/digits', 'too fast'],
      [`/p/digits/compare?runs=${runs.map(({ id }: { id: string }) => id).join(',')}`, runs[0].name],
      [`/r/${runs[0].id}`, runs[0].name],
      ['/sync', 'The agent does not answer'],
      ['/settings', 'Storage of this browser'],
      ['/nothing/here', 'There is nothing at this address'],
    ];
    for (const [path, text] of pages) {
      await page.goto(`${url}${path}`);
      await page.getByText(text).first().waitFor();
      await says(syncMark(page), /Offline/);
    }
    await page.goto(`${url}/p/digits`);
    await tag(page, 'too fast', 'on a plane');
    await says(syncMark(page), /Offline.*1 edit not yet/);
    const again = await agentAt(home, port);
    await saved(page);
    expect((await ask(again, 'GET', '/runs/too%20fast')).json.tags).toContain('on a plane');
  });

  it('[PWA-3] a browser that was away for a month merges with what machines did meanwhile', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'Ada');
    const home = emptyFolder('month');
    const before = await startAgent(home);
    await ask(before, 'POST', '/demo', {});
    await ask(before, 'POST', '/join', { url: relay.url, token });
    await until(
      () => ask(before, 'GET', '/sync'),
      ({ json }) => json.settled,
    );
    await before.program.stop();
    const road = await faultProxy(relay.url);
    const page = await visit(await profile(browser), `${road.url}/settings#token=${token}`);
    await page.getByLabel(/Your name/).fill('Ada');
    const keep = page.getByRole('region', { name: 'Who is writing' }).getByRole('button', { name: 'Keep' });
    await keep.click();
    // It is kept when the page says so, and not before.
    await expect.poll(() => keep.isDisabled()).toBe(true);
    await page.goto(`${road.url}/p/digits`);
    await rowOf(page, 'no packages').waitFor();
    await saved(page);
    await installed(page);
    road.refuse(true);
    road.cut();
    await says(syncMark(page), 'Offline');
    await tag(page, 'too fast', 'from the browser');
    await rowOf(page, 'no packages').click();
    await page.keyboard.press('F2');
    await page.getByRole('textbox', { name: 'Name of no packages' }).fill('named on the road');
    await page.keyboard.press('Enter');
    await rowOf(page, 'named on the road').waitFor();

    // A month later for the machine: every clock reading of its programs is 32 days ahead.
    const shift = join(emptyFolder('clock'), 'shift.mjs');
    writeFileSync(shift, 'const now = Date.now.bind(Date);\nDate.now = () => now() + 32 * 86_400_000;\n');
    const later = { NODE_OPTIONS: `--import ${pathToFileURL(shift).href}` };
    const after = await startAgent(home, { env: later });
    const name = (id: string, body: object) => ask(after, 'POST', `/runs/${encodeURIComponent(id)}/edits`, [body]);
    expect((await name('no packages', { field: 'name', op: 'set', value: 'named at home' })).status).toBe(200);
    expect((await name('too fast', { field: 'tags', op: 'add', value: 'from home' })).status).toBe(200);
    const query = encodeURIComponent('status:finished and not name ~ /named|fast/');
    const gone = (await ask(after, 'GET', `/projects/digits/runs?q=${query}&limit=1`)).json.runs[0];
    expect((await name(gone.id, { field: 'purge', op: 'set', value: true })).status).toBe(200);
    await until(
      () => ask(after, 'GET', '/sync'),
      ({ json }) => json.settled,
    );

    road.refuse(false);
    await saved(page);
    // Both sides, on both sides: the closed month's runs have the edits of both.
    const run = await until(
      async () => (await ask(after, 'GET', '/runs/too%20fast')).json,
      ({ tags }) => tags.includes('from the browser'),
    );
    expect(run.tags).toEqual(expect.arrayContaining(['from home', 'from the browser']));
    await rowOf(page, 'too fast').getByRole('button', { name: 'from home' }).waitFor();
    // Two names given without knowledge of each other stand as a conflict; the later one shows.
    await rowOf(page, 'named at home').waitFor();
    const named = (await ask(after, 'GET', '/runs/named%20at%20home')).json;
    expect(named.conflicts).toMatchObject([
      { field: 'name', sides: [{ value: 'named at home' }, { value: 'named on the road' }] },
    ]);
    await rowOf(page, gone.name).waitFor({ state: 'detached' });
    expect(await rows(page).count()).toBe(13);
    const theirs = await relay.api<{ digest: string }>(token, 'GET', '/projects/digits/digest');
    expect(theirs.body.digest).toBe((await ask(after, 'GET', '/projects/digits/digest')).json.digest);
  });
});

describe('a new build of the page', () => {
  it('[PWA-2] waits until the person says so, warns of what is being written, keeps edits, and starts offline', async () => {
    const web = join(emptyFolder('web-build'), 'dist');
    cpSync(join(ROOT, 'packages/web/dist'), web, { recursive: true });
    const home = emptyFolder('offline');
    const port = await freePort();
    const args = ['--port', String(port), '--web', web];
    const agent = await startAgent(home, { args });
    await ask(agent, 'POST', '/demo', {});
    const page = await visit(await profile(browser), `${agent.url}/p/digits`);
    await rowOf(page, 'too fast').waitFor();
    await installed(page);
    await agent.program.stop();
    await says(syncMark(page), 'Offline');
    await tag(page, 'too fast', 'before the update');
    // The second build: another document under another revision.
    const index = join(web, 'index.html');
    writeFileSync(index, readFileSync(index, 'utf8').replace('<head>', '<head><meta name="build" content="2" />'));
    const worker = join(web, 'sw.js');
    const code = readFileSync(worker, 'utf8');
    const revision =
      /revision:\s*[`"']([0-9a-f]{16,})[`"'],\s*url:\s*[`"']index\.html|url:\s*[`"']index\.html[`"'],\s*revision:\s*[`"']([0-9a-f]{16,})|"revision":"([0-9a-f]+)","url":"index\.html"/.exec(
        code,
      );
    const old = revision?.slice(1).find((each) => each !== undefined);
    expect(old, 'the revision of index.html in sw.js').toBeDefined();
    writeFileSync(worker, code.replace(old!, [...old!].reverse().join('')));
    const again = await startAgent(home, { args });
    const { id } = (await ask(again, 'GET', '/runs/too%20fast')).json;
    const other = await visit(page.context(), `${agent.url}/r/${id}?tab=notes`);
    const note = other.getByRole('textbox', { name: 'Notes, in Markdown' });
    await note.waitFor();
    for (const each of [page, other]) await each.evaluate(() => Object.assign(window, { first: true }));
    await page.getByRole('link', { name: 'Settings', exact: true }).click();
    await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
    const bar = page.getByRole('status').filter({ hasText: 'A new version of this page is ready.' });
    await bar.waitFor();
    const isFirst = (of = page) => of.evaluate(() => 'first' in window);
    expect(await isFirst()).toBe(true);
    await page.getByLabel(/Your name/).fill('Ada, half typ');
    await page.getByRole('button', { name: 'Reload now' }).click();
    await says(page.getByRole('status'), 'Something is still being written on this page');
    expect(await isFirst()).toBe(true);
    await Promise.all([
      page.waitForFunction(() => document.querySelector('meta[name=build]') !== null),
      page.getByRole('button', { name: 'reload all the same' }).click(),
    ]);
    expect(await isFirst()).toBe(false);
    await saved(page);
    expect((await ask(again, 'GET', '/runs/too%20fast')).json.tags).toContain('before the update');
    // The other tab keeps what is on it and says so; the text in its editor is an edit before it goes.
    await says(other.getByRole('status'), 'Another tab has changed to a new version of this page.');
    expect(await isFirst(other)).toBe(true);
    await note.click();
    await other.keyboard.type('It jumps at step 40.');
    await other.getByRole('button', { name: 'Reload now' }).click();
    await other.waitForFunction(() => !('first' in window));
    await says(note, 'It jumps at step 40.');
    await saved(other);
    expect((await ask(again, 'GET', '/runs/too%20fast')).json.notes).toBe('It jumps at step 40.');
    await other.close();
    await again.program.stop();
    await page.goto(`${agent.url}/p/digits`);
    await rowOf(page, 'too fast').getByRole('button', { name: 'before the update' }).waitFor();
    expect(await page.locator('meta[name=build]').getAttribute('content')).toBe('2');
  });
});

describe('tabs of one browser', () => {
  it('[PWA-4] write each edit once, undo their own, and agree, with every server stopped', async () => {
    const { agent, home, port } = await examples();
    const [left, right] = await twoTabs(agent);
    await tag(left, 'too fast', 'from the left');
    await rowOf(right, 'too fast').getByRole('button', { name: 'from the left' }).waitFor();
    await tag(right, 'too fast', 'from the right');
    await rowOf(left, 'too fast').getByRole('button', { name: 'from the right' }).waitFor();
    for (const page of [left, right]) await says(syncMark(page), '2 edits not yet');
    await left.keyboard.press('Control+z');
    for (const page of [left, right])
      await rowOf(page, 'too fast').getByRole('button', { name: 'from the left' }).waitFor({ state: 'detached' });
    await rowOf(right, 'too fast').getByRole('button', { name: 'from the right' }).waitFor();
    const again = await agentAt(home, port);
    for (const page of [left, right]) await saved(page);
    const { id, tags } = (await ask(again, 'GET', '/runs/too%20fast')).json;
    expect(tags.filter((each: string) => each.startsWith('from the'))).toEqual(['from the right']);
    const { edits } = (await ask(again, 'GET', `/runs/${id}/history`)).json;
    expect(edits.filter(({ field }: { field: string }) => field === 'tags')).toHaveLength(3);
  });
});

describe('the storage of the browser', () => {
  it('[BST-2] says in words that it is full, and a server saves what it cannot keep', async () => {
    const { agent, home, port, url } = await examples();
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'too fast').waitFor();
    await saved(page);
    await installed(page);
    const devtools = await context.newCDPSession(page);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: url, quotaSize: 1_000 });
    await untilFull(page);
    await agent.program.stop();
    await says(syncMark(page), 'Offline');
    await tag(page, 'too fast', 'no room');
    await says(syncMark(page), '1 edit not kept');
    await page.getByRole('link', { name: 'Settings', exact: true }).click();
    await says(page.getByRole('alert'), 'The disk space that the browser allows is used up');
    const again = await agentAt(home, port);
    const found = await until(
      async () => (await ask(again, 'GET', '/runs/too%20fast')).json.tags,
      (tags) => tags.includes('no room'),
    );
    expect(found).toContain('no room');
    await saved(page);
    // Room again: what could not be kept is written, and the word is taken back.
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: url });
    await page.getByRole('alert').waitFor({ state: 'detached', timeout: 60_000 });
    await again.program.stop();
    await page.goto(`${url}/p/digits`);
    await rowOf(page, 'too fast').getByRole('button', { name: 'no room' }).waitFor();
  });

  it('[BST-5] is forgotten in every tab, with every server stopped', async () => {
    const { agent, url } = await examples();
    const [left, right] = await twoTabs(agent);
    await left.goto(`${url}/settings`);
    await left.getByRole('button', { name: 'Forget everything in this browser…' }).click();
    await left.getByRole('dialog').getByRole('button', { name: 'Forget everything' }).click();
    await left.waitForURL(`${url}/`);
    await right.getByRole('heading', { name: 'This browser has forgotten everything' }).waitFor();
    await right.getByRole('button', { name: 'Reload' }).click();
    await right.goto(`${url}/`);
    for (const page of [left, right]) {
      await says(syncMark(page), 'Offline');
      const kept = await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name ?? ''));
      expect(kept.filter((name) => name.startsWith('fieldbook/book/'))).toEqual([]);
      expect(await page.getByRole('link', { name: 'digits' }).count()).toBe(0);
    }
  });

  it('[BST-3] is written again when the browser clears it under the page', async () => {
    const { agent, home, port, url } = await examples();
    const context = await profile(browser);
    // Not watched for script errors: whatever was being read when the browser cleared it fails, and may.
    const page = await context.newPage();
    await page.goto(`${url}/p/digits`);
    await rowOf(page, 'too fast').waitFor();
    await saved(page);
    await installed(page);
    await agent.program.stop();
    await says(syncMark(page), 'Offline');
    await tag(page, 'too fast', 'before it');
    const devtools = await context.newCDPSession(page);
    await devtools.send('Storage.clearDataForOrigin', { origin: url, storageTypes: 'indexeddb' });
    await tag(page, 'too fast', 'after it');
    await page.getByRole('link', { name: 'Settings', exact: true }).click();
    await says(page.getByRole('status'), 'What was open here is kept again');
    // Kept again, and called so.
    await says(syncMark(page), 'Offline · 2 edits not yet on the agent');
    // Points that were cleared are read again in the same tab.
    const again = await agentAt(home, port);
    await saved(page);
    const { tags } = (await ask(again, 'GET', '/runs/too%20fast')).json;
    expect(tags).toEqual(expect.arrayContaining(['before it', 'after it']));
    await page.getByRole('link', { name: 'Fieldbook, all projects' }).click();
    await page.getByRole('link', { name: 'digits' }).click();
    await rowOf(page, 'no packages').click();
    await page.getByRole('region', { name: 'Chart of batch/loss' }).and(page.locator('[data-drawn=true]')).waitFor();
    await again.program.stop();
    // What the tab had is on the disk again: a reload without a server has it all.
    await page.goto(`${url}/p/digits`);
    for (const word of ['before it', 'after it'])
      await rowOf(page, 'too fast').getByRole('button', { name: word }).waitFor();
  });

  it('[BST-4] is shown by kind and let go of; [BST-1] units hold on every page', async () => {
    const { agent, url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits`);
    await rowOf(page, 'no packages').click();
    await page.getByRole('region', { name: 'Chart of batch/loss' }).and(page.locator('[data-drawn=true]')).waitFor();
    await page.getByRole('link', { name: 'Settings', exact: true }).click();
    const storage = page.getByRole('region', { name: 'Storage of this browser' });
    const files = storage.locator('dl > div').filter({ hasText: 'Points and files' });
    await says(files, /\d.* in \d+ piece/);
    await files.getByRole('button', { name: 'Let go of them' }).click();
    await says(page.getByRole('status'), /Let go of \d/);
    await says(files, '0 B in 0 pieces');
    await page.getByLabel('Times').selectOption('utc');
    await page.getByLabel('Sizes').selectOption('binary');
    await says(page.getByTestId('units-sample'), /1\.5 MiB.*UTC/);
    await page.reload();
    await says(page.getByTestId('units-sample'), /1\.5 MiB.*UTC/);
    await page.getByLabel('Name of this browser').fill('the tablet');
    await page.getByRole('region', { name: 'This browser' }).getByRole('button', { name: 'Keep', exact: true }).click();
    // Nobody else has these files: nothing goes from the machine's disk.
    const disk = page.getByRole('region', { name: 'Disk of this machine' });
    await disk.getByRole('button', { name: 'See what would go' }).click();
    await says(disk.getByRole('alert'), 'no relay is joined');
    await page.getByRole('link', { name: 'Fieldbook, all projects' }).click();
    await page.getByRole('link', { name: 'digits' }).click();
    await rowOf(page, 'no packages').waitFor();
    await tag(page, 'no packages', 'renamed browser');
    await saved(page);
    const names = async (): Promise<string[]> =>
      (await ask(agent, 'GET', '/workspace')).json.devices.map(({ name }: { name: string }) => name);
    await expect.poll(names).toContain('Ada · the tablet');
  });
});
