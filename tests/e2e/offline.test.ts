import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { agentAt, freePort, installed, profile, rowOf, saved, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function examples(): Promise<{ agent: Agent; home: string; port: number; url: string }> {
  const home = emptyFolder('offline');
  const port = await freePort();
  const agent = await agentAt(home, port);
  await ask(agent, 'POST', '/demo', {});
  return { agent, home, port, url: agent.url };
}

async function tag(page: Page, run: string, word: string): Promise<void> {
  await rowOf(page, run).click();
  await page.keyboard.press('t');
  await page.getByRole('textbox', { name: 'Find or make a tag' }).fill(word);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Apply' }).click();
  await rowOf(page, run).getByRole('button', { name: word }).waitFor();
}

describe('with every server stopped', () => {
  it('[PWA-1] every page opens by its address and takes edits', async () => {
    const { agent, home, port, url } = await examples();
    const { runs } = (await ask(agent, 'GET', '/projects/digits/runs?limit=2')).json;
    const context = await profile(browser);
    const page = await visit(context, `${url}/p/digits`);
    await rowOf(page, 'too fast').waitFor();
    await saved(page);
    await installed(page);
    await agent.program.stop();
    await says(syncMark(page), 'Offline');
    const pages: readonly (readonly [string, string | RegExp])[] = [
      ['/', 'digits'],
      ['/p/digits', 'too fast'],
      [`/p/digits/compare?runs=${runs.map(({ id }: { id: string }) => id).join(',')}`, runs[0].name],
      [`/r/${runs[0].id}`, runs[0].name],
      ['/sync', 'The agent does not answer'],
      ['/settings', 'Storage of this browser'],
      ['/nothing/here', 'There is nothing at this address'],
    ];
    for (const [path, text] of pages) {
      await page.goto(`${url}${path}`);
      await page.getByText(text).first().waitFor();
      await says(syncMark(page), /Offline/);
    }
    await page.goto(`${url}/p/digits`);
    await tag(page, 'too fast', 'on a plane');
    await says(syncMark(page), /Offline.*1 edit not yet/);
    const again = await agentAt(home, port);
    await saved(page);
    expect((await ask(again, 'GET', '/runs/too%20fast')).json.tags).toContain('on a plane');
  });
});

describe('tabs of one browser', () => {
  it('[PWA-4] write each edit once, undo their own, and agree, with every server stopped', async () => {
    const { agent, home, port, url } = await examples();
    const context = await profile(browser);
    const left = await visit(context, `${url}/p/digits`);
    await rowOf(left, 'too fast').waitFor();
    await saved(left);
    await installed(left);
    const right = await visit(context, `${url}/p/digits`);
    await rowOf(right, 'too fast').waitFor();
    await saved(right);
    await agent.program.stop();
    await says(syncMark(left), 'Offline');
    await tag(left, 'too fast', 'from the left');
    await rowOf(right, 'too fast').getByRole('button', { name: 'from the left' }).waitFor();
    await tag(right, 'too fast', 'from the right');
    await rowOf(left, 'too fast').getByRole('button', { name: 'from the right' }).waitFor();
    for (const page of [left, right]) await says(syncMark(page), '2 edits not yet');
    await left.keyboard.press('Control+z');
    for (const page of [left, right])
      await rowOf(page, 'too fast').getByRole('button', { name: 'from the left' }).waitFor({ state: 'detached' });
    await rowOf(right, 'too fast').getByRole('button', { name: 'from the right' }).waitFor();
    const again = await agentAt(home, port);
    for (const page of [left, right]) await saved(page);
    const { id, tags } = (await ask(again, 'GET', '/runs/too%20fast')).json;
    expect(tags.filter((each: string) => each.startsWith('from the'))).toEqual(['from the right']);
    const { edits } = (await ask(again, 'GET', `/runs/${id}/history`)).json;
    expect(edits.filter(({ field }: { field: string }) => field === 'tags')).toHaveLength(3);
  });
});
