import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, installed, profile, says, syncMark, visit } from './visit.ts';

/** A script of a checkout with a module of its own, data beside it, and everything captured. */
const SCRIPT = `
import sys, fieldbook, model
name, lr = sys.argv[1], float(sys.argv[2])
with fieldbook.init("pair", run_id=name, name=name) as run:
    run["params/lr"] = lr
    run["params/layers"] = 3
    run["data/train"].track_files("data/")
    run.define_metric("val/loss", goal="min")
    for step in range(5):
        run.log({"val/loss": model.loss(step) * lr}, step=step)
    run["answers"].append(f"{name} says {lr}", step=4)
    print("the end of", name)
`;
const MODEL = 'def loss(step):\n    return 1 / (step + 1)\n';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** Two trainings of one commit: the second with a changed module, a new file, and other data. */
async function pair(): Promise<Agent> {
  const home = emptyFolder('compare');
  const folder = emptyFolder('checkout');
  const git = (...args: string[]): void => {
    const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', '-c', 'init.defaultBranch=main'];
    const { status, stderr } = spawnSync('git', [...identity, ...args], { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  };
  const put = (path: string, text: string): void => writeFileSync(join(folder, path), text);
  const train = async (name: string, lr: string): Promise<void> => {
    const { command, env } = pythonForTests();
    const shell = ['-c', 'cd "$1" && shift && exec "$@"', 'sh', folder, command, 'train.py', name, lr];
    const settings = {
      ...env,
      FIELDBOOK_HOME: home,
      FIELDBOOK_USER: 'Ada',
      FIELDBOOK_HOST: 'gpu-1',
      FIELDBOOK_CAPTURE: 'exit_wait=20',
    };
    const { code } = await startCommand('sh', shell, settings).ended;
    expect(code).toBe(0);
  };
  mkdirSync(join(folder, 'data'));
  put('train.py', SCRIPT);
  put('model.py', MODEL);
  put('data/a.csv', '1\n2\n');
  put('data/b.csv', '3\n');
  git('init');
  git('add', '.');
  git('commit', '-m', 'A model');
  await train('clean', '0.1');
  put('model.py', MODEL.replace('step + 1', 'step + 2'));
  put('helper.py', 'WIDE = True\n');
  put('data/a.csv', '1\n2\n9\n');
  rmSync(join(folder, 'data/b.csv'));
  await train('changed', '0.2');
  const agent = await agentAt(home, await freePort());
  const ready = async (): Promise<string[]> => {
    const { json } = await ask(agent, 'GET', '/projects/pair/runs?q=status:finished');
    const found: string[] = [];
    for (const { id } of json.runs ?? []) {
      const { files } = (await ask(agent, 'GET', `/runs/${id}/files`)).json;
      const { captures } = (await ask(agent, 'GET', `/runs/${id}`)).json;
      const sections = new Set(captures.map(({ section }: { section: string }) => section));
      const stored = files.every(({ state }: { state: string }) => state === 'here');
      if (stored && sections.has('packages') && sections.has('git')) found.push(id);
    }
    return found.sort();
  };
  await expect.poll(ready, { timeout: 60_000 }).toEqual(['changed', 'clean']);
  return agent;
}

const compareUrl = (agent: Agent, more = ''): string => `${agent.url}/p/pair/compare?runs=clean,changed${more}`;
const tab = (page: Page, name: string): Locator => page.getByRole('tab', { name, exact: true });
const lineOf = (page: Page, label: string): Locator =>
  page.locator('tbody tr').filter({ has: page.getByRole('rowheader', { name: label, exact: true }) });

describe('comparing runs', () => {
  it('[CMP-2] [CMP-4] shows what differs, the best, the difference to a baseline, and warns of other data; the address says it all', async () => {
    const agent = await pair();
    const page = await visit(await profile(browser), compareUrl(agent));
    await says(page.getByRole('alert'), 'These runs did not train on the same data: data/train (2 versions) differs.');
    await lineOf(page, 'params/lr').waitFor();
    expect(await lineOf(page, 'params/layers').count()).toBe(0);
    // 0.1 / 5 against 0.2 / 6: less is better, as the script said.
    expect(await lineOf(page, 'val/loss').locator('.best').innerText()).toMatch(/^0\.02\b.*best/s);
    await page.getByRole('button', { name: 'clean as baseline' }).click();
    expect(await lineOf(page, 'params/lr').locator('td').nth(1).innerText()).toMatch(/0\.2\s*\+0\.1 \(\+100 %\)/);
    await page.getByLabel(/Also what is the same/).check();
    await lineOf(page, 'params/layers').waitFor();
    await page.getByLabel('Runs as rows').check();
    await page.getByRole('columnheader', { name: 'params/layers', exact: true }).waitFor();
    await page.getByRole('searchbox', { name: 'Find a name or a value' }).fill('layers');
    await expect.poll(() => page.locator('thead th').count()).toBe(2);
    await page.getByRole('button', { name: 'Move changed to the left' }).click();
    // Each choice is a step of its own, taken back in order and done again.
    const runs = (): string | null => new URL(page.url()).searchParams.get('runs');
    expect(runs()).toBe('changed,clean');
    await page.getByRole('button', { name: 'Move changed to the right' }).focus();
    await page.keyboard.press('Control+z');
    await expect.poll(runs).toBe('clean,changed');
    await page.keyboard.press('Control+z');
    await expect.poll(() => page.getByLabel('Runs as rows').isChecked()).toBe(false);
    for (let again = 0; again < 2; again++) await page.keyboard.press('Control+Shift+z');
    await expect.poll(runs).toBe('changed,clean');
    await expect.poll(() => page.getByLabel('Runs as rows').isChecked()).toBe(true);
    const other = await visit(await profile(browser), page.url());
    await expect.poll(() => other.getByRole('rowheader').allInnerTexts()).toHaveLength(2);
    const rows = await other.getByRole('rowheader').allInnerTexts();
    expect(rows[0]).toContain('changed');
    expect(rows[1]).toMatch(/clean[\s\S]*baseline/);
    const [download] = await Promise.all([
      other.waitForEvent('download'),
      other.getByRole('button', { name: 'CSV' }).click(),
    ]);
    let csv = '';
    for await (const part of await download.createReadStream()) csv += String(part);
    expect(csv).toBe(',params/layers\r\nchanged,3\r\nclean,3\r\n');
  });

  it('[CMP-1] [CMP-3] [CMP-4] tells source, data, packages and consoles apart, also with every server stopped', async () => {
    const agent = await pair();
    const context = await profile(browser);
    const page = await visit(context, compareUrl(agent, '&tab=source'));
    const parts = async (where: Page): Promise<void> => {
      await says(where.locator('dd'), /Commit [0-9a-f]{10} on main, with uncommitted changes: A model/);
      const changed = where.locator('details').filter({ hasText: 'model.py' });
      // The clean run's side is nowhere but in git; the other's patch, taken back, is what it was.
      await says(changed.locator('.cm-content'), 'return 1 / (step + 2)');
      await says(changed.locator('.cm-deletedChunk'), 'return 1 / (step + 1)');
      await says(where.locator('summary'), /helper\.py\s*only in the second/);
      await tab(where, 'Data').click();
      await says(where.getByRole('tabpanel'), '1 file removed, 1 file changed.');
      expect(await where.locator('.files li').allInnerTexts()).toEqual([
        expect.stringContaining('a.csv'),
        expect.stringContaining('b.csv'),
      ]);
      await tab(where, 'Packages').click();
      await says(where.getByRole('tabpanel'), /0 versions changed, 0 added, 0 removed/);
      await says(where.getByRole('tabpanel'), 'All of these runs had the same packages.');
      await tab(where, 'Environment').click();
      await lineOf(where, 'dirty').waitFor();
      expect(await lineOf(where, 'dirty').locator('td').allInnerTexts()).toEqual(['False', 'True']);
      await tab(where, 'Console').click();
      await says(where.locator('pre'), 'the end of changed');
    };
    await parts(page);
    await installed(page);
    await agent.program.stop('SIGKILL');
    await page.close();
    const offline = await visit(context, compareUrl(agent, '&tab=source'));
    await says(syncMark(offline), 'Offline');
    await parts(offline);
  });

  it('[CMP-2] overlays charts and shows objects at a shared step; runs leave and come by the address', async () => {
    const agent = await pair();
    const page = await visit(await profile(browser), compareUrl(agent, '&tab=charts'));
    await page.locator('[data-drawn=true]').first().waitFor();
    await tab(page, 'Images').click();
    await says(page.locator('td[data-step="4"]'), 'changed says 0.2');
    await tab(page, 'Values').click();
    expect(await page.getByRole('button', { name: 'Take clean out' }).isDisabled()).toBe(true);
    await page.goto(`${agent.url}/p/pair/compare?runs=clean,nobody`);
    await says(page.locator('main'), 'Fewer than two of these runs are in this field book.');
  });

  it('[WEB-86] reads what was captured when a run changes, after its code could not be loaded at first', async () => {
    const agent = await pair();
    const context = await profile(browser, { width: 1440, height: 900 }, { serviceWorkers: 'block' });
    const code = '**/assets/readers-*.js';
    await context.route(code, (route) => route.abort());
    const page = await visit(context, compareUrl(agent, '&tab=packages'));
    await says(page.locator('.notices'), 'Failed to fetch dynamically imported module');
    await says(page.getByRole('tabpanel'), 'Reading what was captured…');
    await context.unroute(code);
    await ask(agent, 'POST', '/runs/clean/edits', [{ field: 'tags', op: 'add', value: 'seen' }]);
    await says(page.getByRole('tabpanel'), 'All of these runs had the same packages.');
    expect(await page.getByText('Reading what was captured…').count()).toBe(0);
  });

  it('[CMP-2] stays usable with fifty runs', async () => {
    const home = emptyFolder('compare');
    const agent = await agentAt(home, await freePort());
    await fill(agent.url, agent.token, { project: 'many', runs: 60, newest: 1_795_000_000_000 });
    const { json } = await ask(agent, 'GET', '/projects/many/runs?limit=60');
    const ids = json.runs.map(({ id }: { id: string }) => id.slice(-10));
    const page = await visit(await profile(browser), `${agent.url}/p/many/compare?runs=${ids.join(',')}`);
    await page.getByRole('heading', { name: '50 runs side by side' }).waitFor();
    await says(page.locator('.note'), 'The first 50 of 60 runs.');
    const panel = page.getByRole('region', { name: 'Values side by side' });
    await panel.evaluate((element) => element.scrollTo(element.scrollWidth, 300));
    // Heads stay where they are: the line's name at the left edge, the runs at the top.
    const box = (await panel.boundingBox())!;
    const corner = (await panel.locator('tbody tr:not(.part) th').nth(12).boundingBox())!;
    const head = (await panel.locator('thead th').last().boundingBox())!;
    expect(Math.round(corner.x)).toBe(Math.round(box.x));
    expect(Math.round(head.y)).toBe(Math.round(box.y));
    // Those beyond the fiftieth stay in the address, and the next one comes up.
    const named = (): string => new URL(page.url()).searchParams.get('runs') ?? '';
    await page
      .getByRole('button', { name: /^Take .* out$/ })
      .first()
      .click();
    await expect.poll(named).toBe(ids.slice(1).join(','));
    await says(page.locator('.note'), 'The first 50 of 59 runs.');
    await page.keyboard.press('Control+z');
    await expect.poll(named).toBe(ids.join(','));
    await says(page.locator('.note'), 'The first 50 of 60 runs.');
    await page.goto(`${agent.url}/p/many/compare?runs=${ids.slice(0, 50).join(',')}`);
    await page.getByRole('heading', { name: '50 runs side by side' }).waitFor();
    expect(await page.locator('.note').count()).toBe(0);
  });
});
