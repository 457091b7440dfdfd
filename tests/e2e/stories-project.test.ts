import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, fieldbook } from '../fixtures/agent.ts';
import type { Agent } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { example, Relay } from '../scaffold/machine.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, table, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** Trains the example for real, once for each learning rate. */
async function train(home: string, rates: readonly string[]): Promise<void> {
  const { command, env } = pythonForTests();
  for (const lr of rates) {
    const run = startCommand(
      command,
      [example('digits/train_stdlib.py'), '--lr', lr, '--epochs', '3', '--name', `lr ${lr}`],
      { ...env, FIELDBOOK_HOME: home, FIELDBOOK_USER: 'Ada', FIELDBOOK_HOST: 'gpu-1' },
    );
    const { code } = await run.ended;
    expect(code, run.output()).toBe(0);
  }
}

async function withClipboard(): Promise<BrowserContext> {
  const context = await profile(browser);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  return context;
}

async function join(agent: Agent, relay: Relay): Promise<void> {
  const { code, stderr } = await fieldbook(agent.home, [
    'join',
    relay.url,
    '--token',
    await relay.token('member', 'gpu-1'),
  ]);
  expect(code, stderr).toBe(0);
}

const query = (page: Page): Locator => page.getByRole('combobox', { name: 'Query' });
const head = (page: Page, name: string): Locator => page.getByRole('columnheader', { name, exact: true });
const notices = (page: Page): Locator => page.locator('.notices');

async function choose(page: Page, item: string | RegExp): Promise<void> {
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: item }).click();
}

async function total(agent: Agent, project: string, text: string): Promise<number> {
  return (await ask(agent, 'GET', `/projects/${project}/runs?limit=1&q=${encodeURIComponent(text)}`)).json.total;
}

it('finds the best run of last week among ten thousand and tags it, and it is tagged for the command line, too', async () => {
  const home = emptyFolder('best');
  const agent = await agentAt(home, await freePort());
  await fill(agent.url, agent.token, { project: 'sweep', runs: 10_000, newest: Date.now() - 60_000, attributes: 12 });
  const wanted = 'created > -7d and status:finished';
  const { json } = await ask(
    agent,
    'GET',
    `/projects/sweep/runs?limit=1&sort=-val/acc.last&q=${encodeURIComponent(wanted)}`,
  );
  const best = json.runs[0];

  // From the first page, by keyboard as far as hands stay on it: the project, the query, the order.
  const page = await visit(await profile(browser), agent.url);
  await page.getByRole('link', { name: 'sweep' }).first().click();
  await rows(page).nth(5).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('created > -7d and status:fin');
  await page.keyboard.press('Enter');
  await expect.poll(() => query(page).inputValue()).toContain('status:fin');
  await query(page).fill(wanted);
  await says(page.getByRole('status'), /of 10,000 match/);
  await head(page, 'val acc').getByRole('button').click();
  await expect.poll(() => head(page, 'val acc').getAttribute('aria-sort')).toBe('descending');
  await expect.poll(() => rows(page).first().getByRole('link').textContent()).toBe(best.name);
  // It is of this week, says the row; the charts show it first.
  await table(page).focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('x');
  await says(page.getByRole('toolbar'), '1 run selected');
  await page.keyboard.press('t');
  await page.getByRole('textbox', { name: 'Find or make a tag' }).fill('best of the week');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Apply' }).click();
  await says(notices(page), `Tagged best of the week: ${best.name}`);
  await says(rowOf(page, best.name), 'best of the week');
  await saved(page);
  expect(await total(agent, 'sweep', 'tags has "best of the week"')).toBe(1);
  const found = await fieldbook(home, ['ls', '--project', 'sweep', 'tags has "best of the week"']);
  expect(found.stdout, found.stderr).toContain(best.name);
});

it('renames a tag everywhere: in two browsers, on the relay and in the query, also when a machine was away', async () => {
  const relay = await new Relay().up();
  const home = emptyFolder('retag');
  await train(home, ['0.1', '0.05']);
  const port = await freePort();
  const agent = await agentAt(home, port);
  await fill(agent.url, agent.token, { project: 'digits', runs: 600, newest: Date.now() - 60_000, attributes: 8 });
  await join(agent, relay);
  for (const name of ['lr 0.1', 'lr 0.05']) expect((await fieldbook(home, ['tag', name, 'baseline'])).code).toBe(0);
  const tagged = await total(agent, 'digits', 'tags has baseline');
  expect(tagged).toBeGreaterThan(80);

  const page = await visit(await profile(browser), `${agent.url}/p/digits?q=tags+has+baseline`);
  await says(page.getByRole('status'), `${tagged} runs of 602 match`);
  const token = await relay.token('member', 'bob');
  const colleague = await visit(await profile(browser), `${relay.url}/p/digits?q=tags+has+reference#token=${token}`);
  await says(colleague.getByRole('main'), /No run|Nothing/);

  // The agent is away when it is renamed: this browser has it, and says so.
  await Promise.all([saved(page), installed(page)]);
  await agent.program.stop('SIGKILL');
  await says(syncMark(page), 'Offline');
  await choose(page, 'Manage tags…');
  await page.getByRole('dialog').getByRole('button', { name: 'Rename the tag baseline' }).click();
  await page.getByRole('textbox', { name: 'New name of the tag baseline' }).fill('reference');
  await page.keyboard.press('Enter');
  await says(notices(page), `Renamed the tag baseline to reference on ${tagged} runs`);
  await page.keyboard.press('Escape');
  await says(syncMark(page), `${(2 * tagged).toLocaleString('en')} edits not yet on the agent`);
  const back = await agentAt(home, port);
  await saved(page);
  expect([await total(back, 'digits', 'tags has baseline'), await total(back, 'digits', 'tags has reference')]).toEqual(
    [0, tagged],
  );
  // The colleague sees them come in, without a reload.
  await says(colleague.getByRole('status'), `${tagged} runs of 602 match`);
  await query(colleague).fill('tags has reference and name ~ /^lr/');
  await rowOf(colleague, 'lr 0.05').waitFor();
  // One step takes it back, everywhere.
  await page.keyboard.press('Control+z');
  await says(notices(page), 'Undone: Renamed the tag baseline');
  await query(colleague).fill('tags has baseline');
  await says(colleague.getByRole('status'), `${tagged} runs of 602 match`);
});

it('[WEB-80] [WEB-81] hands a link to a colleague, who sees the same at the relay, whatever their own choices, and again without a network', async () => {
  const relay = await new Relay().up();
  const home = emptyFolder('hand-over');
  await train(home, ['0.2', '0.1', '0.05']);
  const agent = await agentAt(home, await freePort());
  await join(agent, relay);
  const page = await visit(await withClipboard(), `${agent.url}/p/digits`);
  await rows(page).nth(2).waitFor();

  // Ada looks at two of them, by learning rate, with a column of her own, and closely at the beginning of a loss.
  await query(page).fill('params/lr < 0.15');
  await says(page.getByRole('status'), '2 runs of 3 match');
  await page.getByRole('button', { name: 'Group', exact: true }).click();
  const by = page.getByRole('searchbox', { name: 'Find what to group by' });
  await by.fill('params lr');
  await by.press('Enter');
  await page.getByRole('button', { name: 'Done' }).click();
  await table(page).locator('[role=row][aria-expanded]').first().click({ button: 'right' });
  await page.getByRole('menuitem', { name: 'Open all groups' }).click();
  await rowOf(page, 'lr 0.05').waitFor();
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('button', { name: 'Hide Created' }).click();
  await page.keyboard.press('Escape');
  const chart = (of: Page): Locator => of.locator('section[aria-label="Chart of val/loss"]');
  await rowOf(page, 'lr 0.05').getByRole('checkbox').check();
  await rowOf(page, 'lr 0.1').getByRole('checkbox').check();
  await page.locator('section[aria-label="Chart of val/loss"][data-drawn="true"]').waitFor();
  await page.getByRole('button', { name: 'Copy link' }).click();
  await says(notices(page), 'Copied a link at the relay');
  const before = await page.evaluate(() => navigator.clipboard.readText());
  await chart(page).getByRole('slider').focus();
  await page.keyboard.press('+');
  await chart(page).getByRole('button', { name: 'Whole range' }).waitFor();
  await expect.poll(() => page.url()).toMatch(/[?&]c=z/);
  const zoom = new URL(page.url()).searchParams.get('c');
  const logarithmic = (of: Page): Locator =>
    of.getByRole('toolbar', { name: 'Charts' }).getByRole('checkbox', { name: 'Log' });
  const heads = async (of: Page): Promise<(string | null)[]> =>
    of.locator('[data-head]').evaluateAll((all) => all.map((each) => each.getAttribute('data-head')));
  const columns = await heads(page);
  await page.getByRole('button', { name: 'Copy link' }).click();
  await says(notices(page), `Copied a link at the relay ${new URL(relay.url).host}: it opens for everybody`);
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).not.toBe(before);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toMatch(new RegExp(`^${relay.url}/l/[0-9a-z]{12}$`));

  // Bob has choices of his own about this project: he looks at the table alone, on logarithmic charts, in other columns.
  const theirs = await profile(browser);
  const bob = await visit(theirs, `${relay.url}/p/digits#token=${await relay.token('member', 'bob')}`);
  await rows(bob).nth(2).waitFor();
  await logarithmic(bob).check();
  await bob.getByRole('button', { name: 'Columns' }).click();
  await bob.getByRole('button', { name: 'Hide Tags' }).click();
  await bob.keyboard.press('Escape');
  await bob.getByRole('group', { name: 'What is shown' }).getByRole('button', { name: 'Table' }).click();
  const sees = async (of: Page): Promise<void> => {
    await says(of.getByRole('toolbar'), '2 runs selected');
    expect(await query(of).inputValue()).toBe('params/lr < 0.15');
    await rowOf(of, 'lr 0.05').waitFor();
    expect(await table(of).locator('[role=row][aria-expanded="true"]').count()).toBe(2);
    expect(await heads(of)).toEqual(columns);
    await of.locator('section[aria-label="Chart of val/loss"][data-drawn="true"]').waitFor();
    await chart(of).getByRole('button', { name: 'Whole range' }).waitFor();
    expect(await logarithmic(of).isChecked()).toBe(false);
    await expect.poll(() => new URL(of.url()).searchParams.get('c')).toBe(zoom);
  };
  await bob.goto(link);
  await sees(bob);
  // The one from before she looked closer shows the charts as she had them, not as he has them.
  await bob.goto(before);
  await says(bob.getByRole('toolbar'), '2 runs selected');
  await bob.locator('section[aria-label="Chart of val/loss"][data-drawn="true"]').waitFor();
  expect(await logarithmic(bob).isChecked()).toBe(false);
  expect(await chart(bob).getByRole('button', { name: 'Whole range' }).count()).toBe(0);
  await Promise.all([saved(bob), installed(bob)]);

  // On the train, with the relay out of reach, from what this browser has.
  await relay.down('SIGKILL');
  await theirs.setOffline(true);
  await bob.goto(link);
  await sees(bob);
  // His own choices are as they were.
  await bob.goto(`${relay.url}/p/digits`);
  await rows(bob).nth(2).waitFor();
  expect(await heads(bob)).not.toContain('tags');
  expect(await bob.getByRole('toolbar', { name: 'Charts' }).count()).toBe(0);

  // Ada copies another while the relay is away, and is told; the address on her own machine is one click further.
  await query(page).fill('params/lr < 0.2');
  await says(page.getByRole('toolbar'), '2 runs selected');
  await expect
    .poll(async () => (await ask(agent, 'GET', '/sync')).json.peers[0].connected, { timeout: 20_000 })
    .toBe(false);
  await page.getByRole('button', { name: 'Copy link' }).click();
  await says(notices(page), 'This machine does not reach it now');
  await page.getByRole('button', { name: 'Copy the address on this machine' }).first().click();
  await says(notices(page), 'Copied a link that opens on this machine.');
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toMatch(new RegExp(`^${agent.url}/l/`));
});
