import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, fieldbook } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { fill } from './fill.ts';
import {
  agentAt,
  freePort,
  installed,
  namesInOrder,
  profile,
  rowOf,
  rows,
  saved,
  says,
  syncMark,
  table,
  visit,
} from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** An agent with the recorded example runs, and its address for good. */
async function examples() {
  const home = emptyFolder('web');
  const port = await freePort();
  const agent = await agentAt(home, port);
  await ask(agent, 'POST', '/demo', {});
  return { home, port, agent, url: agent.url };
}

describe('the web UI on an agent', () => {
  it('starts empty, loads the examples and shows them', async () => {
    const home = emptyFolder('web');
    const agent = await agentAt(home, await freePort());
    const page = await visit(await profile(browser), agent.url);
    await page.getByRole('heading', { name: 'An empty field book' }).waitFor();
    await page.getByRole('button', { name: 'Load the example runs' }).click();
    await page.getByRole('link', { name: 'digits' }).click();
    await rowOf(page, 'no packages').waitFor();
    const { json } = await ask(agent, 'GET', '/projects/digits/runs');
    // They come in one by one.
    await expect.poll(() => table(page).getAttribute('aria-rowcount')).toBe(String(json.total + 1));
    await expect.poll(() => rows(page).count()).toBe(json.total);
    await saved(page);
  });

  it('filters by a query, points at what is wrong in one, and completes from the data', async () => {
    const { url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits`);
    const query = page.getByRole('combobox', { name: 'Query' });
    await query.fill('status:failed');
    await says(page.getByRole('status'), '1 run of 14 matches');
    await rowOf(page, 'too fast').waitFor();
    await query.fill('params/lr > 0.01 and status =');
    await page.locator('#query-problem').waitFor();
    const wrong = await page.locator('.under .err').allTextContents();
    expect(wrong.join('')).toBe('=');
    expect(await query.getAttribute('aria-invalid')).toBe('true');
    // The last query that could be read stays in force.
    expect(await rows(page).count()).toBe(1);
    await query.fill('val/acc');
    await page
      .getByRole('option', { name: /^val\/accuracy\b/ })
      .first()
      .click();
    expect(await query.inputValue()).toMatch(/^val\/accuracy/);
    await query.fill('val/accuracy.max > 0.9 and params/lr < 0.01');
    const parts = page.getByRole('list', { name: 'Parts of the query' });
    await parts.getByRole('listitem').nth(1).waitFor();
    expect(await parts.getByRole('button').allTextContents()).toEqual([
      'val/accuracy.max > 0.9',
      '×',
      'params/lr < 0.01',
      '×',
    ]);
    await page.getByRole('button', { name: 'Take out params/lr < 0.01' }).click();
    expect(await query.inputValue()).toBe('val/accuracy.max > 0.9');
  });

  it('tags, renames and stars; undo takes the last change back; all of it survives a reload', async () => {
    const { agent, url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits`);
    await rowOf(page, 'too fast').click();
    await page.keyboard.press('t');
    await page.getByRole('textbox', { name: 'Find or make a tag' }).fill('diverged');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Apply' }).click();
    await rowOf(page, 'too fast').getByRole('button', { name: 'diverged' }).waitFor();
    await page.keyboard.press('F2');
    await page.getByRole('textbox', { name: 'Name of too fast' }).fill('far too fast');
    await page.keyboard.press('Enter');
    await rowOf(page, 'far too fast').waitFor();
    await page.keyboard.press('s');
    await rowOf(page, 'far too fast').getByText('starred').waitFor({ state: 'attached' });
    await page.keyboard.press('Control+z');
    await says(page.getByRole('status'), 'Undone: Starred far too fast');
    await saved(page);
    await page.reload();
    await rowOf(page, 'far too fast').getByRole('button', { name: 'diverged' }).waitFor();
    const { json } = await ask(agent, 'GET', '/runs/far%20too%20fast');
    expect(json).toMatchObject({ name: 'far too fast', tags: ['diverged', 'sweep'], star: false });
    const { edits } = (await ask(agent, 'GET', `/runs/${json.id}/history`)).json;
    expect(edits.every((edit: { by: string }) => edit.by === 'Ada')).toBe(true);
  });

  it('[WEB-2] restores query, order and selection from a link', async () => {
    const { url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits`);
    await page.getByRole('combobox', { name: 'Query' }).fill('tags has "sweep"');
    await page.keyboard.press('Enter');
    await page.getByRole('columnheader', { name: 'val accuracy' }).getByRole('button').click();
    // The first and the third from above.
    await table(page).locator('[aria-rowindex="2"]').click();
    await table(page)
      .locator('[aria-rowindex="4"]')
      .click({ modifiers: ['Shift'] });
    await says(page.getByRole('status'), '3 runs selected');
    const order = await namesInOrder(page);
    expect(order).toHaveLength(13);
    const link = page.url();
    expect(link.length).toBeLessThan(160);
    const other = await visit(await profile(browser), link);
    await says(other.getByRole('status'), '3 runs selected');
    // Runs come in one by one, each with its place.
    await expect.poll(() => namesInOrder(other), { timeout: 10_000 }).toEqual(order);
    expect(await other.getByRole('columnheader', { name: 'val accuracy' }).getAttribute('aria-sort')).toBe(
      'descending',
    );
  });

  it('draws the series of selected runs and zooms into them', async () => {
    const { url } = await examples();
    const page = await visit(await profile(browser), `${url}/p/digits`);
    await rowOf(page, 'no packages').click();
    const panel = page.getByRole('region', { name: 'Chart of batch/loss' });
    await panel.and(page.locator('[data-drawn=true]')).waitFor();
    const canvas = panel.locator('canvas[data-lines=all]');
    const colours = () =>
      canvas.evaluate((element: HTMLCanvasElement) => {
        const { data } = element.getContext('2d')!.getImageData(0, 0, element.width, element.height);
        return new Set(new Uint32Array(data.buffer)).size;
      });
    // One line in its colour, with the shades of its edges.
    expect(await colours()).toBeGreaterThan(20);
    const box = (await canvas.boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.4, box.y + 80);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 80, { steps: 5 });
    await page.mouse.up();
    await panel.getByRole('button', { name: 'Whole range' }).click();
    await panel.getByRole('button', { name: 'What to do with batch/loss' }).click();
    await page.getByRole('menuitem', { name: 'Data as a table' }).click();
    await says(page.getByRole('dialog').getByRole('row'), /no packages.*88/);
  });

  it('moves runs to the trash and back, and purges only after asking', async () => {
    const { agent, url } = await examples();
    const context = await profile(browser);
    // An agent that is slow to say whose machine it is: the first key must not be swallowed by a question for the name.
    await context.route(/\/api\/v1\/device$/, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await route.continue();
    });
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'too fast').click();
    await page.getByRole('toolbar').getByText('1 run selected').waitFor();
    await page.keyboard.press('Delete');
    await rowOf(page, 'too fast').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Trash 1' }).click();
    await rowOf(page, 'too fast').click();
    await page.getByRole('button', { name: 'Restore' }).click();
    await says(page.getByRole('main'), 'The trash is empty');
    await page.keyboard.press('Control+z');
    await rowOf(page, 'too fast').click();
    await page.getByRole('button', { name: 'Purge…' }).click();
    await page.getByRole('dialog', { name: 'Purge too fast?' }).getByRole('button', { name: 'Purge for ever' }).click();
    await says(page.getByRole('main'), 'The trash is empty');
    await saved(page);
    expect((await ask(agent, 'GET', '/runs/too%20fast')).status).toBe(404);
    expect((await ask(agent, 'GET', '/projects')).json.projects[0].runs).toBe(13);
  });

  it('serves a phone: browse, search, read a run, tag it', async () => {
    const { url } = await examples();
    const page = await visit(await profile(browser, { width: 390, height: 844 }), url);
    await page.getByRole('link', { name: 'digits' }).click();
    await page.getByRole('combobox', { name: 'Query' }).fill('packages');
    await rowOf(page, 'no packages').getByRole('link').click();
    await page.getByRole('heading', { name: 'no packages' }).waitFor();
    await page.getByRole('button', { name: 'Tag', exact: true }).click();
    await page.getByRole('textbox', { name: 'Find or make a tag' }).fill('reading');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.getByRole('link', { name: 'reading', exact: true }).waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  });
});

describe('the web UI without a server', () => {
  it('[WEB-6] starts, searches, tags and shows seen charts with the agent stopped, and hands the edits over later', async () => {
    const { home, port, agent, url } = await examples();
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'no packages').click();
    await page.locator('[data-drawn=true]').first().waitFor();
    await saved(page);
    await installed(page);
    const address = page.url();
    await agent.program.stop('SIGKILL');
    await page.close();

    const offline = await visit(context, address);
    await rowOf(offline, 'no packages').waitFor();
    await says(syncMark(offline), 'Offline');
    await offline.locator('[data-drawn=true]').first().waitFor();
    await offline.getByRole('combobox', { name: 'Query' }).fill('name ~ /packages/');
    await says(offline.getByRole('status'), '1 run selected');
    await rowOf(offline, 'no packages').click();
    await rowOf(offline, 'no packages').click({ modifiers: ['Control'] });
    await offline.keyboard.press('t');
    await offline.getByRole('textbox', { name: 'Find or make a tag' }).fill('on a plane');
    await offline.keyboard.press('Enter');
    await offline.getByRole('button', { name: 'Apply' }).click();
    await rowOf(offline, 'no packages').getByRole('button', { name: 'on a plane' }).waitFor();
    await says(syncMark(offline), '1 edit not yet on the agent');
    await offline.reload();
    await rowOf(offline, 'no packages').getByRole('button', { name: 'on a plane' }).waitFor();
    await says(syncMark(offline), '1 edit not yet on the agent');

    const back = await agentAt(home, port);
    await saved(offline);
    await rowOf(offline, 'no packages').getByText('not yet saved elsewhere').waitFor({ state: 'detached' });
    expect((await ask(back, 'GET', '/runs/no%20packages')).json.tags).toContain('on a plane');
  });

  it('[WEB-7] keeps two tabs in agreement, with the agent and without', async () => {
    const { agent, url } = await examples();
    const context = await profile(browser);
    const one = await visit(context, `${url}/p/digits`);
    const two = await visit(context, `${url}/p/digits`);
    await rowOf(one, 'too fast').click();
    await one.keyboard.press('s');
    await rowOf(two, 'too fast').getByText('starred').waitFor({ state: 'attached' });
    await saved(one);
    await installed(one);
    await agent.program.stop('SIGKILL');
    await says(syncMark(two), 'Offline');
    await rowOf(two, 'no packages').click();
    await two.keyboard.press('F2');
    await two.getByRole('textbox', { name: 'Name of no packages' }).fill('bare');
    await two.keyboard.press('Enter');
    await rowOf(one, 'bare').waitFor();
    await says(syncMark(one), '1 edit not yet on the agent');
    await says(syncMark(two), '1 edit not yet on the agent');
    await expect.poll(() => rowOf(two, 'bare').count()).toBe(1);
  });

  it('[WEB-8] shows both sides of a conflict with their authors until somebody settles it', async () => {
    const { home, port, agent, url } = await examples();
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'too fast').waitFor();
    await saved(page);
    await installed(page);
    await agent.program.stop('SIGKILL');
    await says(syncMark(page), 'Offline');
    await rowOf(page, 'too fast').click();
    await page.keyboard.press('F2');
    await page.getByRole('textbox', { name: 'Name of too fast' }).fill('diverges');
    await page.keyboard.press('Enter');
    await rowOf(page, 'diverges').waitFor();
    expect((await fieldbook(home, ['rename', 'too fast', 'exploded'], { env: { FIELDBOOK_USER: 'Grace' } })).code).toBe(
      0,
    );

    const back = await agentAt(home, port);
    await saved(page);
    await rows(page).getByText('differing edits').waitFor({ state: 'attached' });
    const name = await rows(page).filter({ hasText: 'differing edits' }).getByRole('link').textContent();
    await rowOf(page, name!).getByRole('link').click();
    const conflict = page.getByRole('group', { name: 'Differing edits of the name' });
    await says(conflict, 'diverges');
    await says(conflict, 'exploded');
    await says(conflict, 'Ada');
    await says(conflict, 'Grace');
    await conflict.getByRole('textbox', { name: 'Another name' }).fill('too fast indeed');
    await conflict.getByRole('button', { name: 'Keep that' }).click();
    await conflict.waitFor({ state: 'detached' });
    await page.getByRole('heading', { name: 'too fast indeed' }).waitFor();
    await saved(page);
    expect((await ask(back, 'GET', '/runs/too%20fast%20indeed')).json.conflicts).toEqual([]);
  });
});

describe('attributes on the run page', () => {
  it('[WEB-15] are edited, taken off and brought back by anybody, and conflicts of them are settled', async () => {
    const { home, port, agent, url } = await examples();
    const { json: before } = await ask(agent, 'GET', '/runs/too%20fast');
    const lr = before.attributes['params/lr'];
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'too fast').getByRole('link').click();
    await page.getByRole('tab', { name: 'Attributes' }).click();
    const shown = async (): Promise<Awaited<ReturnType<typeof ask>>['json']> =>
      (await ask(agent, 'GET', '/runs/too%20fast')).json;
    await page.getByRole('button', { name: 'Edit params/lr' }).click();
    const field = page.getByRole('textbox', { name: 'Value of params/lr' });
    expect(await field.inputValue()).toBe(String(lr));
    await field.fill('0.25');
    await field.press('Enter');
    await page.getByText(`the script said ${lr}`).waitFor();
    await page.getByRole('textbox', { name: 'Path of another attribute' }).fill('eval/verdict');
    await page.getByRole('textbox', { name: 'Value of another attribute' }).fill('true');
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByRole('button', { name: 'Edit eval/verdict' }).waitFor();
    await saved(page);
    expect((await shown()).attributes).toMatchObject({ 'params/lr': 0.25, 'eval/verdict': true });
    await page.getByRole('button', { name: 'Take params/lr off' }).click();
    await page.getByText('taken off').first().waitFor();
    const restore = page.getByRole('button', { name: 'Back to what the script said of params/lr' });
    await restore.click();
    await restore.waitFor({ state: 'detached' });
    await saved(page);
    expect((await shown()).attributes['params/lr']).toBe(lr);

    await installed(page);
    await agent.program.stop('SIGKILL');
    await says(syncMark(page), 'Offline');
    await page.getByRole('button', { name: 'Edit eval/verdict' }).click();
    await page.getByRole('textbox', { name: 'Value of eval/verdict' }).fill('"nan"');
    await page.keyboard.press('Enter');
    await page.getByText('edits not yet on').or(page.getByText('One edit not yet on')).first().waitFor();
    const others = await fieldbook(home, ['set', 'too fast', 'eval/verdict=nan'], { env: { FIELDBOOK_USER: 'Grace' } });
    expect(others.code).toBe(0);
    const back = await agentAt(home, port);
    const conflict = page.getByRole('group', { name: 'Differing edits of eval/verdict' });
    await says(conflict, '"nan"');
    await says(conflict, 'Grace');
    await conflict
      .getByRole('listitem')
      .filter({ hasText: 'Grace' })
      .getByRole('button', { name: 'Keep this' })
      .click();
    await conflict.waitFor({ state: 'detached' });
    await saved(page);
    const { json: after } = await ask(back, 'GET', '/runs/too%20fast');
    expect([after.conflicts, after.edited['eval/verdict'].op]).toEqual([[], 'set']);
    const found = await ask(back, 'GET', `/projects/digits/runs?q=${encodeURIComponent('a:eval/verdict = nan')}`);
    expect(found.json.runs.map(({ id }: { id: string }) => id)).toEqual([before.id]);
  });
});

describe('the web UI on a relay', () => {
  it('[WEB-9] takes a token from the address once, keeps it, and asks for one when it has none', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'reviewer');
    await fill(relay.url, token, { project: 'shared', runs: 3, newest: Date.now() - 60_000 });
    const stranger = await visit(await profile(browser), relay.url);
    await stranger.getByRole('heading', { name: 'This relay asks for a token' }).waitFor();
    await stranger.getByLabel('Token', { exact: true }).fill(token);
    await stranger.getByRole('button', { name: 'Enter' }).click();
    await stranger.getByRole('link', { name: 'shared' }).waitFor();

    const invited = await profile(browser);
    const page = await visit(invited, `${relay.url}/p/shared#token=${token}`);
    expect(page.url()).toBe(`${relay.url}/p/shared`);
    await rows(page).nth(2).waitFor();
    await rows(page).nth(0).click();
    await page.keyboard.press('s');
    await page
      .getByRole('dialog', { name: 'Who is writing?' })
      .getByRole('textbox', { name: 'Your name' })
      .fill('Emmy');
    await page.keyboard.press('Enter');
    await rows(page).nth(0).getByText('starred').waitFor({ state: 'attached' });
    await says(syncMark(page), 'Saved on the relay');
    await page.close();
    const again = await visit(invited, `${relay.url}/p/shared`);
    await rows(again).nth(0).getByText('starred').waitFor({ state: 'attached' });
    const { body } = await relay.api<{ runs: { star: boolean }[] }>(token, 'GET', '/projects/shared/runs?q=star');
    expect(body.runs).toHaveLength(1);
  });
});
