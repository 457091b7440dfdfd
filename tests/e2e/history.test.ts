import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, profile, saved, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const PROJECT = 'past';

/** An agent with a few runs that people have changed. */
async function changed(runs: number) {
  const agent = await agentAt(emptyFolder('history'), await freePort());
  await fill(agent.url, agent.token, { project: PROJECT, runs, newest: Date.now() - 60_000 });
  const { json } = await ask(agent, 'GET', `/projects/${PROJECT}/runs`);
  const ids = json.runs.map(({ id }: { id: string }) => id) as string[];
  const edit = async (run: string, field: string, value: unknown, more: object = {}) =>
    (await ask(agent, 'POST', `/runs/${run}/edits`, [{ field, op: 'set', value, ...more }])).json;
  const history = async (run: string): Promise<{ id: string; at: number; value: unknown }[]> =>
    (await ask(agent, 'GET', `/runs/${run}/history`)).json.edits;
  const view = async (run: string) => (await ask(agent, 'GET', `/runs/${run}`)).json;
  return { agent, ids, edit, history, view };
}

describe('the history of a run', () => {
  it('[HIS-1] [HIS-3] shows every edit with author, device and values, filters them, takes one back and restores another', async () => {
    const { agent, ids, edit, view } = await changed(1);
    const run = ids[0]!;
    await edit(run, 'name', 'first name');
    await edit(run, 'group', 'a group');
    await edit(run, 'name', 'second name');
    for (const tag of ['one', 'two', 'three']) await edit(run, 'tags', tag, { op: 'add' });
    const page = await visit(await profile(browser), `${agent.url}/r/${run}?tab=history`);
    const line = (text: string) => page.getByRole('listitem').filter({ hasText: text }).first();
    await line('named it “second name”').waitFor();
    // What it was and became.
    expect(await line('named it “second name”').locator('del').textContent()).toBe('first name');
    expect(await line('named it “second name”').locator('ins').textContent()).toBe('second name');
    await line('named it “second name”').getByRole('button', { name: 'Details' }).click();
    await says(line('named it “second name”'), /gpu-1.*d[0-9a-z]{24}.*not signed.*made knowing 1 edit.*on the agent/s);
    await page.getByLabel('What').selectOption('group');
    await expect.poll(() => page.getByText('named it').count()).toBe(0);
    expect(page.url()).toContain('what=group');
    await line('put it into the group').getByRole('button', { name: 'Undo', exact: true }).click();
    await expect.poll(async () => (await view(run)).group, { timeout: 20_000 }).toBeNull();
    await page.getByLabel('What').selectOption('name');
    // The one in force can be taken back, an older value restored; both are edits like any other.
    expect(await line('named it “first name”').getByRole('button', { name: 'Undo', exact: true }).count()).toBe(0);
    await line('named it “first name”').getByRole('button', { name: 'Restore this value' }).click();
    await expect.poll(async () => (await view(run)).name, { timeout: 20_000 }).toBe('first name');
    await saved(page);
    await page.keyboard.press('Control+z');
    await expect.poll(async () => (await view(run)).name, { timeout: 20_000 }).toBe('second name');
    // A line of several edits is taken back, and undone, in one step.
    await page.getByLabel('What').selectOption('tags');
    await line('tagged “one”, “two”, “three”').getByRole('button', { name: 'Undo', exact: true }).click();
    await expect.poll(async () => (await view(run)).tags, { timeout: 20_000 }).toEqual([]);
    await saved(page);
    await page.keyboard.press('Control+z');
    await expect
      .poll(async () => (await view(run)).tags.toSorted(), { timeout: 20_000 })
      .toEqual(['one', 'three', 'two']);
  });

  it('[HIS-2] shows the run as it was at a time of the address, unchangeable, with what differs now', async () => {
    const { agent, ids, edit, history, view } = await changed(1);
    const run = ids[0]!;
    await edit(run, 'name', 'as it was called');
    await edit(run, 'notes', 'what was *thought*');
    const [, second] = await history(run);
    await edit(run, 'name', 'as it is called');
    await edit(run, 'notes', 'what is thought');
    await edit(run, 'star', true);
    const at = second!.at;
    const context = await profile(browser);
    const page = await visit(context, `${agent.url}/r/${run}?at=${new Date(at).toISOString().slice(0, -1)}`);
    await page.getByRole('heading', { name: 'as it was called' }).waitFor();
    const banner = page.getByRole('region', { name: 'As it was' });
    await banner.getByRole('button', { name: '3 differences to now' }).click();
    expect(await banner.locator('dt').allTextContents()).toEqual(['Name', 'Notes', 'Star']);
    await page.getByRole('button', { name: 'Star', exact: true }).click();
    await says(page.getByRole('status'), 'What was cannot be changed');
    await page.getByRole('tab', { name: 'Notes' }).click();
    await page.getByText('what was thought').waitFor();
    expect(await page.getByRole('textbox', { name: 'Notes, in Markdown' }).count()).toBe(0);
    // Event by event with the keyboard: one further is the rename.
    await page.getByRole('tab', { name: /^History/ }).click();
    const slider = page.getByRole('slider', { name: 'As it was at' });
    await slider.focus();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('heading', { name: 'as it is called' }).waitFor();
    await banner.getByRole('button', { name: '2 differences to now' }).waitFor();
    expect(page.url()).toContain('at=');
    await page.keyboard.press('End');
    await banner.waitFor({ state: 'detached' });
    expect(page.url()).not.toContain('at=');
    await page.goto(`${agent.url}/r/${run}?at=2020-01-01`);
    await says(page.getByRole('region', { name: 'As it was' }), 'There was no such run');
    await page.getByRole('button', { name: 'Back to now' }).click();
    await page.getByRole('heading', { name: 'as it is called' }).waitFor();
    expect((await view(run)).star).toBe(true);
  });

  it('[HIS-10] nothing of the run as it was can be changed, by no key, button, dialog or tab', async () => {
    const { agent, ids, edit, history } = await changed(1);
    const run = ids[0]!;
    await edit(run, 'tags', 'then', { op: 'add' });
    await edit(run, 'attribute', 0.5, { path: 'eval/best' });
    const at = (await history(run)).at(-1)!.at;
    await edit(run, 'tags', 'now', { op: 'add' });
    const edits = async (): Promise<number> => (await history(run)).length;
    const before = await edits();
    const past = `at=${new Date(at).toISOString().slice(0, -1)}`;
    const page = await visit(await profile(browser), `${agent.url}/r/${run}?${past}`);
    await page
      .getByRole('region', { name: 'As it was' })
      .getByRole('button', { name: '1 difference to now' })
      .waitFor();
    const refused = page.getByRole('status').filter({ hasText: 'What was cannot be changed' });
    /** Does something and waits until it is refused: the words of the time before are gone first. */
    const refuses = async (what: string, act: () => Promise<void>): Promise<void> => {
      for (const close of await refused.getByRole('button', { name: /Dismiss|Close/ }).all()) await close.click();
      await refused.first().waitFor({ state: 'detached' });
      await act();
      await expect.poll(() => refused.count(), { message: what, timeout: 5_000 }).toBeGreaterThan(0);
      expect(await page.getByRole('dialog').count(), what).toBe(0);
      expect(await page.getByRole('textbox', { name: 'Name', exact: true }).count(), what).toBe(0);
    };
    for (const key of ['t', 'n', 's', 'e', 'F2']) await refuses(key, () => page.keyboard.press(key));
    for (const name of ['Rename', 'Tag', 'Star', 'Archive', 'Trash'])
      await refuses(name, () => page.getByRole('button', { name, exact: true }).click());
    await page.goto(`${agent.url}/r/${run}?tab=attributes&find=eval&${past}`);
    await refuses('Edit', () => page.getByRole('button', { name: 'Edit eval/best' }).click());
    await refuses('Take off', () => page.getByRole('button', { name: 'Take eval/best off' }).click());
    await refuses('Back to the script', () =>
      page.getByRole('button', { name: 'Back to what the script said of eval/best' }).click(),
    );
    await refuses('Set', async () => {
      await page.getByLabel('Path of another attribute').fill('eval/other');
      await page.getByLabel('Value of another attribute').fill('1');
      await page.keyboard.press('Enter');
    });
    expect(await edits()).toBe(before);
  }, 90_000);

  it('[HIS-4] differing edits of a project are found and settled one by one', async () => {
    const { agent, ids, edit, view } = await changed(3);
    for (const run of ids.slice(0, 2)) {
      await edit(run, 'name', 'one', { base: [] });
      await edit(run, 'name', 'other', { base: [] });
    }
    const page = await visit(await profile(browser), `${agent.url}/p/${PROJECT}`);
    await page.getByRole('button', { name: '2 runs with differing edits' }).click();
    const dialog = page.getByRole('dialog', { name: 'Differing edits' });
    await says(dialog.getByRole('status'), '2 differences left');
    await dialog.getByRole('listitem').filter({ hasText: 'one' }).getByRole('button', { name: 'Keep this' }).click();
    await says(dialog.getByRole('status'), '1 difference left, 1 settled');
    await dialog.getByRole('button', { name: 'Later' }).click();
    await says(dialog.getByRole('status'), '1 difference left for later');
    await dialog.getByRole('button', { name: 'Look at them again' }).click();
    await dialog.getByRole('listitem').filter({ hasText: 'other' }).getByRole('button', { name: 'Keep this' }).click();
    await says(dialog.getByRole('status'), 'All settled: 2 differences.');
    await dialog.getByRole('button', { name: 'Done' }).click();
    await saved(page);
    const views = await Promise.all(ids.slice(0, 2).map(view));
    expect(new Set(views.map(({ name }) => name))).toEqual(new Set(['one', 'other']));
    expect(views.flatMap(({ conflicts }) => conflicts)).toEqual([]);
  });
});
