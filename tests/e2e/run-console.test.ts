import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { agentAt, freePort, profile, saved, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const lineAt = (page: Page, line: number): Locator => page.locator(`[data-line="${line}"]`);

describe('a console', () => {
  it('[CON-7] [CON-10] with long lines wrapped ends with its last line at the bottom, and every line of it can be brought into sight', async () => {
    const home = emptyFolder('web');
    const { command, env } = pythonForTests();
    const script = `
import fieldbook
run = fieldbook.init("long", run_id="long", name="long", capture={"console": True})
for i in range(400):
    print(f"line {i} " + "word " * (i % 90))
run.finish()
`;
    const training = startCommand(command, ['-c', script], { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
    expect((await training.ended).code, training.output()).toBe(0);
    const agent = await agentAt(home, await freePort());
    await expect
      .poll(async () => (await ask(agent, 'GET', '/runs/long/objects')).json.paths?.[0]?.rows ?? 0, { timeout: 30_000 })
      .toBe(400);
    const page = await visit(await profile(browser), `${agent.url}/r/long?tab=console&wrap=1`);
    await says(lineAt(page, 1), 'line 0');
    const edges = async (line: number): Promise<{ above: number; below: number }> => {
      const box = (await page.locator('.scroller').boundingBox())!;
      const at = (await lineAt(page, line).boundingBox())!;
      return { above: Math.round(at.y - box.y), below: Math.round(box.y + box.height - at.y - at.height) };
    };
    // However far one turns: the last line is at the bottom, with lines above it up to the top.
    await page.locator('.scroller').evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await says(lineAt(page, 400), 'line 399');
    await expect.poll(async () => (await edges(400)).below).toBeLessThanOrEqual(2);
    expect((await edges(400)).below).toBeGreaterThanOrEqual(-2);
    const first = Number(await page.locator('[data-line]').first().getAttribute('data-line'));
    expect((await edges(first)).above).toBeLessThanOrEqual(0);
    // By its number, in the middle and among the last.
    for (const line of [150, 399, 361, 400, 1]) {
      await page.getByRole('textbox', { name: 'Go to line' }).fill(String(line));
      await page.keyboard.press('Enter');
      await says(lineAt(page, line), `line ${line - 1} `);
      await expect
        .poll(async () => {
          const { above } = await edges(line);
          const { height } = (await page.locator('.scroller').boundingBox())!;
          return above >= 0 && above + 18 <= height + 1;
        })
        .toBe(true);
    }
    // Several lines are marked from the same field.
    await page.getByRole('textbox', { name: 'Go to line' }).fill('10-12');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('.line.marked').count()).toBe(3);
    expect(page.url()).toMatch(/line=10-12/);
    await page.getByRole('button', { name: 'Copy 3 lines' }).waitFor();
  });

  it('[CON-10] [RPG-10] of two ranks tells them apart; the run leads to its children and back, and says which relay has it', async () => {
    const machine = new Machine('gpu-1', 'ada');
    const { command, env } = pythonForTests();
    const script = `
import os, fieldbook
with fieldbook.init("ranks", run_id="two-ranks", name="two ranks", all_ranks=True, capture={"console": True}) as run:
    rank = os.environ["RANK"]
    for step in range(3):
        print(f"step {step} of rank {rank}")
    if rank == "0":
        with run.child("fold 1") as fold:
            fold.log({"loss": 0.5}, step=1)
`;
    const ranks = [0, 1].map((rank) =>
      startCommand(command, ['-c', script], {
        ...env,
        FIELDBOOK_HOME: machine.home,
        FIELDBOOK_HOST: 'gpu-1',
        RANK: String(rank),
        LOCAL_RANK: String(rank),
        WORLD_SIZE: '2',
        MASTER_ADDR: '127.0.0.1',
        MASTER_PORT: '29500',
      }),
    );
    for (const rank of ranks) expect((await rank.ended).code, rank.output()).toBe(0);
    await machine.up();
    const relay = await new Relay().up();
    await machine.cli('join', relay.url, '--token', await relay.token('member', 'gpu-1'));
    await machine.cli('sync', '--timeout', '60');
    const token = await relay.token('member', 'bob');
    const page = await visit(await profile(browser), `${relay.url}/r/two-ranks?tab=console#token=${token}`);
    const lines = page.locator('.line[data-line]');
    await expect
      .poll(async () => (await lines.locator('.text').allInnerTexts()).filter((text) => /of rank/.test(text)).length, {
        timeout: 30_000,
      })
      .toBe(6);
    for (const rank of [0, 1]) {
      const writers = await lines
        .filter({ hasText: `of rank ${rank}` })
        .locator('.writer')
        .allInnerTexts();
      expect(writers).toEqual([`rank ${rank}`, `rank ${rank}`, `rank ${rank}`]);
    }
    await page.getByRole('combobox', { name: 'Which process' }).selectOption({ label: 'rank 1' });
    await expect
      .poll(async () =>
        (await lines.locator('.text').allInnerTexts()).map((text) => text.trim()).filter((text) => text !== ''),
      )
      .toEqual(['step 0 of rank 1', 'step 1 of rank 1', 'step 2 of rank 1']);
    // The link keeps the choice.
    await page.reload();
    await expect.poll(() => lines.filter({ hasText: 'of rank' }).count()).toBe(3);

    await page.getByRole('tab', { name: 'Overview' }).click();
    await says(page.getByRole('tabpanel'), 'On the relay');
    await page.getByRole('tabpanel').getByRole('link', { name: 'fold 1' }).click();
    await page.getByRole('heading', { name: 'fold 1', exact: true }).waitFor();
    await page.getByRole('tabpanel').getByRole('link', { name: 'two ranks' }).click();
    await page.getByRole('heading', { name: 'two ranks', exact: true }).waitFor();
    await saved(page);
  });
});
