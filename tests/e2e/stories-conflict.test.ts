import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium } from '../scaffold/browser.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { audit } from './axe.ts';
import { fill } from './fill.ts';
import { profile, rowOf, rows, saved, says, table, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const PROJECT = 'settled';

interface RunView {
  id: string;
  name: string;
  group: string | null;
  notes: string;
  attributes: Record<string, unknown>;
  conflicts: string[];
}

/** What one of the two thinks of the run. */
interface Opinion {
  name: string;
  group: string;
  best: string;
  note: string;
}

const OPINIONS = {
  ada: { name: 'wide net', group: 'candidates', best: '0.91', note: 'Ada: the loss is lower.' },
  bob: { name: 'slow net', group: 'rejected', best: '0.89', note: 'Bob: it takes twice as long.' },
} as const;

const conflict = (page: Page, field: string): Locator => page.getByTestId(`conflict-${field}`);
const FIELDS = ['name', 'group', 'attribute:eval/best'] as const;

/** Renames, regroups, sets an attribute and writes the note, each where a person does it. */
async function change(page: Page, url: string, run: string, { name, group, best, note }: Opinion): Promise<void> {
  await page.goto(`${url}/p/${PROJECT}`);
  await rows(page).first().click();
  await page.keyboard.press('g');
  await page.getByRole('dialog').getByLabel('Group').fill(group);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.goto(`${url}/r/${run}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  const field = page.getByRole('textbox', { name: 'Name', exact: true });
  // The run's name may come a moment after the page.
  await expect
    .poll(async () => {
      await page.keyboard.press('F2');
      return field.isVisible();
    })
    .toBe(true);
  await field.fill(name);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name }).waitFor();
  await page.getByRole('tab', { name: 'Attributes' }).click();
  await page.getByLabel('Path of another attribute').fill('eval/best');
  await page.getByLabel('Value of another attribute').fill(best);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Edit eval/best' }).waitFor();
  await page.getByRole('tab', { name: 'Notes' }).click();
  await page.getByRole('textbox', { name: 'Notes, in Markdown' }).click();
  await page.keyboard.type(`${note}\n\n`);
  await page.keyboard.press('Escape');
  await saved(page);
}

it('[HIS-11] settle a conflict: two people change one run apart, meet, settle it by hand, and read how it came about', async () => {
  const relay = await new Relay().up();
  const [ada, bob] = [new Machine('gpu-1', 'Ada'), new Machine('gpu-2', 'Bob')];
  const token = await relay.token('member', 'scheduler');
  await fill(relay.url, token, { project: PROJECT, runs: 1, newest: Date.now() - 60_000 });
  for (const machine of [ada, bob]) {
    await machine.up();
    await machine.cli('join', relay.url, '--token', await relay.token('member', machine.person));
    await machine.cli('sync', '--timeout', '60');
  }
  const found = await ada.api<{ runs: RunView[] }>('GET', `/projects/${PROJECT}/runs`);
  const run = found.body.runs[0]!.id;
  const view = async (machine: Machine): Promise<RunView> => (await machine.api<RunView>('GET', `/runs/${run}`)).body;

  // Apart: the relay is gone, each has a browser on the own machine.
  await relay.down();
  const context = (): Promise<BrowserContext> => profile(browser);
  const here = await visit(await context(), ada.url);
  const there = await visit(await context(), bob.url);
  await change(here, ada.url, run, OPINIONS.ada);
  await change(there, bob.url, run, OPINIONS.bob);

  // Together: both see in the table that edits differ, and find the run by it.
  await relay.up();
  for (const machine of [ada, bob])
    await expect
      .poll(async () => (await view(machine)).conflicts.length, { timeout: 60_000, interval: 500 })
      .toBe(FIELDS.length);
  for (const [page, machine] of [
    [here, ada],
    [there, bob],
  ] as const) {
    await page.goto(`${machine.url}/p/${PROJECT}?q=conflicted`);
    await says(rows(page).first(), 'differing edits');
    expect(await rows(page).count()).toBe(1);
    await page.getByRole('button', { name: '1 run with differing edits' }).click();
    const dialog = page.getByRole('dialog', { name: 'Differing edits' });
    await says(dialog.getByRole('status'), '3 differences left');
    expect(await audit(page, { within: '[role=dialog]' })).toEqual([]);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect(await audit(page)).toEqual([]);
    // On the run's page: both values, with who said them and when.
    await page.goto(`${machine.url}/r/${run}`);
    for (const [field, which] of [
      ['name', 'name'],
      ['group', 'group'],
      ['attribute:eval/best', 'best'],
    ] as const) {
      for (const [person, opinion] of [
        ['Ada', OPINIONS.ada],
        ['Bob', OPINIONS.bob],
      ] as const) {
        const side = conflict(page, field).getByRole('listitem').filter({ hasText: opinion[which] });
        await says(side, `${person}, `);
        expect(Date.parse((await side.getByText(`${person}, `).getAttribute('title'))!), field).toBeGreaterThan(
          Date.now() - 600_000,
        );
      }
    }
    expect(await audit(page)).toEqual([]);
  }
  // On a phone the differences leave the tabs most of the page, and can all be reached.
  await here.setViewportSize({ width: 390, height: 844 });
  const panel = (await here.getByRole('tabpanel').boundingBox())!;
  expect(panel.height).toBeGreaterThan(844 * 0.35);
  await conflict(here, 'attribute:eval/best').getByRole('button').last().scrollIntoViewIfNeeded();
  expect(await audit(here)).toEqual([]);
  await here.setViewportSize({ width: 1440, height: 900 });
  // Of the note nothing differs: whoever wrote it, both texts are in it.
  const notes = async (): Promise<string[]> => {
    const said = await Promise.all([view(ada), view(bob)]);
    return said.map((each) => each.notes);
  };
  for (const { note } of Object.values(OPINIONS))
    await expect
      .poll(notes, { timeout: 60_000, interval: 500 })
      .toEqual([expect.stringContaining(note), expect.stringContaining(note)]);

  // Ada settles: the name anew, the group and the attribute as Bob had them.
  await conflict(here, 'name').getByRole('textbox').fill('wide and slow net');
  await conflict(here, 'name').getByRole('button', { name: 'Keep that' }).click();
  await here.getByRole('heading', { name: 'wide and slow net' }).waitFor();
  for (const [field, value] of [
    ['group', OPINIONS.bob.group],
    ['attribute:eval/best', OPINIONS.bob.best],
  ] as const) {
    const side = conflict(here, field).getByRole('listitem').filter({ hasText: value });
    await side.getByRole('button', { name: 'Keep this' }).click();
    await conflict(here, field).waitFor({ state: 'detached' });
  }
  // Bob sees it without doing anything.
  await there.getByRole('heading', { name: 'wide and slow net' }).waitFor({ timeout: 60_000 });
  for (const field of FIELDS) await conflict(there, field).waitFor({ state: 'detached', timeout: 60_000 });

  // The history tells all of it, to both.
  for (const page of [here, there]) {
    await page.getByRole('tab', { name: /^History/ }).click();
    const line = (text: string): Locator => page.getByRole('listitem').filter({ hasText: text }).first();
    for (const [person, { name, group, best }] of [
      ['Ada', OPINIONS.ada],
      ['Bob', OPINIONS.bob],
    ] as const) {
      await says(page.getByRole('listitem'), `${person} named it “${name}”`);
      await says(page.getByRole('listitem'), `${person} put it into the group “${group}”`);
      await says(page.getByRole('listitem'), `${person} set eval/best to ${best}`);
    }
    for (const text of ['Ada wrote the notes', 'Bob wrote the notes', 'Ada named it “wide and slow net”'])
      await line(text).waitFor();
    await says(page.getByRole('listitem'), `Ada put it into the group “${OPINIONS.bob.group}”`);
    expect(await audit(page)).toEqual([]);
  }

  // Taking a settling back brings no conflict back, and says why: the last first.
  const notice = here.locator('.notice');
  await here.keyboard.press('Control+z');
  await says(notice, /of “Settled eval\/best”|Undone: Settled eval\/best/);
  await says(notice, 'somebody has seen it all');
  await here.keyboard.press('Control+z');
  await says(notice, /of “Settled the group”|Undone: Settled the group/);
  await here.keyboard.press('Control+z');
  await says(notice, 'Undone: Settled the name.');
  await saved(here);
  const back = await view(ada);
  expect(back.conflicts).toEqual([]);
  expect([OPINIONS.ada.name, OPINIONS.bob.name]).toContain(back.name);
  await here.keyboard.press('Control+Shift+z');
  await here.getByRole('heading', { name: 'wide and slow net' }).waitFor();
  await saved(here);
  // In the end both machines say the same, and the table has nothing left to settle.
  const end = await view(ada);
  await expect
    .poll(async () => view(bob), { timeout: 60_000, interval: 500 })
    .toMatchObject({ name: 'wide and slow net', group: end.group, notes: end.notes, conflicts: [] });
  await there.goto(`${bob.url}/p/${PROJECT}`);
  await rowOf(there, 'wide and slow net').waitFor();
  expect(await there.getByRole('button', { name: /with differing edits/ }).count()).toBe(0);
  expect(await table(there).getByText('differing edits').count()).toBe(0);
}, 240_000);
