import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import { Script } from '../fixtures/spool.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { agentAt, freePort, profile, rowOf, rows, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function examples(): Promise<string> {
  const agent = await agentAt(emptyFolder('help'), await freePort());
  await ask(agent, 'POST', '/demo', {});
  return agent.url;
}

describe('help', () => {
  it('shows a newcomer three steps, takes nothing away meanwhile, and never comes back', async () => {
    const url = await examples();
    const context = await profile(browser, undefined, { newcomer: true });
    const page = await visit(context, `${url}/p/digits`);
    const tour = page.getByRole('region', { name: 'First steps' });
    await says(tour, '1 of 3');
    // It lies over none of the runs that it speaks of.
    await rows(page).nth(13).waitFor();
    const top = (await tour.boundingBox())!.y;
    for (const row of await rows(page).all()) {
      const { y, height } = (await row.boundingBox())!;
      expect(y + height).toBeLessThanOrEqual(top);
    }
    // Not a dialog: the page goes on working beside it.
    await page.getByRole('combobox', { name: 'Query' }).fill('status:failed');
    await rowOf(page, 'too fast').waitFor();
    await tour.getByRole('button', { name: 'Next' }).click();
    await says(tour, '2 of 3');
    const beside = (await tour.boundingBox())!;
    expect(beside.y + beside.height).toBeLessThanOrEqual(900);
    await rowOf(page, 'too fast').click();
    await says(page.getByRole('toolbar'), '1 run selected');
    await tour.getByRole('button', { name: 'Next' }).press('Enter');
    await says(tour, '3 of 3');
    await tour.getByRole('button', { name: 'Done' }).click();
    await tour.waitFor({ state: 'detached' });
    await page.reload();
    await rowOf(page, 'too fast').waitFor();
    expect(await tour.count()).toBe(0);
    // Who left it in the middle is not asked again either.
    const other = await visit(await profile(browser, undefined, { newcomer: true }), `${url}/p/digits`);
    await other.getByRole('region', { name: 'First steps' }).waitFor();
    await other.reload();
    await rows(other).first().waitFor();
    expect(await other.getByRole('region', { name: 'First steps' }).count()).toBe(0);
  });

  it('goes to any project, run or action from one field, and to what was chosen lately first', async () => {
    const page = await visit(await profile(browser), await examples());
    const palette = page.getByRole('dialog', { name: 'Go to' });
    const field = palette.getByRole('combobox');
    const open = async (): Promise<void> => {
      await page.keyboard.press('Control+k');
      await field.waitFor();
    };
    await page.getByRole('link', { name: 'digits' }).waitFor();
    await open();
    await field.fill('digts');
    await palette.getByRole('option', { name: /^digits/ }).waitFor();
    await field.press('Enter');
    await rows(page).first().waitFor();
    // A run by two of its words, wherever one is.
    await open();
    await field.fill('too fast');
    await palette.getByRole('option', { name: /^too fast run in digits/ }).waitFor();
    await palette.getByRole('option', { name: /^too fast/ }).click();
    await page.getByRole('heading', { name: 'too fast' }).waitFor();
    // Actions of the page one is on.
    await open();
    await field.fill('star');
    await palette.getByRole('option', { name: /^Star this run/ }).click();
    await page.getByRole('button', { name: '★ Starred' }).waitFor();
    await open();
    expect(await palette.getByRole('option').first().textContent()).toMatch(/^(Star this run|digits)/);
    await field.fill('zzzz');
    await says(palette, 'Nothing has these words');
    await field.press('Escape');
    await palette.waitFor({ state: 'detached' });
  });

  it('finds a run of any project, however many there are', async () => {
    const home = emptyFolder('help');
    const names = Array.from({ length: 25 }, (_, index) => `run-${String(index).padStart(2, '0')}`);
    for (const name of names) new Script(home, `of-${name}`, name).finish();
    const agent = await agentAt(home, await freePort());
    await expect
      .poll(async () => (await ask(agent, 'GET', '/projects')).json.projects.length, { timeout: 20_000 })
      .toBe(25);
    const page = await visit(await profile(browser), agent.url);
    await expect.poll(() => page.getByRole('link', { name: /^of-/ }).count()).toBe(25);
    await page.keyboard.press('Control+k');
    const palette = page.getByRole('dialog', { name: 'Go to' });
    for (const name of names) {
      await palette.getByRole('combobox').fill(name);
      await palette.getByRole('option', { name: `${name} run in of-${name}` }).waitFor();
    }
  });

  it('lists its keys and finds one', async () => {
    const page = await visit(await profile(browser), `${await examples()}/p/digits`);
    await rows(page).first().waitFor();
    await page.keyboard.press('?');
    const keys = page.getByRole('dialog', { name: 'Keys' });
    await keys.getByText('Undo the last change').waitFor();
    await keys.getByRole('searchbox').fill('archive');
    await says(keys, 'Archive');
    expect(await keys.getByText('Undo the last change').count()).toBe(0);
    await page.keyboard.press('Escape');
    await keys.waitFor({ state: 'detached' });
  });

  it('gives whoever starts with nothing three ways to write a run, each to be copied', async () => {
    const agent = await agentAt(emptyFolder('help'), await freePort());
    const context = await profile(browser);
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await visit(context, agent.url);
    await page.getByRole('button', { name: 'Copy: Put this into a training script' }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^import fieldbook\n/);
    await page.getByText('It calls wandb, or is not written in Python').click();
    await page.getByRole('button', { name: 'Copy: Or change nothing and start the command so' }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
      'fieldbook run -p my-project -- ./train.sh --lr 0.001',
    );
  });
});

it('[WEB-94] says that the code of a page or a dialog could not be loaded, and loads it again', async () => {
  const agent = await agentAt(emptyFolder('unloaded'), await freePort());
  await ask(agent, 'POST', '/demo', {});
  const context = await profile(browser, undefined, { serviceWorkers: 'block' });
  const code = /\/assets\/(Settings|Palette)-[^/]*\.js$/;
  await context.route(code, (route) => route.abort());
  const page = await visit(context, `${agent.url}/p/digits`);
  await rows(page).first().waitFor();
  await page.keyboard.press('Control+k');
  await says(page.locator('.notices'), 'A part of this page could not be loaded');
  await page.getByRole('link', { name: 'Settings', exact: true }).click();
  await page.getByRole('heading', { name: 'This page could not be loaded' }).waitFor();
  await context.unroute(code);
  await page.getByRole('button', { name: 'Load it again' }).click();
  await page.getByRole('heading', { name: 'Settings' }).first().waitFor();
  expect(await page.getByText('could not be loaded').count()).toBe(0);
});
