import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, fieldbook } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startProgram } from '../scaffold/program.ts';
import { fillSeries } from './fill-series.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, table, visit } from './visit.ts';

const DAY = 86_400_000;

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function withClipboard(): Promise<BrowserContext> {
  const context = await profile(browser);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  return context;
}

const clipboard = (page: Page): Promise<string> => page.evaluate(() => navigator.clipboard.readText());
const said = (page: Page, text: string | RegExp): Promise<void> => says(page.locator('.notices'), text);

it('[WEB-81] a link made offline counts as not yet saved until the agent has it, and says for whom it opens', async () => {
  const home = emptyFolder('links');
  const port = await freePort();
  const agent = await agentAt(home, port);
  await ask(agent, 'POST', '/demo', {});
  const page = await visit(await withClipboard(), `${agent.url}/p/digits?q=tags+has+"sweep"`);
  await rows(page).nth(3).waitFor();
  await Promise.all([saved(page), installed(page)]);
  await page.getByRole('button', { name: 'Copy link' }).click();
  await said(page, 'Copied a link that opens on this machine. For others, connect it to a relay.');
  await saved(page);
  await agent.program.stop('SIGKILL');
  await says(syncMark(page), 'Offline');
  await page.getByRole('combobox', { name: 'Query' }).fill('tags has "good"');
  await page.getByRole('button', { name: 'Copy link' }).click();
  await says(syncMark(page), '1 edit not yet on the agent');
  // The same once more is no other link.
  await page.getByRole('button', { name: 'Copy link' }).click();
  const link = await clipboard(page);
  expect(link).toMatch(/\/l\/[0-9a-z]{12}$/);
  await says(syncMark(page), '1 edit not yet on the agent');
  await page.reload();
  await says(syncMark(page), '1 edit not yet on the agent');
  await agentAt(home, port);
  await saved(page);
  const other = await visit(await profile(browser), link);
  await expect.poll(() => other.getByRole('combobox', { name: 'Query' }).inputValue()).toBe('tags has "good"');
  // Whoever leaves before it is looked up stays where they went.
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const slow = await profile(browser, undefined, { serviceWorkers: 'block' });
  await slow.route(/\/assets\/worker-[^/]*\.js$/, async (route) => {
    await released;
    await route.continue();
  });
  const late = await visit(slow, link);
  await late.getByText('Looking up what this link shows…').waitFor();
  await late.getByRole('link', { name: 'Fieldbook, all projects' }).click();
  release();
  await late.getByRole('link', { name: 'digits' }).waitFor();
  await saved(late);
  expect(new URL(late.url()).pathname).toBe('/');
});

it('[WEB-82] a viewer of a relay copies a link that works, is told that edits are not theirs, and goes on reading', async () => {
  const home = emptyFolder('viewer');
  const agent = await agentAt(home, await freePort());
  await ask(agent, 'POST', '/demo', {});
  const relay = await new Relay().up();
  const joined = await fieldbook(home, ['join', relay.url, '--token', await relay.token('member', 'gpu-1')]);
  expect(joined.code, joined.stderr).toBe(0);
  const token = await relay.token('viewer', 'guest');
  const context = await withClipboard();
  const page = await visit(context, `${relay.url}/p/digits?q=tags+has+"sweep"#token=${token}`);
  await rows(page).nth(3).waitFor();
  await saved(page);
  await page.getByRole('button', { name: 'Copy link' }).click();
  await said(page, 'Copied a link to what this page shows.');
  const link = await clipboard(page);
  expect(link).toContain(`${relay.url}/p/digits?q=tags+has+"sweep"`);
  await table(page).focus();
  await page.keyboard.press('s');
  await said(page, 'Your token for this relay may only read.');
  expect(await syncMark(page).textContent()).toContain('Saved on the relay');
  // What happens elsewhere still arrives, and the link opens for another.
  const { json } = await ask(agent, 'GET', `/projects/digits/runs?limit=1&q=${encodeURIComponent('tags has "sweep"')}`);
  expect((await fieldbook(home, ['rename', json.runs[0].id, 'seen by a guest'])).code).toBe(0);
  await rowOf(page, 'seen by a guest').waitFor();
  const other = await visit(await profile(browser), `${link}#token=${token}`);
  await rowOf(other, 'seen by a guest').waitFor();
});

it('[WEB-91] a viewer who is given a token that may write writes at once, and renaming the browser before closes nothing', async () => {
  const relay = await new Relay().up();
  const member = await relay.token('member', 'Ada');
  await fill(relay.url, member, { project: 'big', runs: 3, newest: Date.now() - 60_000 });
  const context = await profile(browser);
  const page = await visit(context, `${relay.url}/p/big#token=${await relay.token('viewer', 'Vic')}`);
  await rows(page).nth(2).waitFor();
  await table(page).focus();
  await page.keyboard.press('s');
  await said(page, 'Your token for this relay may only read.');
  await page.goto(`${relay.url}/settings`);
  const name = page.getByRole('textbox', { name: 'Name of this browser' });
  await name.fill('reading room');
  await name.press('Enter');
  await says(syncMark(page), 'Saved on the relay');
  await page.getByLabel('Another token').fill(member);
  await page.getByRole('button', { name: 'Use' }).click();
  await page.getByText('Your token for this relay may only read').waitFor({ state: 'detached' });
  await says(syncMark(page), 'Saved on the relay');
  await page.goBack();
  await rows(page).nth(2).waitFor();
  await table(page).focus();
  await page.keyboard.press('s');
  await page.getByRole('textbox', { name: 'Your name' }).fill('Ada');
  await page.keyboard.press('Enter');
  await rows(page).getByText('starred').first().waitFor({ state: 'attached' });
  await saved(page);
  expect((await relay.api<{ total: number }>(member, 'GET', '/projects/big/runs?q=starred')).body.total).toBe(1);
});

it('[ACC-4] Settings say what to type at the relay to let somebody in, to see the tokens and to end one, which ends its page', async () => {
  const relay = await new Relay().up();
  const page = await visit(await profile(browser), `${relay.url}/settings#token=${await relay.token('member', 'Ada')}`);
  await says(syncMark(page), 'Saved on the relay');
  const commands = await page.getByRole('region', { name: 'Access' }).locator('dd code').allTextContents();
  const type = async (command: string): Promise<string> => {
    const [name, ...args] = command.split(' ');
    const env = { FIELDBOOK_HOME: relay.data, FIELDBOOK_RELAY_DATA: relay.data };
    const program = startProgram(name as 'fieldbook-relay', args, env);
    expect([command, (await program.ended).code, program.output()]).toEqual([command, 0, program.output()]);
    return program.output();
  };
  const [link] = /^\S+#invite=fbi_\S+$/m.exec(await type(commands[0]!))!;
  expect(link).toContain(`${relay.url}/`);
  const laptop = await visit(await profile(browser), link);
  await says(syncMark(laptop), 'Saved on the relay');
  const list = await type(commands[1]!);
  expect(list).toMatch(/member .* laptop \(/);
  const [id] = /^\w+(?= .*Ada$)/m.exec(list)!;
  await type(commands[2]!.replace('ID', id));
  await says(syncMark(page), 'Token not accepted');
  expect(await type(commands[1]!)).not.toContain('Ada');
});

it('[WEB-92] a run that a link selects and that comes in later is selected then, and stays in the address until it is there', async () => {
  const agent = await agentAt(emptyFolder('late'), await freePort());
  await ask(agent, 'POST', '/demo', {});
  const { json } = await ask(agent, 'GET', '/projects/digits/runs?limit=1');
  const here = json.runs[0].id as string;
  const coming = 'comes-later-0001';
  const page = await visit(await profile(browser), `${agent.url}/p/digits?sel=${here.slice(-10)},${coming.slice(-10)}`);
  await says(page.getByRole('toolbar'), '1 run selected');
  expect(page.url()).toContain(coming.slice(-10));
  await fillSeries(agent.url, agent.token, {
    project: 'digits',
    // In a month of its own, of which the directory has something new to acknowledge.
    newest: Date.now() - 400 * DAY,
    seed: 3,
    runs: [{ run: coming, points: 3, metrics: { m0: (step) => step } }],
  });
  await says(page.getByRole('toolbar'), '2 runs selected');
});

it('[WEB-84] what was set about charts is taken back to nothing and done again, and a page that only opens is no step', async () => {
  const agent = await agentAt(emptyFolder('charts'), await freePort());
  await ask(agent, 'POST', '/demo', {});
  const context = await profile(browser);
  const page = await visit(context, `${agent.url}/p/digits`);
  const charts = page.getByRole('toolbar', { name: 'Charts' });
  const log = charts.getByRole('checkbox', { name: 'Log', exact: true });
  await log.check();
  await expect.poll(() => page.url()).toContain('c=ly');
  await page.getByRole('combobox', { name: 'Query' }).fill('tags has "sweep"');
  await page.keyboard.press('Escape');
  await table(page).focus();
  await page.keyboard.press('Control+z');
  await said(page, 'Undone: Asked for');
  await page.keyboard.press('Control+z');
  await said(page, 'Undone: Changed the charts');
  await expect.poll(() => log.isChecked()).toBe(false);
  expect(page.url()).not.toContain('c=');
  await page.reload();
  await rows(page).nth(3).waitFor();
  await charts.waitFor();
  expect(await log.isChecked()).toBe(false);
  // Kept, it is there when the page opens, and nobody did it.
  await log.check();
  await page.goto(`${agent.url}/p/digits`);
  await expect.poll(() => log.isChecked()).toBe(true);
  await expect.poll(() => page.url()).toContain('c=ly');
  await table(page).focus();
  await page.keyboard.press('Control+z');
  await said(page, 'There is nothing to undo.');
  expect(await log.isChecked()).toBe(true);
  await log.uncheck();
  await table(page).focus();
  await page.keyboard.press('Control+z');
  await expect.poll(() => log.isChecked()).toBe(true);
  await page.keyboard.press('Control+Shift+z');
  await expect.poll(() => log.isChecked()).toBe(false);
  // What was set right after it is a step of its own.
  const envelope = charts.getByRole('checkbox', { name: 'Envelope' });
  await charts.getByRole('button', { name: 'More chart settings' }).click();
  await log.check();
  await envelope.uncheck();
  await table(page).focus();
  await page.keyboard.press('Control+z');
  await expect.poll(() => envelope.isChecked()).toBe(true);
  expect(await log.isChecked()).toBe(true);
  await page.keyboard.press('Control+z');
  await expect.poll(() => log.isChecked()).toBe(false);
});

it('[WEB-80] [WEB-84] charts of Compare and of a run: Ctrl+Z takes back what was set, and their link shows them as usual to one who has others', async () => {
  const agent = await agentAt(emptyFolder('others'), await freePort());
  await ask(agent, 'POST', '/demo', {});
  const { json } = await ask(agent, 'GET', '/projects/digits/runs?limit=2');
  const [one, two] = json.runs.map(({ id }: { id: string }) => id);
  const page = await visit(await withClipboard(), `${agent.url}/p/digits/compare?runs=${one},${two}&tab=charts`);
  const logOf = (of: Page) => of.getByRole('toolbar', { name: 'Charts' }).getByRole('checkbox', { name: 'Log' });
  const log = logOf(page);
  const link = async (): Promise<string> => {
    await page.getByRole('button', { name: 'Copy link' }).click();
    await expect.poll(() => clipboard(page)).toContain('c=-');
    return clipboard(page);
  };
  await log.check();
  await expect.poll(() => page.url()).toContain('c=ly');
  await log.blur();
  await page.keyboard.press('Control+z');
  await said(page, 'Undone: Changed the charts');
  await expect.poll(() => log.isChecked()).toBe(false);
  expect(page.url()).not.toContain('c=');
  const links = [await link()];
  await page.goto(`${agent.url}/r/${one}?tab=charts`);
  await log.check();
  await expect.poll(() => page.url()).toContain('c=ly');
  // From another page it goes back to the charts.
  await page.locator('header').getByRole('link', { name: 'digits' }).click();
  await rows(page).nth(3).waitFor();
  await table(page).focus();
  await page.keyboard.press('Control+z');
  await expect.poll(() => new URL(page.url()).pathname).toBe(`/r/${one}`);
  await expect.poll(() => log.isChecked()).toBe(false);
  links.push(await link());

  const theirs = await profile(browser);
  const other = await visit(theirs, `${agent.url}/p/digits`);
  await logOf(other).check();
  for (const each of links) {
    await other.goto(each);
    await other.locator('[data-drawn=true]').first().waitFor();
    expect(await logOf(other).isChecked()).toBe(false);
    // Still so after a reload.
    await other.reload();
    await other.locator('[data-drawn=true]').first().waitFor();
    expect(await logOf(other).isChecked()).toBe(false);
  }
  await other.goto(`${agent.url}/r/${two}?tab=charts`);
  await expect.poll(() => logOf(other).isChecked()).toBe(true);
});

it('[WEB-85] the back button and a reload come back to the line of the table that was left', async () => {
  const agent = await agentAt(emptyFolder('back'), await freePort());
  await fill(agent.url, agent.token, { project: 'big', runs: 2_000, newest: Date.now() - 60_000, attributes: 8 });
  const page = await visit(await profile(browser), `${agent.url}/p/big?sort=name`);
  await rows(page).nth(5).waitFor();
  const top = (): Promise<number> => table(page).evaluate((element) => element.scrollTop);
  await table(page).evaluate((element) => (element.scrollTop = 28 * 900));
  const row = page.locator('[aria-rowindex="910"]');
  const name = (await row.getByRole('link').textContent())!;
  await rowOf(page, name).click();
  const before = await top();
  await page.waitForFunction((at) => (history.state as { place?: { top: number } } | null)?.place?.top === at, before);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name, exact: true }).waitFor();
  await page.goBack();
  await rowOf(page, name).waitFor();
  await expect.poll(top).toBe(before);
  // The keyboard goes on from there.
  await table(page).focus();
  await page.keyboard.press('j');
  await expect
    .poll(() => table(page).getAttribute('aria-activedescendant'))
    .toBe(await page.locator('[aria-rowindex="911"]').getAttribute('id'));
  await page.reload();
  await rowOf(page, name).waitFor();
  await expect.poll(top).toBe(before);
  // Another question begins at its top.
  await page.goto(`${agent.url}/p/big?sort=name&q=status:finished`);
  await rows(page).nth(5).waitFor();
  expect(await top()).toBe(0);
});
