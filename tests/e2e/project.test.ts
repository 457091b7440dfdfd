import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import type { Agent } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, table, visit } from './visit.ts';

const DAY = 86_400_000;
let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

interface Place {
  home: string;
  port: number;
  agent: Agent;
  url: string;
}

async function empty(): Promise<Place> {
  const home = emptyFolder('project');
  const port = await freePort();
  const agent = await agentAt(home, port);
  return { home, port, agent, url: agent.url };
}

/** An agent with the recorded example runs. */
async function examples(): Promise<Place> {
  const place = await empty();
  await ask(place.agent, 'POST', '/demo', {});
  return place;
}

/** An agent with made-up runs in the project `big`. */
async function filled(runs: number): Promise<Place> {
  const place = await empty();
  await fill(place.agent.url, place.agent.token, { project: 'big', runs, newest: Date.now() - 60_000, attributes: 8 });
  return place;
}

async function reader(): Promise<BrowserContext> {
  const context = await profile(browser);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  return context;
}

const clipboard = (page: Page): Promise<string> => page.evaluate(() => navigator.clipboard.readText());
const heads = (page: Page): Locator => table(page).locator('[role=row][aria-expanded]');
const query = (page: Page): Locator => page.getByRole('combobox', { name: 'Query' });
const menu = (page: Page, item: string | RegExp): Promise<void> => page.getByRole('menuitem', { name: item }).click();
const column = (page: Page, name: string): Locator => page.getByRole('columnheader', { name, exact: true });
/** The cell of a row below a column's head. */
const cellOf = async (page: Page, row: Locator, name: string): Promise<Locator> =>
  row.locator(`[role=gridcell][aria-colindex="${await column(page, name).getAttribute('aria-colindex')}"]`);

async function said(page: Page, text: string | RegExp): Promise<void> {
  await says(page.locator('.notices'), text);
}

/** The names on the first lines of the table, which is at its top. */
const firstNames = (page: Page): Promise<string[]> =>
  rows(page).evaluateAll((all) =>
    all
      .map((row) => ({ index: Number(row.ariaRowIndex), name: row.querySelector('a')?.textContent ?? '' }))
      .filter(({ index }) => index <= 11)
      .sort((a, b) => a.index - b.index)
      .map(({ name }) => name),
  );

async function openView(page: Page, name: string | RegExp): Promise<void> {
  await page.getByTitle('Saved views').click();
  await menu(page, name);
}

async function saveView(page: Page, name: string): Promise<void> {
  await openView(page, 'Save as a new view…');
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
  await page.keyboard.press('Enter');
  await said(page, `Saved the view ${name}`);
}

describe('groups', () => {
  it('[GRP-3] group runs on two levels, sum them up, open by pointer and keyboard, and come back from the address', async () => {
    const { agent, url } = await examples();
    const page = await visit(await reader(), `${url}/p/digits?q=tags+has+"sweep"`);
    await rows(page).nth(3).waitFor();
    await page.getByRole('button', { name: 'Group', exact: true }).click();
    const find = page.getByRole('searchbox', { name: 'Find what to group by' });
    await find.fill('params lr');
    await find.press('Enter');
    await find.fill('hidden');
    await page.getByRole('list', { name: 'What to group by' }).getByRole('button').first().click();
    await page.getByRole('button', { name: 'Done' }).click();
    const { json } = await ask(agent, 'GET', `/projects/digits/runs?q=${encodeURIComponent('tags has "sweep"')}`);
    const lrs = new Map<number, number[]>();
    for (const { attributes, metrics } of json.runs)
      lrs.set(attributes['params/lr'], [...(lrs.get(attributes['params/lr']) ?? []), metrics['val/accuracy'].last]);
    const sorted = [...lrs.keys()].sort((a, b) => a - b);
    await heads(page)
      .nth(lrs.size - 1)
      .waitFor();
    expect(await table(page).getAttribute('role')).toBe('treegrid');
    expect(await table(page).getAttribute('aria-rowcount')).toBe(String(lrs.size + 1));
    for (const [place, lr] of sorted.entries()) {
      const accs = lrs.get(lr)!;
      const head = heads(page).nth(place);
      await says(head, `${accs.length} run`);
      const title = await (await cellOf(page, head, 'val accuracy')).getAttribute('title');
      const mean = accs.reduce((sum, value) => sum + value, 0) / accs.length;
      expect(Number(/mean ([\d.]+)/.exec(title!)![1])).toBeCloseTo(mean, 6);
      expect(title).toContain(`greatest ${Math.max(...accs)}`);
    }
    // By keyboard: open, down, open, down to a run, left back to its group, close.
    await table(page).focus();
    await page.keyboard.press('ArrowRight');
    await heads(page).and(page.locator('[aria-level="2"]')).first().waitFor();
    expect(await heads(page).nth(0).getAttribute('aria-expanded')).toBe('true');
    // On into its cells, of which one is copied, and back.
    const at = Number(await column(page, 'val accuracy').getAttribute('aria-colindex'));
    for (let index = 1; index < at; index++) await page.keyboard.press('ArrowRight');
    const cellAtCursor = heads(page)
      .nth(0)
      .locator(`[id="${await table(page).getAttribute('aria-activedescendant')}"]`);
    expect(await cellAtCursor.getAttribute('aria-colindex')).toBe(String(at));
    await page.keyboard.press('Control+c');
    await said(page, 'Copied.');
    const [copied] = (await clipboard(page)).split(' ± ');
    expect(Number(copied)).toBeCloseTo(mean(lrs.get(sorted[0]!)!), 12);
    for (let index = 1; index < at; index++) await page.keyboard.press('ArrowLeft');
    expect(await heads(page).nth(0).getAttribute('aria-expanded')).toBe('true');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    const inner = rows(page).and(page.locator('[aria-level="3"]'));
    await inner.first().waitFor();
    const address = page.url();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('x');
    await says(page.getByRole('toolbar'), '1 run selected');
    await page.keyboard.press('Escape');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await inner.first().waitFor({ state: 'detached' });
    await page.keyboard.press('Control+z');
    await inner.first().waitFor();
    await page.keyboard.press('Control+Shift+z');
    await inner.first().waitFor({ state: 'detached' });

    const other = await visit(await profile(browser), address);
    await rows(other).and(other.locator('[aria-level="3"]')).first().waitFor();
    expect(await heads(other).nth(0).getAttribute('aria-expanded')).toBe('true');
    // Ordered by what the column shows, groups with a better mean come first.
    await other.getByRole('columnheader', { name: 'val accuracy' }).getByRole('button').click();
    const best = sorted.reduce((a, b) => (mean(lrs.get(a)!) > mean(lrs.get(b)!) ? a : b));
    await says(heads(other).nth(0), new RegExp(`lr\\s*${String(best).replace('.', '\\.')}\\b`));
    // A whole group is selected, and undoing the grouping leaves the runs.
    await heads(other).nth(0).click({ button: 'right' });
    await menu(other, /^Select its/);
    await says(other.getByRole('toolbar'), `${lrs.get(best)!.length} runs selected`);
    await other.keyboard.press('Control+z');
    await said(other, 'Undone: Sorted by val/accuracy');
  });
});

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('cells and the query', () => {
  it('[WEB-42] a cell becomes a filter, a chip is changed and taken out, the text follows', async () => {
    const { url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits?cols=a:params/lr,m:val/accuracy.last`);
    const row = rowOf(page, 'lr 0.003, 16, α 1');
    await (await cellOf(page, row, 'params lr')).click({ button: 'right' });
    await menu(page, 'Only params/lr 0.003');
    await expect.poll(() => query(page).inputValue()).toBe('params/lr = 0.003');
    await says(page.getByRole('status'), /4 runs of 14 match/);
    await page.getByRole('button', { name: 'params/lr = 0.003', exact: true }).click();
    const editor = page.getByRole('dialog', { name: 'Change params/lr = 0.003' });
    await editor.getByRole('combobox', { name: 'Operator' }).selectOption('>=');
    await editor.getByRole('textbox', { name: 'Value' }).fill('0.03 oops');
    await page.keyboard.press('Enter');
    await expect.poll(() => query(page).inputValue()).toBe('params/lr >= "0.03 oops"');
    await editor.waitFor({ state: 'detached' });
    await page.keyboard.press('Control+z');
    await expect.poll(() => query(page).inputValue()).toBe('params/lr = 0.003');
    await query(page).fill('params/lr = 0.003 or name ~ /fast/');
    await page.keyboard.press('Escape');
    await (await cellOf(page, rowOf(page, 'too fast'), 'params lr')).click({ button: 'right' });
    await menu(page, /^Not/);
    await expect
      .poll(() => query(page).inputValue())
      .toMatch(/^\(params\/lr = 0.003 or name ~ \/fast\/\) and params\/lr != /);
    await rowOf(page, 'too fast').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /^Take out params\/lr !=/ }).click();
    await rowOf(page, 'too fast').waitFor();
  });

  it('[WEB-41] cells, rows and the whole table are copied and saved', async () => {
    const { url } = await examples();
    const page = await visit(await reader(), `${url}/p/digits?cols=a:params/lr,tags,duration&sort=name`);
    await rowOf(page, 'too fast').click({ position: { x: 36, y: 14 } });
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Control+c');
    await said(page, 'Copied');
    const lr = await clipboard(page);
    expect(Number(lr)).toBeGreaterThan(0);
    // A duration is copied as it is shown.
    for (let step = 0; step < 2; step++) await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Control+c');
    const lasted = await (await cellOf(page, rowOf(page, 'too fast'), 'Duration')).textContent();
    await expect.poll(() => clipboard(page)).toBe(lasted);
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    await menu(page, 'Copy 1 selected run as Markdown');
    await expect
      .poll(() => clipboard(page))
      .toMatch(/^\| name \| id \| params\/lr \| Tags \| Duration \|\n\|---\|---\|---\|---\|---\|\n\| too fast \|/);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Actions' }).click();
    const [file] = await Promise.all([page.waitForEvent('download'), menu(page, 'Save all that match as a CSV file')]);
    expect(file.suggestedFilename()).toBe('digits.csv');
    const stream = await file.createReadStream();
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    const lines = Buffer.concat(parts).toString('utf8').trimEnd().split('\r\n');
    expect(lines).toHaveLength(15);
    expect(lines[0]).toBe('\uFEFFname,id,params/lr,Tags,Duration (s)');
    expect(lines.find((line) => line.startsWith('too fast,'))).toContain(`,${lr},`);
  });
});

describe('saved views and links', () => {
  it('[VIEW-4] are shared, changed apart while offline, merged, and open the project', async () => {
    const { home, port, agent, url } = await examples();
    const [ours, theirs] = [await profile(browser), await profile(browser)];
    const page = await visit(ours, `${url}/p/digits?q=tags+has+"good"&cols=a:params/lr,m:val/accuracy.max`);
    await rows(page).nth(1).waitFor();
    await saveView(page, 'the good ones');
    await saved(page);
    const other = await visit(theirs, `${url}/p/digits`);
    await rows(other).nth(5).waitFor();
    await openView(other, 'the good ones');
    await expect.poll(() => query(other).inputValue()).toBe('tags has "good"');
    expect(await other.getByRole('columnheader').allTextContents()).toHaveLength(3);
    await other.keyboard.press('Control+z');
    await expect.poll(() => query(other).inputValue()).toBe('');
    await openView(other, 'the good ones');

    await Promise.all([saved(page), saved(other), installed(page), installed(other)]);
    await agent.program.stop('SIGKILL');
    await Promise.all([says(syncMark(page), 'Offline'), says(syncMark(other), 'Offline')]);
    await openView(page, /^Rename the good ones/);
    await page.getByRole('textbox', { name: 'Name' }).fill('the best ones');
    await page.keyboard.press('Enter');
    await said(page, 'Renamed the view');
    await query(other).fill('tags has "good" and val/accuracy.max > 0.5');
    await openView(other, 'Save the changes to the good ones');
    await said(other, 'Changed what the view');
    await openView(other, 'Open the project with it');
    await says(syncMark(other), '2 edits not yet on the agent');
    const back = await agentAt(home, port);
    await Promise.all([saved(page), saved(other)]);
    const third = await visit(await profile(browser), `${back.url}/p/digits`);
    // It opens with the view: its name is from one browser, what it shows is from the other.
    await says(third.getByTitle('Saved views'), 'the best ones');
    expect(await query(third).inputValue()).toBe('tags has "good" and val/accuracy.max > 0.5');
    await openView(page, /^the best ones/);
    await expect.poll(() => query(page).inputValue()).toBe('tags has "good" and val/accuracy.max > 0.5');
    await openView(page, 'Remove the best ones');
    await said(page, 'Removed the view');
    await third
      .getByTitle('Saved views')
      .filter({ hasText: /^Views$/ })
      .waitFor();
    await page.keyboard.press('Control+z');
    await says(third.getByTitle('Saved views'), 'the best ones');
  });

  it('[VIEW-4] show what was saved, also what was as usual, to a colleague who has columns and charts of their own', async () => {
    const { url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits?q=tags+has+"good"`);
    await rows(page).nth(1).waitFor();
    // Those that are in sight: more of them when another is hidden.
    const shown = async (of: Page): Promise<(string | null)[]> =>
      (await of.locator('[data-head]').evaluateAll((all) => all.map((each) => each.getAttribute('data-head')))).slice(
        0,
        4,
      );
    await column(page, 'val accuracy').waitFor();
    await saveView(page, 'as it comes');
    await saved(page);
    const columns = await shown(page);
    const other = await visit(await profile(browser), `${url}/p/digits`);
    await rows(other).nth(5).waitFor();
    const log = other.getByRole('toolbar', { name: 'Charts' }).getByRole('checkbox', { name: 'Log' });
    await log.check();
    await other.getByRole('button', { name: 'Columns' }).click();
    await other.getByRole('button', { name: 'Hide Tags' }).click();
    await other.keyboard.press('Escape');
    expect(columns[0]).toBe('tags');
    await expect.poll(() => shown(other)).not.toContain('tags');
    const theirs = await shown(other);
    const opened = async (): Promise<void> => {
      await expect.poll(() => query(other).inputValue()).toBe('tags has "good"');
      await expect.poll(() => shown(other)).toEqual(columns);
      await expect.poll(() => log.isChecked()).toBe(false);
      await expect.poll(() => other.getByTitle('Saved views').textContent()).toBe('as it comes');
    };
    await openView(other, 'as it comes');
    await opened();
    await table(other).focus();
    await other.keyboard.press('Control+z');
    await expect.poll(() => shown(other)).toEqual(theirs);
    await expect.poll(() => log.isChecked()).toBe(true);
    await other.keyboard.press('Control+Shift+z');
    await opened();
    await other.reload();
    await rows(other).nth(1).waitFor();
    await opened();
    await openView(other, 'All runs');
    await expect.poll(() => shown(other)).toEqual(theirs);
    await expect.poll(() => log.isChecked()).toBe(true);
  });

  it('[VIEW-5] a short link opens the page as it was, with every selected run, in a browser that has seen nothing', async () => {
    const { url } = await filled(400);
    const context = await reader();
    const page = await visit(context, `${url}/p/big`);
    await query(page).fill('status:finished');
    await page.locator('[role=status][data-query="status:finished"]').waitFor();
    const usual = await firstNames(page);
    await column(page, 'val loss').getByRole('button').click();
    await expect.poll(() => firstNames(page)).not.toEqual(usual);
    const order = await firstNames(page);
    expect(order.length).toBe(10);
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('button', { name: 'Hide train/loss' }).click();
    await page.keyboard.press('Escape');
    await rows(page).nth(0).click();
    for (let step = 0; step < 119; step++) await page.keyboard.press('Shift+ArrowDown');
    await says(page.getByRole('toolbar'), '120 runs selected');
    await page.getByRole('button', { name: 'Copy link' }).click();
    await said(page, 'Copied a link');
    const link = await clipboard(page);
    expect(link).toMatch(new RegExp(`^${url}/l/[0-9a-z]{12}$`));
    await saved(page);
    const other = await visit(await profile(browser), link);
    await says(other.getByRole('toolbar'), '120 runs selected');
    expect(await query(other).inputValue()).toBe('status:finished');
    await column(other, 'val acc').waitFor();
    expect(await column(other, 'train loss').count()).toBe(0);
    await expect.poll(() => firstNames(other)).toEqual(order);
    // The address is too small for so many; the tab has them over a reload, and another tab is told.
    expect(page.url()).toContain('sel=~');
    await page.reload();
    await says(page.getByRole('toolbar'), '120 runs selected');
    const stranger = await visit(await profile(browser), page.url());
    await said(stranger, 'More runs were selected than an address holds');
    const nowhere = await visit(await profile(browser), `${url}/l/000000000000`);
    await nowhere.getByRole('heading', { name: 'Nobody here knows this link yet' }).waitFor();
  });
});

describe('the selection', () => {
  it('[WEB-45] [WEB-49] says what of it is out of sight, lets go of what is gone, and comes back when another takes its place', async () => {
    const { agent, url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits`);
    await rows(page).nth(5).waitFor();
    const bar = async (text: string): Promise<void> => {
      await expect
        .poll(() => page.getByRole('toolbar', { name: 'selected' }).getByRole('status').textContent(), {
          timeout: 20_000,
        })
        .toBe(text);
    };
    for (const place of [0, 1, 2, 3, 4]) await rows(page).nth(place).getByRole('checkbox').check();
    await bar('5 runs selected');
    const names = (await rows(page).getByRole('link').allTextContents()).slice(0, 5);
    await query(page).fill(`name = "${names[0]}" or name = "${names[1]}"`);
    await bar('5 runs selected, 3 not in this list');
    await query(page).fill('');
    await bar('5 runs selected');
    await table(page).focus();
    const gone = await ask(agent, 'POST', `/runs/${encodeURIComponent(names[4]!)}/edits`, [
      { field: 'purge', op: 'set', value: true },
    ]);
    expect(gone.status).toBe(200);
    await bar('4 runs selected');
    await rowOf(page, names[2]!).click();
    await bar('1 run selected');
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Selected one run instead of 4');
    await bar('4 runs selected');
    await page.keyboard.press('Escape');
    await page.getByRole('toolbar', { name: 'selected' }).waitFor({ state: 'detached' });
    await page.keyboard.press('Control+z');
    await bar('4 runs selected');
    // A range gives back what a shorter one from the same place leaves.
    await rows(page).nth(0).click();
    await rows(page)
      .nth(4)
      .click({ modifiers: ['Shift'] });
    await bar('5 runs selected');
    await rows(page)
      .nth(1)
      .click({ modifiers: ['Shift'] });
    await bar('2 runs selected');
    // A range that ends at a box, on a run that it has already: the box says so, too.
    const boxes = rows(page).getByRole('checkbox');
    await boxes.nth(4).click({ modifiers: ['Shift'] });
    await bar('5 runs selected');
    await boxes.nth(2).click({ modifiers: ['Shift'] });
    await bar('3 runs selected');
    const ticked = (): Promise<boolean[]> =>
      boxes.evaluateAll((all) => all.slice(0, 5).map((box) => (box as HTMLInputElement).checked));
    expect(await ticked()).toEqual([true, true, true, false, false]);
    // Beside the box, within its label, is as good as on it.
    await rows(page)
      .nth(4)
      .locator('label')
      .click({ position: { x: 4, y: 4 } });
    await bar('4 runs selected');
    expect(await ticked()).toEqual([true, true, true, false, true]);
    // What is done to another run leaves it alone; what is purged is gone for good, and nothing offers to undo it.
    const at = (place: number): Promise<void> =>
      rows(page)
        .nth(place)
        .click({ button: 'right', position: { x: 300, y: 14 } });
    await at(6);
    await menu(page, 'Archive');
    await said(page, 'Archived');
    await bar('4 runs selected');
    await at(6);
    await menu(page, 'Move to the trash');
    await said(page, 'Moved to the trash');
    await page.getByRole('button', { name: /^Trash 1/ }).click();
    await expect.poll(() => rows(page).count()).toBe(1);
    await at(0);
    await menu(page, /^Purge/);
    await page.getByRole('button', { name: 'Purge for ever' }).click();
    const purged = page.locator('.notice', { hasText: /^Purged/ });
    await purged.waitFor();
    expect(await purged.getByRole('button', { name: 'Undo' }).count()).toBe(0);
  });
});

describe('many runs at once', () => {
  it('[WEB-44] are tagged, grouped and given an attribute; a tag is renamed and merged everywhere; each is one step', async () => {
    const { agent, url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits?q=tags+has+"sweep"`);
    await rows(page).nth(3).waitFor();
    await page.keyboard.press('Control+a');
    await says(page.getByRole('toolbar'), '13 runs selected');
    await page.getByRole('toolbar').getByRole('button', { name: 'Set attribute' }).click();
    await page.getByLabel('Path').fill('eval/verdict');
    await page.getByLabel('Value').fill('0.5');
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await said(page, 'Set eval/verdict to 0.5: 13 runs');
    await page.getByRole('toolbar').getByRole('button', { name: 'Group' }).click();
    await page.getByRole('textbox', { name: 'Group' }).fill('autumn');
    await page.keyboard.press('Enter');
    await said(page, 'Put into the group autumn: 13 runs');
    await saved(page);
    const found = async (text: string): Promise<number> =>
      (await ask(agent, 'GET', `/projects/digits/runs?q=${encodeURIComponent(text)}`)).json.total;
    expect(await found('eval/verdict = 0.5 and group = autumn')).toBe(13);

    await page.getByRole('button', { name: 'Actions' }).click();
    await menu(page, 'Manage tags…');
    const tags = page.getByRole('dialog', { name: 'Tags of this project' });
    await tags.getByRole('button', { name: 'Rename the tag sweep' }).click();
    await page.getByRole('textbox', { name: 'New name of the tag sweep' }).fill('sweep 1');
    await page.keyboard.press('Enter');
    await said(page, 'Renamed the tag sweep to sweep 1 on 13 runs');
    await tags.getByRole('button', { name: 'Rename the tag good' }).click();
    await page.getByRole('textbox', { name: 'New name of the tag good' }).fill('sweep 1');
    await tags.getByRole('button', { name: 'Merge' }).click();
    await said(page, 'Renamed the tag good to sweep 1 on 2 runs');
    await tags.getByRole('button', { name: 'Rename the tag good' }).waitFor({ state: 'detached' });
    await page.keyboard.press('Escape');
    await saved(page);
    expect([await found('tags has sweep and not tags has "sweep 1"'), await found('tags = "sweep 1"')]).toEqual([
      0, 13,
    ]);
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Renamed the tag good');
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Renamed the tag sweep');
    await saved(page);
    expect([await found('tags = sweep'), await found('tags = good'), await found('tags = "sweep 1"')]).toEqual([
      13, 2, 0,
    ]);
  });

  it('[WEB-45] edits and changes of the view are taken back and done again in order, also of 10,000 runs', async () => {
    const { agent, url } = await filled(10_000);
    const page = await visit(await profile(browser), `${url}/p/big`);
    // Ten thousand edits are seconds of work, and many on a busy machine.
    page.setDefaultTimeout(60_000);
    await rows(page).nth(3).waitFor();
    const both = page.getByRole('group', { name: 'What is shown' }).getByRole('button', { name: 'Both' });
    const pressed = (): Promise<string | null> => both.getAttribute('aria-pressed');
    await page.getByRole('group', { name: 'What is shown' }).getByRole('button', { name: 'Table' }).click();
    await expect.poll(pressed).toBe('false');
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Showed the table only');
    await expect.poll(pressed).toBe('true');
    // Of the browser's own choice, too, which the address does not say.
    await page.reload();
    await rows(page).nth(3).waitFor();
    expect(await pressed()).toBe('true');
    await column(page, 'val loss').getByRole('button').click();
    await page.keyboard.press('Control+a');
    await says(page.getByRole('toolbar'), '10,000 runs selected');
    await page.keyboard.press('e');
    await said(page, /Archived 10,000 runs(?!:)/);
    await says(page.getByRole('main'), 'No runs here');
    await page.getByRole('button', { name: 'Archive 10,000' }).click();
    await rows(page).nth(3).waitFor();
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Went to the archive');
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Archived 10,000 runs');
    await rows(page).nth(3).waitFor();
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Sorted by val/loss');
    await page.keyboard.press('Control+Shift+z');
    await said(page, 'Done again: Sorted by val/loss');
    expect(await column(page, 'val loss').getAttribute('aria-sort')).toBe('descending');
    await page.keyboard.press('Control+Shift+z');
    await said(page, 'Done again: Archived 10,000 runs');
    await says(page.getByRole('main'), 'No runs here');
    await page.keyboard.press('Control+z');
    await rows(page).nth(3).waitFor();
    await saved(page);
    const total = async (): Promise<unknown> =>
      (await ask(agent, 'GET', '/projects/big/runs?q=not+archived&limit=1')).json.total;
    expect(await total()).toBe(10_000);
    // Stopped at the first sight of the button, which is there while the first part is written.
    await page.evaluate(() => {
      const notices = document.querySelector('.notices')!;
      new MutationObserver((_, observer) => {
        const stop = [...notices.querySelectorAll('button')].find(({ textContent }) => textContent === 'Stop');
        if (stop === undefined) return;
        observer.disconnect();
        stop.click();
      }).observe(notices, { childList: true, subtree: true });
    });
    await page.keyboard.press('Control+a');
    await says(page.getByRole('toolbar'), '10,000 runs selected');
    await page.keyboard.press('e');
    await said(page, 'Archived 1,000 runs; stopped before the other 9,000');
    await saved(page);
    expect(await total()).toBe(9_000);
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Archived 1,000 runs');
    await saved(page);
    expect(await total()).toBe(10_000);
  });
});

describe('what comes in meanwhile', () => {
  it('[WEB-46] moves neither the scroll nor the selection, a name that is typed or an open menu', async () => {
    const { agent, url } = await filled(300);
    const page = await visit(await profile(browser), `${url}/p/big`);
    await rows(page).nth(3).waitFor();
    const more = async (seed: number): Promise<void> => {
      // A month of their own each: the directory then has something new to acknowledge.
      await fill(agent.url, agent.token, {
        project: 'big',
        runs: 7,
        newest: Date.now() + 40 * seed * DAY,
        seed,
        attributes: 8,
      });
    };
    const grown = (runs: number): Promise<void> =>
      says(page.getByRole('group', { name: 'Which runs' }), `Runs ${runs}`);
    const settled = (runs: number): Promise<unknown> =>
      page.waitForFunction(
        (count) => document.querySelector('[aria-label="Runs"]')?.getAttribute('aria-rowcount') === String(count + 1),
        runs,
      );
    const grid = table(page);
    await grid.evaluate((element) => (element.scrollTop = 28 * 100));
    await page.waitForFunction(() => [...document.querySelectorAll('[aria-rowindex="110"] a')].length > 0);
    const row = page.locator('[aria-rowindex="110"]');
    const name = (await row.getByRole('link').textContent())!;
    await rowOf(page, name).click();
    const top = async (): Promise<number> => Math.round((await rowOf(page, name).boundingBox())!.y);
    const before = await top();
    await more(2);
    await grown(307);
    await settled(307);
    await expect.poll(top).toBe(before);
    expect(await rowOf(page, name).getAttribute('aria-rowindex')).toBe('117');
    expect(await rowOf(page, name).getAttribute('aria-selected')).toBe('true');
    // The keyboard is still on it.
    await page.keyboard.press('F2');
    const field = page.getByRole('textbox', { name: `Name of ${name}` });
    await field.fill('half a na');
    await more(3);
    await settled(314);
    expect(await field.inputValue()).toBe('half a na');
    await field.pressSequentially('me');
    expect(await top2(field)).toBe(before);
    await page.keyboard.press('Enter');
    await rowOf(page, 'half a name').waitFor();
    // At the very top, where new runs do appear, a name that is typed stays where it is, too.
    await grid.evaluate((element) => (element.scrollTop = 0));
    const first = (await page.locator('[aria-rowindex="3"]').getByRole('link').textContent())!;
    await rowOf(page, first).click({ button: 'right' });
    const open = page.getByRole('menu', { name: 'What to do with the run' });
    await open.waitFor();
    const place = await open.boundingBox();
    await more(4);
    await settled(321);
    expect(await open.boundingBox()).toEqual(place);
    await menu(page, /^Rename/);
    const held = page.getByRole('textbox', { name: `Name of ${first}` });
    await held.fill('typed at the top');
    const heldAt = await top2(held);
    await more(5);
    await settled(328);
    await expect.poll(() => top2(held)).toBe(heldAt);
    await page.keyboard.press('Enter');
    await rowOf(page, 'typed at the top').waitFor();
  });
});

describe('a name', () => {
  it('[WEB-93] goes to the run that it was typed for, also when the row has left the table since', async () => {
    const { agent, url } = await filled(200);
    const page = await visit(await profile(browser), `${url}/p/big`);
    await rows(page).nth(3).waitFor();
    const name = (await rows(page).nth(2).getByRole('link').textContent())!;
    await rowOf(page, name).click();
    await page.keyboard.press('F2');
    const field = page.getByRole('textbox', { name: `Name of ${name}` });
    await field.fill('typed name');
    await table(page).evaluate((element) => (element.scrollTop = 28 * 40));
    await field.waitFor({ state: 'detached' });
    await said(page, `Renamed ${name} to typed name`);
    await saved(page);
    const named = async (text: string): Promise<unknown> =>
      (await ask(agent, 'GET', `/projects/big/runs?q=${encodeURIComponent(`name = "${text}"`)}`)).json.total;
    expect([await named(name), await named('typed name')]).toEqual([0, 1]);
    await table(page).evaluate((element) => (element.scrollTop = 0));
    await rowOf(page, 'typed name').waitFor();
    expect(await rowOf(page, 'typed name').getAttribute('aria-selected')).toBe('true');
    expect(await page.getByRole('textbox', { name: /^Name of/ }).count()).toBe(0);
  });
});

const top2 = async (field: Locator): Promise<number> =>
  field.evaluate((element) => Math.round(element.closest('[role=row]')!.getBoundingClientRect().y));

describe('columns', () => {
  it('[WEB-47] are moved, sized, kept at the left and hidden by keyboard, and stay so', async () => {
    const { agent, url } = await filled(60);
    const page = await visit(
      await profile(browser),
      `${url}/p/big?cols=tags,m:val/loss.last,m:val/acc.last,a:params/lr`,
    );
    await rows(page).nth(3).waitFor();
    const names = async (): Promise<string[]> =>
      (await page.getByRole('columnheader').all()).length === 0
        ? []
        : page
            .getByRole('columnheader')
            .locator('[data-head]')
            .evaluateAll((all) => all.map((each) => (each as HTMLElement).dataset['head']!));
    expect(await names()).toEqual(['tags', 'm:val/loss.last', 'm:val/acc.last', 'a:params/lr']);
    await page.locator('[data-head="a:params/lr"]').focus();
    await page.keyboard.press('Control+ArrowLeft');
    await expect.poll(names).toEqual(['tags', 'm:val/loss.last', 'a:params/lr', 'm:val/acc.last']);
    const width = (): Promise<number> =>
      page.locator('[data-head="a:params/lr"]').evaluate((head) => head.parentElement!.getBoundingClientRect().width);
    const before = await width();
    await page.keyboard.press('Shift+ArrowRight');
    await expect.poll(width).toBe(before + 16);
    await page.locator('[data-head="a:params/lr"]').click({ button: 'right' });
    await menu(page, 'Keep at the left');
    await expect.poll(names).toEqual(['a:params/lr', 'tags', 'm:val/loss.last', 'm:val/acc.last']);
    await page.locator('[data-head="m:val/acc.last"]').click({ button: 'right' });
    await menu(page, 'Show val/best acc');
    await expect.poll(names).toContain('m:val/acc.best');
    await page.locator('[data-head="tags"]').click({ button: 'right' });
    await menu(page, 'Hide the column');
    const chosen = ['a:params/lr', 'm:val/loss.last', 'm:val/acc.last', 'm:val/acc.best'];
    await expect.poll(names).toEqual(chosen);
    await page.keyboard.press('Control+z');
    await expect.poll(names).toContain('tags');
    await page.keyboard.press('Control+Shift+z');
    await expect.poll(names).toEqual(chosen);
    // A new run, a new tab and a plain address change nothing.
    await fill(agent.url, agent.token, {
      project: 'big',
      runs: 3,
      newest: Date.now() + 40 * DAY,
      seed: 9,
      attributes: 12,
    });
    await says(page.getByRole('group', { name: 'Which runs' }), 'Runs 63');
    expect(await names()).toEqual(chosen);
    await page.goto(`${url}/p/big`);
    await expect.poll(names).toEqual(chosen);
    expect(await width()).toBe(before + 16);
    // Scrolled to the side, the first column stays where it is.
    await page.setViewportSize({ width: 800, height: 700 });
    await page.locator('[data-head="m:val/loss.last"]').focus();
    for (let step = 0; step < 30; step++) await page.keyboard.press('Shift+ArrowRight');
    const left = (id: string): Promise<number> =>
      page.locator(`[data-head="${id}"]`).evaluate((head) => head.getBoundingClientRect().left);
    const [stays, goes] = [await left('a:params/lr'), await left('m:val/loss.last')];
    await table(page).evaluate((element) => (element.scrollLeft = 120));
    await expect.poll(() => left('m:val/loss.last')).toBe(goes - 120);
    expect(await left('a:params/lr')).toBe(stays);
    // A width that is changed step by step is one change.
    await page.keyboard.press('Control+z');
    await said(page, 'Undone: Changed the width of val/loss');
    await expect.poll(() => table(page).evaluate((element) => element.scrollLeft)).toBe(0);
    // What all runs say alike is left out on request.
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('group', { name: 'val/loss' }).getByRole('button', { name: 'points' }).click();
    await page.keyboard.press('Escape');
    await expect.poll(names).toContain('m:val/loss.count');
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('checkbox', { name: 'Only what differs between runs' }).check();
    await page.keyboard.press('Escape');
    await expect.poll(names).toEqual(chosen);
  });
});

describe('a phone', () => {
  it('[WEB-48] browses, searches, and tags many runs', async () => {
    const { url } = await examples();
    const page = await visit(
      await profile(browser, { width: 390, height: 844 }, { hasTouch: true, isMobile: true }),
      `${url}/p/digits`,
    );
    await query(page).fill('lr 0.03');
    await says(page.getByRole('status'), /^4 runs of 14 match/);
    await rows(page).nth(0).getByRole('checkbox').check();
    // A thumb hits the box's label; that opens no run.
    await rows(page)
      .nth(1)
      .locator('label')
      .tap({ position: { x: 6, y: 6 } });
    await says(page.getByRole('toolbar'), '2 runs selected');
    await page.getByRole('toolbar').getByRole('button', { name: 'Tag' }).click();
    await page.getByRole('textbox', { name: 'Find or make a tag' }).fill('on the train');
    await page.getByRole('button', { name: 'Apply' }).click();
    await said(page, 'Tagged on the train: 2 runs');
    await query(page).fill('tags has "on the train"');
    await says(rows(page).first(), 'on the train');
    await expect.poll(() => rows(page).count()).toBe(2);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    // It sorts from the menu, for there are no heads.
    const sortBy = async (item: RegExp): Promise<void> => {
      await page.getByRole('button', { name: 'Actions' }).tap();
      await page.getByRole('menuitem', { name: 'Sort by…' }).tap();
      await page.getByRole('menuitem', { name: item }).tap();
    };
    await page.goto(`${url}/p/digits`);
    await rows(page).nth(5).waitFor();
    await sortBy(/^Name$/);
    await expect.poll(() => page.url()).toContain('sort=name');
    await sortBy(/^✓?\s*Name, ascending/);
    await expect.poll(() => page.url()).toContain('sort=-name');
    // A group is selected without a pointer that hovers.
    await page.goto(`${url}/p/digits?by=status`);
    await page
      .getByRole('button', { name: /^Select the runs of/ })
      .first()
      .tap();
    await says(page.getByRole('toolbar'), 'selected');
  });
});
