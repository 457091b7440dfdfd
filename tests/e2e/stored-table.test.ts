import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, table, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const WAIT_MS = 30_000;

/** What a page's browser has stored of a project's table. */
async function headOf(page: Page, project: string): Promise<{ generation: string; parts: number } | null> {
  return page.evaluate(async (id) => {
    if (!(await indexedDB.databases()).some(({ name }) => name === 'fieldbook/tables')) return null;
    const asked = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('a read failed'));
      });
    const db = await asked(indexedDB.open('fieldbook/tables'));
    try {
      const head = (await asked(db.transaction('heads').objectStore('heads').get(id))) as
        | { generation: string; parts: object }
        | undefined;
      return head === undefined ? null : { generation: head.generation, parts: Object.keys(head.parts).length };
    } finally {
      db.close();
    }
  }, project);
}

/** Waits until another table than `before` is stored. */
async function storedSince(page: Page, project: string, before: string | null): Promise<string> {
  for (const until = Date.now() + WAIT_MS; ;) {
    const head = await headOf(page, project);
    if (head !== null && head.generation !== before) return head.generation;
    if (Date.now() > until) throw new Error(`No table of ${project} was stored.`);
    await page.waitForTimeout(50);
  }
}

async function examples() {
  const home = emptyFolder('stored');
  const port = await freePort();
  const agent = await agentAt(home, port);
  await ask(agent, 'POST', '/demo', {});
  const { json } = await ask(agent, 'GET', '/projects/digits/runs');
  return { home, port, agent, url: `${agent.url}/p/digits`, runs: json.total as number };
}

async function tag(page: Page, run: string, name: string): Promise<void> {
  await rowOf(page, run).click();
  await page.keyboard.press('t');
  await page.getByRole('textbox', { name: 'Find or make a tag' }).fill(name);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Apply' }).click();
  await rowOf(page, run).getByRole('button', { name }).waitFor();
}

/** A first visit, up to where the table is stored. */
async function visited(context: BrowserContext, url: string, runs: number): Promise<string> {
  const page = await visit(context, url);
  await rowOf(page, 'too fast').waitFor();
  expect(await rows(page).count()).toBe(runs);
  const generation = await storedSince(page, 'digits', null);
  await installed(page);
  await page.close();
  return generation;
}

describe('the stored table of a project', () => {
  it('[WEB-21] is what the next visit begins with, offline too, and an edit made since shows', async () => {
    const { agent, url, runs } = await examples();
    const context = await profile(browser);
    const first = await visited(context, url, runs);
    const page = await visit(context, url);
    await rowOf(page, 'too fast').waitFor();
    await tag(page, 'too fast', 'diverged');
    await saved(page);
    await storedSince(page, 'digits', first);
    await tag(page, 'no packages', 'unstored');
    await page.close();
    await agent.program.stop();
    const offline = await visit(context, url);
    await rowOf(offline, 'too fast').getByRole('button', { name: 'diverged' }).waitFor();
    // Made after the table was stored, perhaps: the document has it.
    await rowOf(offline, 'no packages').getByRole('button', { name: 'unstored' }).waitFor();
    expect(await rows(offline).count()).toBe(runs);
    expect(await table(offline).getAttribute('aria-busy')).toBe('false');
  });

  it('[WEB-22] is brought up to date with what a server or another tab has since, run by run', async () => {
    const { agent, home, port, url, runs } = await examples();
    const context = await profile(browser);
    await visited(context, url, runs);
    const { json } = await ask(agent, 'GET', '/projects/digits/runs?q=name%3D%22too%20fast%22');
    const run = json.runs[0].id as string;
    // The agent renames it while no tab is open.
    await ask(agent, 'POST', `/runs/${run}/edits`, [{ field: 'name', op: 'set', value: 'renamed since' }]);
    const page = await visit(context, url);
    await rowOf(page, 'renamed since').waitFor();
    const other = await visit(context, url);
    await rowOf(other, 'renamed since').waitFor();
    await tag(other, 'no packages', 'elsewhere');
    await rowOf(page, 'no packages').getByRole('button', { name: 'elsewhere' }).waitFor();
    await page.close();
    await other.close();
    await agent.program.stop();
    const again = await agentAt(home, port);
    const last = await visit(context, url);
    await rowOf(last, 'renamed since').waitFor();
    await rowOf(last, 'no packages').getByRole('button', { name: 'elsewhere' }).waitFor();
    expect(await rows(last).count()).toBe(runs);
    await again.program.stop();
  });

  it('[WEB-23] that is damaged, deleted or of another format is made again of the documents', async () => {
    const { url, runs } = await examples();
    for (const harm of ['damage', 'format', 'lose', 'delete'] as const) {
      const context = await profile(browser);
      const before = await visited(context, url, runs);
      const blank = await context.newPage();
      // The same origin without the application.
      await blank.goto(new URL('/api/v1/health', url).href);
      await blank.evaluate(async (how) => {
        const asked = <T>(request: IDBRequest<T>): Promise<T> =>
          new Promise((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error ?? new Error('a request failed'));
          });
        if (how === 'delete') {
          await asked(indexedDB.deleteDatabase('fieldbook/tables'));
          return;
        }
        const db = await asked(indexedDB.open('fieldbook/tables'));
        const transaction = db.transaction(['heads', 'parts'], 'readwrite');
        const parts = transaction.objectStore('parts');
        const heads = transaction.objectStore('heads');
        for (const key of await asked(parts.getAllKeys())) {
          if (how === 'lose') parts.delete(key);
          else {
            const bytes = (await asked(parts.get(key))) as Uint8Array;
            if (how === 'format') bytes[0]! += 1;
            else bytes[bytes.length - 1]! ^= 1;
            parts.put(bytes, key);
          }
        }
        if (how === 'format')
          for (const head of (await asked(heads.getAll())) as object[]) heads.put({ ...head, format: 2 });
        await new Promise((resolve) => (transaction.oncomplete = resolve));
        db.close();
      }, harm);
      await blank.close();
      const page = await visit(context, url);
      await rowOf(page, 'too fast').waitFor();
      expect(await rows(page).count(), harm).toBe(runs);
      await storedSince(page, 'digits', before);
      await context.close();
    }
  });

  it('[WEB-24] keeps books closed in which nothing is new', async () => {
    const { url, runs } = await examples();
    const context = await profile(browser);
    await visited(context, url, runs);
    const page = await context.newPage();
    const sent: number[][] = [];
    let answers = 0;
    page.on('websocket', (socket) => {
      if (!socket.url().includes('/rooms/book/')) return;
      socket.on('framesent', ({ payload }) => sent.push([...Buffer.from(payload)]));
      socket.on('framereceived', () => (answers += 1));
    });
    await page.goto(url);
    await rowOf(page, 'too fast').waitFor();
    // What the server asks, and what it answers.
    await expect.poll(() => answers, { timeout: WAIT_MS }).toBeGreaterThanOrEqual(2);
    await page.getByRole('combobox', { name: 'Query' }).fill('status:failed');
    await expect.poll(() => rows(page).count(), { timeout: WAIT_MS }).toBe(1);
    // Sync step 1 and nothing else: whoever has a document open answers the server's, too.
    expect(sent.map(([message, step]) => [message, step])).toEqual([[0, 0]]);
    // A run's whole state is in the book: now it is opened.
    await tag(page, 'too fast', 'diverged');
    await saved(page);
    expect(sent.some(([message, step]) => message === 0 && step === 1)).toBe(true);
  });
});
