import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProjectId } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { ProjectFold } from '@fieldbook/core/fold';
import { JournalReader } from '@fieldbook/core/journal';
import type { Page } from 'playwright-core';
import { expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { launchChromium } from '../scaffold/browser.ts';
import { example, Machine, Relay } from '../scaffold/machine.ts';

const PROJECT = 'digits' as ProjectId;

/** A resumed run: the same id on both machines, one writer each. */
const SHARED = `
import sys, fieldbook
with fieldbook.init("digits", run_id="shared-baseline", name="baseline", config={"lr": 0.1}) as run:
    for step in range(50):
        run.log({"val/loss": 1 / (step + 1 + float(sys.argv[1]))}, step=step)
`;

interface RunView {
  id: string;
  name: string;
  tags: string[];
  star: boolean;
  notes: string;
  conflicts: string[];
  metrics: Record<string, { count: number }>;
}

it('two machines train offline, meet on a relay, and a third person edits in a browser that goes offline and comes back', async () => {
  // Two machines without a network and without an agent: only the scripts run.
  const ada = new Machine('gpu-1', 'ada');
  const bob = new Machine('gpu-2', 'bob');
  const stdlib = example('digits/train_stdlib.py');
  for (const [machine, rates] of [
    [ada, ['0.1', '0.05']],
    [bob, ['0.2']],
  ] as const) {
    for (const lr of rates) {
      const run = machine.train(stdlib, '--lr', lr, '--epochs', '3', '--name', `lr ${lr}`);
      expect(await run.ended, run.output()).toMatchObject({ code: 0 });
    }
    const shared = machine.train('-c', SHARED, machine === ada ? '0' : '1');
    expect(await shared.ended, shared.output()).toMatchObject({ code: 0 });
  }

  // On each, days later, an agent; somebody tags, renames and notes, and both name the same run.
  await ada.up();
  await bob.up();
  expect((await ada.api<{ runs: RunView[] }>('GET', `/projects/${PROJECT}/runs`)).body.runs).toHaveLength(3);
  await ada.cli('tag', 'lr 0.1', 'baseline', 'keep');
  await ada.cli('rename', 'shared-baseline', "ada's baseline");
  await ada.cli('note', 'lr 0.05', 'slow but **steady**');
  await bob.cli('tag', 'shared-baseline', 'keep');
  await bob.cli('rename', 'shared-baseline', "bob's baseline");

  // A relay starts; both join it.
  const relay = await new Relay().up();
  for (const [machine, name] of [
    [ada, 'gpu-1'],
    [bob, 'gpu-2'],
  ] as const) {
    await machine.cli('join', relay.url, '--token', await relay.token('member', name));
  }
  await ada.cli('sync', '--timeout', '60');
  await bob.cli('sync', '--timeout', '60');

  // A third person has only a browser and a link. The token never stays in the address.
  const token = await relay.token('member', 'cyd');
  const browser = await launchChromium();
  onTestFinished(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(20_000);
  // Somebody who has seen the first steps, which stand over the first rows.
  await context.addInitScript(() => localStorage.setItem('fieldbook/tour', 'true'));
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(`${relay.url}/p/${PROJECT}#token=${token}`);
  const grid = page.getByRole('grid', { name: 'Runs' });
  for (const name of ['lr 0.1', 'lr 0.05', 'lr 0.2', "bob's baseline"])
    await grid.getByRole('link', { name, exact: true }).waitFor();
  expect(page.url()).not.toContain(token);
  // Header and four runs: every run of both machines, the shared one once.
  expect(await grid.getByRole('row').count()).toBe(5);
  await grid.getByText('baseline', { exact: true }).first().waitFor();

  // Every point that either machine wrote is on the relay, once.
  const { body } = await relay.api<{ runs: RunView[] }>(token, 'GET', `/projects/${PROJECT}/runs`);
  const written = pointsWritten(ada.home);
  for (const [key, count] of pointsWritten(bob.home)) written.set(key, count + (written.get(key) ?? 0));
  expect(written.size).toBeGreaterThan(10);
  for (const [key, count] of written) {
    const [run, metric] = key.split(' ') as [string, string];
    const series = await relay.api<{ total: number; missing: unknown[] }>(
      token,
      'GET',
      `/runs/${run}/series?metric=${encodeURIComponent(metric)}`,
    );
    expect({ key, total: series.body.total, missing: series.body.missing }).toEqual({ key, total: count, missing: [] });
    // The machine's metrics are told of a run alone, not in lists.
    const alone = await relay.api<RunView>(token, 'GET', `/runs/${run}`);
    expect(alone.body.metrics[metric]?.count, key).toBe(count);
    const inList = body.runs.find(({ id }) => id === run)?.metrics[metric]?.count;
    expect(inList, key).toBe(metric.startsWith('sys/') ? undefined : count);
  }

  // The conflict is shown with both names and authors; a chart is drawn.
  await grid.getByRole('link', { name: "bob's baseline", exact: true }).click();
  const conflict = page.getByTestId('conflict-name');
  await conflict.waitFor();
  for (const words of ["ada's baseline", "bob's baseline", 'ada,', 'bob,'])
    await conflict.getByText(words).first().waitFor();
  await page.getByRole('tab', { name: /^Charts/ }).click();
  await page.locator('section[aria-label="Chart of val/loss"][data-drawn="true"]').waitFor();
  await page.getByTestId('sync-mark').getByText('Saved on the relay').waitFor();
  await installed(page);

  // Offline: the relay is gone and so is the network. The page reloads from what it has, and everything can be edited.
  await relay.down('SIGKILL');
  await context.setOffline(true);
  await page.reload();
  await conflict.waitFor();
  await page.locator('section[aria-label="Chart of val/loss"][data-drawn="true"]').waitFor();
  await conflict.getByRole('textbox').fill('the baseline');
  await conflict.getByRole('button', { name: 'Keep that' }).click();
  await page.getByLabel('Your name').fill('cyd');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'the baseline', exact: true }).waitFor();
  expect(await conflict.count()).toBe(0);
  await page.getByRole('button', { name: 'Star', exact: true }).click();
  await page
    .getByTestId('sync-mark')
    .getByText(/2 edits not yet on the relay/)
    .waitFor();

  // Meanwhile somebody goes on working on a machine.
  await ada.cli('tag', 'shared-baseline', 'from ada');
  await ada.cli('tag', 'lr 0.1', '-r', 'keep');

  // Everything is back: the edits go out, the others' come in.
  await relay.up();
  await context.setOffline(false);
  await page.getByTestId('sync-mark').getByText('Saved on the relay').waitFor({ timeout: 60_000 });
  await page.getByRole('link', { name: 'from ada' }).waitFor();
  for (const machine of [ada, bob]) await machine.cli('sync', '--timeout', '60');

  const digests = new Set<string>();
  for (const machine of [ada, bob]) {
    const run = (await machine.api<RunView>('GET', '/runs/shared-baseline')).body;
    expect(run).toMatchObject({ name: 'the baseline', star: true, tags: ['from ada', 'keep'], conflicts: [] });
    expect((await machine.api<RunView>('GET', '/runs/lr%200.1')).body.tags).toEqual(['baseline', 'standard library']);
    digests.add((await machine.api<{ digest: string }>('GET', `/projects/${PROJECT}/digest`)).body.digest);
  }
  digests.add((await relay.api<{ digest: string }>(token, 'GET', `/projects/${PROJECT}/digest`)).body.digest);
  digests.add(await digestInBrowser(page));
  expect([...digests]).toHaveLength(1);
  expect(problems).toEqual([]);
}, 180_000);

/** `run metric` → points in the journals under a home: what the scripts were told is safe. */
function pointsWritten(home: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const file of readdirSync(join(home, 'journals'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.fbj')) continue;
    const run = file.split('/').at(-2)!;
    const reader = new JournalReader();
    reader.push(readFileSync(join(home, 'journals', file)), {
      point(metric) {
        const key = `${run} ${reader.names.get(metric)}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      },
      record() {},
    });
    expect(reader.finish().state, file).toBe('clean');
  }
  return counts;
}

/** Resolves when the service worker has the page: from then on it starts without a server. */
async function installed(page: Page): Promise<void> {
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
}

/** The digest of the project from what the browser has stored, folded here: not from what its page says. */
async function digestInBrowser(page: Page): Promise<string> {
  const stored = await page.evaluate(async () => {
    const books: [string, number[][]][] = [];
    for (const { name } of await indexedDB.databases()) {
      if (name?.startsWith('fieldbook/book/digits/') !== true) continue;
      const db = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.addEventListener('success', () => resolve(request.result));
        request.addEventListener('error', () => reject(request.error ?? new Error('cannot open')));
      });
      const updates = await new Promise<Uint8Array[]>((resolve, reject) => {
        const request = db.transaction('updates').objectStore('updates').getAll();
        request.addEventListener('success', () => resolve(request.result as Uint8Array[]));
        request.addEventListener('error', () => reject(request.error ?? new Error('cannot read')));
      });
      db.close();
      books.push([name, updates.map((update) => [...update])]);
    }
    return books;
  });
  const fold = new ProjectFold(PROJECT);
  for (const [name, updates] of stored) {
    const doc = new Y.Doc();
    for (const update of updates) Y.applyUpdate(doc, Uint8Array.from(update));
    const book = new Book(doc);
    for (const [key, bytes] of book.cards()) fold.setCard(name, key, bytes);
    for (const [key, bytes] of book.edits()) fold.addEdit(key, bytes);
  }
  return fold.digest();
}
