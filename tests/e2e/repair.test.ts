import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { agentAt, freePort, installed, profile, rowOf, saved, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function tag(page: Page, run: string, word: string): Promise<void> {
  await rowOf(page, run).click();
  await page.keyboard.press('t');
  await page.getByRole('textbox', { name: 'Find or make a tag' }).fill(word);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Apply' }).click();
  await rowOf(page, run).getByRole('button', { name: word }).waitFor();
}

const tagsOf = async (agent: Agent): Promise<string[]> => {
  const { runs } = (await ask(agent, 'GET', '/projects/digits/runs?limit=100')).json as { runs: { tags: string[] }[] };
  return runs.flatMap(({ tags }) => tags);
};

describe('a browser that holds a document of before it was repaired', () => {
  it('[GEN-15] shows the repaired one, sends what it has that is new, and brings back nothing that was removed', async () => {
    const home = emptyFolder('repair');
    const port = await freePort();
    const first = await agentAt(home, port);
    await ask(first, 'POST', '/demo', {});
    const { projects } = (await ask(first, 'GET', '/projects')).json as { projects: { books: string[] }[] };
    const book = projects[0]!.books[0]!;
    const listed = (await ask(first, 'GET', '/projects/digits/runs?limit=5')).json as { runs: { name: string }[] };
    const another = listed.runs.find(({ name }) => name !== 'too fast')!.name;
    const context = await profile(browser);
    const [page, other] = [
      await visit(context, `${first.url}/p/digits`),
      await visit(context, `${first.url}/p/digits`),
    ];
    await ask(first, 'POST', '/runs/too%20fast/edits', [{ field: 'name', op: 'set', value: 'stolen' }]);
    for (const each of [page, other]) await rowOf(each, 'stolen').waitFor();
    await saved(page);
    await installed(page);
    await first.program.stop();
    await says(syncMark(page), 'Offline');
    // Made while nobody answers, in a browser that knows nothing of the repair.
    await tag(page, another, 'on the plane');

    const log = await fieldbook(home, ['repair', book, '--log']);
    const seq = log.stdout.trim().split('\n').at(-1)!.split(/\s+/)[0]!;
    const done = await fieldbook(home, ['repair', book, '--without', `commits:${seq}`, '--json']);
    expect(JSON.parse(done.stdout)).toMatchObject({ dryRun: false, removed: [{ map: 'edits' }] });
    const agent = await agentAt(home, port);
    for (const each of [page, other]) {
      await rowOf(each, 'too fast').waitFor();
      await expect.poll(() => rowOf(each, 'stolen').count()).toBe(0);
      await rowOf(each, another).getByRole('button', { name: 'on the plane' }).waitFor();
    }
    await expect.poll(() => tagsOf(agent), { timeout: 20_000 }).toContain('on the plane');
    await saved(page);
    const { runs } = (await ask(agent, 'GET', '/projects/digits/runs?limit=100')).json as { runs: { name: string }[] };
    expect(runs.map(({ name }) => name)).not.toContain('stolen');
    // Once more from the disk of the browser, and in one that has never been here; both follow what happens now.
    await page.reload();
    const fresh = await visit(await profile(browser), `${agent.url}/p/digits`);
    for (const each of [page, other, fresh]) await rowOf(each, 'too fast').waitFor();
    await ask(agent, 'POST', '/runs/too%20fast/edits', [{ field: 'name', op: 'set', value: 'much too fast' }]);
    for (const each of [page, other, fresh]) {
      await rowOf(each, 'much too fast').waitFor();
      expect(await rowOf(each, 'stolen').count()).toBe(0);
    }
  });
});
