import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import type { Agent } from '../fixtures/agent.ts';
import { faultProxy } from '../fixtures/fault-proxy.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { example, Machine, Relay } from '../scaffold/machine.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const query = (page: Page): Locator => page.getByRole('combobox', { name: 'Query' });
const drawn = (page: Page): Promise<void> =>
  page.getByRole('region', { name: 'Chart of batch/loss' }).and(page.locator('[data-drawn=true]')).waitFor();
const region = (page: Page, name: string): Locator => page.getByRole('region', { name });

/** Tags whatever is selected. */
async function tagSelected(page: Page, word: string): Promise<void> {
  await page.keyboard.press('t');
  await page.getByRole('textbox', { name: 'Find or make a tag' }).fill(word);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Apply' }).click();
}

async function until<T>(look: () => Promise<T>, fits: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 45_000;
  for (;;) {
    const value = await look();
    if (fits(value)) return value;
    if (Date.now() > deadline) throw new Error(`It stayed ${JSON.stringify(value).slice(0, 2_000)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

interface Edit {
  field: string;
  op: string;
  value: unknown;
}
const digest = async (agent: Agent): Promise<string> =>
  (await ask(agent, 'GET', '/projects/digits/digest')).json.digest;

describe('stories', () => {
  it('[PWA-10] work through a flight: everything offline, then everybody has everything once, and a stick carries it on', async () => {
    // At home: a laptop with the page installed, and a colleague's machine, on one relay.
    const relay = await new Relay().up();
    const road = await faultProxy(relay.url);
    const home = emptyFolder('laptop');
    const port = await freePort();
    const before = await agentAt(home, port);
    const { url } = before;
    await ask(before, 'POST', '/demo', {});
    await ask(before, 'POST', '/join', { url: road.url, token: await relay.token('member', 'Ada') });
    await until(
      () => ask(before, 'GET', '/sync'),
      ({ json }) => json.settled,
    );
    const grace = await new Machine('gpu-2', 'Grace').up();
    await grace.cli('join', relay.url, '--token', await relay.token('member', 'Grace'));
    await grace.cli('sync');
    const idOf = async (name: string): Promise<string> =>
      (await ask(before, 'GET', `/runs/${encodeURIComponent(name)}`)).json.id;
    const [fast, bare] = [await idOf('too fast'), await idOf('no packages')];
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'no packages').click();
    await drawn(page);
    await saved(page);
    await installed(page);

    // In the air: no relay, no agent. A training writes to the laptop's disk meanwhile.
    road.refuse(true);
    road.cut();
    await before.program.stop();
    await says(syncMark(page), 'Offline');
    const { command, env } = pythonForTests();
    const script = example('digits/train_stdlib.py');
    const training = startCommand(command, [script, '--epochs', '2', '--name', 'trained in the air'], {
      ...env,
      FIELDBOOK_HOME: home,
      FIELDBOOK_USER: 'Ada',
      FIELDBOOK_HOST: 'laptop',
    });
    // Search, save what was found, and tag all of it at once.
    await query(page).fill('params/lr = 0.003');
    await page.keyboard.press('Escape');
    await expect.poll(() => rows(page).count()).toBe(4);
    await page.getByTitle('Saved views').click();
    await page.getByRole('menuitem', { name: 'Save as a new view…' }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('in the air');
    await page.keyboard.press('Enter');
    await says(page.locator('.notices'), 'Saved the view in the air');
    await rows(page)
      .first()
      .click({ position: { x: 36, y: 14 } });
    await rows(page)
      .last()
      .click({ position: { x: 36, y: 14 }, modifiers: ['Shift'] });
    await says(page.getByRole('toolbar'), '4 runs selected');
    await tagSelected(page, 'flight');
    for (const row of await rows(page).all()) await row.getByRole('button', { name: 'flight' }).waitFor();
    // Open a run, write down what was seen.
    await page.goto(`${url}/r/${fast}?tab=notes`);
    const note = page.getByRole('textbox', { name: 'Notes, in Markdown' });
    await note.click();
    await page.keyboard.type('The rate is ten times too high.');
    await page.keyboard.press('Escape');
    await says(region(page, 'The note as it is read'), 'The rate is ten times too high.');
    // Compare two, by an address that was never opened before.
    await page.goto(`${url}/p/digits/compare?runs=${fast},${bare}`);
    for (const name of ['too fast', 'no packages']) await page.getByText(name).first().waitFor();
    await page.getByText('params/lr').first().waitFor();
    // Start anew: the chart that was seen before, every edit, and a second tab with one more.
    await page.goto(`${url}/p/digits`);
    await page.reload();
    await rowOf(page, 'no packages').click();
    await drawn(page);
    const second = await visit(context, `${url}/p/digits?q=tags+has+"flight"`);
    await expect.poll(() => rows(second).count()).toBe(4);
    await query(second).fill('');
    await rowOf(second, 'no packages').click();
    await tagSelected(second, 'second tab');
    await rowOf(page, 'no packages').getByRole('button', { name: 'second tab' }).waitFor();
    // Four tags, a note, a view and the other tab's tag.
    for (const each of [page, second]) await says(syncMark(each), /Offline.*edits? not yet on the agent/);
    const { code } = await training.ended;
    expect(code, training.output()).toBe(0);

    // Meanwhile the colleague works on the same runs, and on one of her own.
    const edit = (run: string, body: object) => grace.api('POST', `/runs/${run}/edits`, [body]);
    await edit(fast, { field: 'tags', op: 'add', value: 'seen by Grace' });
    await edit(fast, { field: 'notes', op: 'set', value: 'Grace: the loss is NaN from step 40 on.' });
    await edit(bare, { field: 'name', op: 'set', value: 'packages lost' });
    const hers = grace.train(script, '--epochs', '1', '--name', 'by Grace');
    expect((await hers.ended).code, hers.output()).toBe(0);
    await grace.cli('sync');

    // Landed: the agent starts, the relay answers.
    const agent = await agentAt(home, port);
    road.refuse(false);
    for (const each of [page, second]) await saved(each);
    for (const name of ['trained in the air', 'by Grace', 'packages lost']) await rowOf(page, name).waitFor();
    await rowOf(page, 'too fast').getByRole('button', { name: 'seen by Grace' }).waitFor();
    expect(await rows(page).count()).toBe(16);
    await until(
      () => ask(agent, 'GET', '/sync'),
      ({ json }) => json.settled,
    );
    // Both notes stand, in one text.
    const both = (text: string): boolean =>
      text.includes('The rate is ten times too high.') && text.includes('Grace: the loss is NaN from step 40 on.');
    const after = await until(
      async () => (await ask(agent, 'GET', `/runs/${fast}`)).json,
      ({ notes, conflicts }) => both(notes) && conflicts.length === 0,
    );
    expect(after.tags).toContain('seen by Grace');
    // Nothing twice, nothing lost.
    const tagged = (await ask(agent, 'GET', '/projects/digits/runs?q=tags%20has%20%22flight%22')).json.runs;
    expect(tagged).toHaveLength(4);
    for (const { id } of [...tagged, { id: bare }]) {
      const { edits } = (await ask(agent, 'GET', `/runs/${id}/history`)).json as { edits: Edit[] };
      const word = id === bare ? 'second tab' : 'flight';
      expect(edits.filter(({ field, value }) => field === 'tags' && value === word)).toHaveLength(1);
    }
    const series = (await ask(agent, 'GET', `/projects/digits/runs?q=${encodeURIComponent('name ~ /in the air/')}`))
      .json;
    expect(series.runs).toMatchObject([{ status: 'finished' }]);
    await until(
      () => grace.api<{ tags: string[] }>('GET', `/runs/${bare}`),
      ({ body }) => body.tags.includes('second tab'),
    );
    await until(
      async () => [
        await digest(agent),
        (await grace.api<{ digest: string }>('GET', '/projects/digits/digest')).body.digest,
      ],
      ([ours, other]) => ours === other && /^[0-9a-f]{64}$/.test(ours!),
    );
    // The page says so, and the colleague's page has the view.
    await page.goto(`${url}/sync`);
    await says(region(page, 'Relays of this machine'), 'Everything on this machine is also on its relays.');
    await says(region(page, 'Only on this machine'), 'Nothing: a relay has acknowledged every run');
    const hersPage = await visit(await profile(browser), `${grace.url}/p/digits`);
    await hersPage.getByTitle('Saved views').click();
    await hersPage.getByRole('menuitem', { name: /^in the air/ }).click();
    await expect.poll(() => query(hersPage).inputValue()).toBe('params/lr = 0.003');

    // By stick to a machine that has never had a network.
    const bundles = region(page, 'Bundles');
    await says(bundles.getByRole('status'), '16 runs');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      bundles.getByRole('button', { name: 'Make a bundle' }).click(),
    ]);
    const third = await agentAt(emptyFolder('cluster'), await freePort());
    const there = await visit(await profile(browser), `${third.url}/sync`);
    await there.getByLabel('Bundles to take in').setInputFiles(await download.path());
    const dialog = there.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Take it in' }).click();
    await says(dialog.getByRole('status'), 'All of it is on the disk of this machine');
    await dialog.getByRole('link', { name: 'digits' }).click();
    for (const name of ['trained in the air', 'by Grace', 'packages lost']) await rowOf(there, name).waitFor();
    expect(await rows(there).count()).toBe(16);
    await rowOf(there, 'packages lost').getByRole('button', { name: 'second tab' }).waitFor();
    expect(await digest(third)).toBe(await digest(agent));
    expect(both((await ask(third, 'GET', `/runs/${fast}`)).json.notes)).toBe(true);
    await there.getByTitle('Saved views').click();
    await there.getByRole('menuitem', { name: /^in the air/ }).click();
    await expect.poll(() => rows(there).count()).toBe(4);
    await query(there).fill('name = "trained in the air"');
    await rowOf(there, 'trained in the air').click();
    await there.locator('section.panel[data-drawn=true]').first().waitFor();
  }, 300_000);
});
