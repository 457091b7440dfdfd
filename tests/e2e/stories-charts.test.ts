import { readFileSync } from 'node:fs';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { runPython } from '../scaffold/python.ts';
import { agentAt, freePort, profile, rowOf, says, visit } from './visit.ts';

/** Gradient descent on a parabola: beyond a rate of 1 each step overshoots further, until the loss is ∞ and then no number at all. */
const DESCENT = `
import math, sys, fieldbook

for lr in (0.1, 1.5):
    with fieldbook.init("descent", name=f"lr {lr}", config={"lr": lr, "start": 3.0}) as run:
        w, warned = 3.0, False
        for step in range(1100):
            loss, grad = w * w, 2 * w
            run.log({"train/loss": loss, "train/grad_norm": abs(grad)}, step=step)
            if not math.isfinite(loss) and not warned:
                print(f"step {step}: the loss is {loss}, the weight {w:.3g}", file=sys.stderr, flush=True)
                warned = True
            w -= lr * grad
`;

/** Two methods of three seeds each, by a formula that the test knows too. */
const PAPER = `
import fieldbook

for method, rate in (("adam", 0.02), ("sgd", 0.01)):
    for seed in range(3):
        with fieldbook.init("paper", name=f"{method} {seed}", config={"method": method, "seed": seed}, capture=False) as run:
            for step in range(200):
                run.log({"val/loss": 2 / (1 + rate * step) + (seed - 1) * 0.1}, step=step)
`;
const lossOf = (method: string, seed: number, step: number): number =>
  2 / (1 + (method === 'adam' ? 0.02 : 0.01) * step) + (seed - 1) * 0.1;
/** Student's t for 95 % and two degrees of freedom. */
const T95 = 4.302652729911275;

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const panelOf = (page: Page, metric: string): Locator =>
  page.getByRole('region', { name: `Chart of ${metric}`, exact: true }).and(page.locator('[data-drawn=true]'));
const tab = (page: Page, name: string | RegExp): Locator => page.getByRole('tab', { name });

interface Trained {
  agent: Agent;
  /** By name. */
  runs: ReadonlyMap<string, string>;
}

async function trained(script: string, project: string, count: number): Promise<Trained> {
  const home = emptyFolder('stories');
  await runPython<null>(script, { FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
  const agent = await agentAt(home, await freePort());
  const runs = new Map<string, string>();
  await expect
    .poll(
      async () => {
        const { json } = await ask(agent, 'GET', `/projects/${project}/runs?q=status:finished`);
        for (const { name, id } of json.runs ?? []) runs.set(name, id);
        return runs.size;
      },
      { timeout: 30_000 },
    )
    .toBe(count);
  return { agent, runs };
}

describe('errands at charts', () => {
  it('why did this run diverge: from the table to the chart, the console, the parameters and its sibling, and a note that says it', async () => {
    const { agent, runs } = await trained(DESCENT, 'descent', 2);
    const diverged = runs.get('lr 1.5')!;
    const { json } = await ask(agent, 'GET', `/runs/${diverged}/series?metric=train%2Floss&points=2000`);
    const values: (number | string)[] = json.points.values;
    const nan = values.filter((value) => value === 'NaN').length;
    const infinite = values.filter((value) => value === 'Infinity').length;
    expect([nan > 0, infinite > 0, nan + infinite < 1_100]).toEqual([true, true, true]);

    // The table says which run it is; its line says where it stops being a number.
    const page = await visit(await profile(browser), `${agent.url}/p/descent`);
    await says(rowOf(page, 'lr 1.5'), 'NaN');
    const loss = panelOf(page, 'train/loss');
    const grad = panelOf(page, 'train/grad_norm');
    await loss.waitFor({ timeout: 30_000 });
    await grad.waitFor({ timeout: 30_000 });
    await says(loss.locator('footer'), `${nan} NaN (×), ${infinite} +∞ (⌃)`);
    await page.getByRole('checkbox', { name: 'Log', exact: true }).check();

    // A closer look at the last steps with numbers, and the gradients of the same steps beside it.
    await expect.poll(() => loss.getByRole('slider').getAttribute('aria-valuemax')).toBe('1099');
    const box = (await loss.locator('canvas[data-lines=all]').boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await grad.getByRole('button', { name: 'Whole range' }).waitFor();
    for (const chart of [loss, grad]) {
      const slider = chart.getByRole('slider');
      await expect.poll(async () => Number(await slider.getAttribute('aria-valuemax'))).toBeLessThan(600);
      expect(Number(await slider.getAttribute('aria-valuemin'))).toBeGreaterThan(380);
    }
    await says(loss.locator('footer'), '+∞ (⌃)');
    expect(await grad.locator('footer').textContent()).not.toContain('∞');

    // The run itself: what it printed, and what it was given.
    await rowOf(page, 'lr 1.5').getByRole('link', { name: 'lr 1.5', exact: true }).click();
    await tab(page, 'Console').click();
    const first = values.indexOf('Infinity');
    await says(page.locator('.line'), `step ${first}: the loss is inf`);
    await tab(page, /^Attributes/).click();
    await says(page.getByRole('tabpanel'), '1.5');

    // Its sibling differs in one parameter.
    const compared = await page.context().newPage();
    await compared.goto(`${agent.url}/p/descent/compare?runs=${[...runs.values()].join(',')}`);
    const row = compared.getByRole('row').filter({ hasText: 'lr' }).filter({ hasText: '1.5' });
    await says(row, '0.1');
    expect(await compared.getByRole('row').filter({ hasText: 'start' }).count()).toBe(0);

    await tab(page, 'Notes').click();
    const editor = page.getByRole('textbox', { name: 'Notes, in Markdown' });
    await editor.click();
    await page.keyboard.type(`Diverged: **lr 1.5** overshoots; ∞ from step ${first}. 0.1 converges.`);
    await expect
      .poll(async () => (await ask(agent, 'GET', `/runs/${diverged}`)).json.notes, { timeout: 20_000 })
      .toBe(`Diverged: **lr 1.5** overshoots; ∞ from step ${first}. 0.1 converges.`);
  });

  it('export a figure for a paper: methods over seeds with confidence, smoothed, on a log axis, as SVG and as the numbers that were logged', async () => {
    const { agent } = await trained(PAPER, 'paper', 6);
    const context = await profile(browser);
    const page = await visit(context, `${agent.url}/p/paper?by=a:params/method`);
    const panel = panelOf(page, 'val/loss').and(page.locator('[data-count="2"]'));
    await panel.waitFor({ timeout: 30_000 });
    await says(panel.locator('footer'), 'All 6 runs with it');
    await page.getByRole('button', { name: 'More chart settings' }).click();
    await page.getByRole('combobox', { name: 'Band of groups' }).selectOption({ label: '95 % confidence' });
    await page.getByRole('checkbox', { name: 'Log', exact: true }).check();

    // It fills the screen, and both groups are named there.
    await panel.getByRole('button', { name: 'What to do with val/loss' }).click();
    await page.getByRole('menuitem', { name: /^Fill the screen/ }).click();
    const full = page.getByRole('dialog', { name: 'val/loss' });
    await full.locator('[data-count="2"]').waitFor();
    const legend = full.getByRole('list', { name: 'Lines' }).getByRole('listitem');
    await expect
      .poll(async () => (await legend.allTextContents()).map((name) => name.trim()).sort())
      .toEqual([expect.stringContaining('adam'), expect.stringContaining('sgd')]);
    const saved = async (entry: string): Promise<string> => {
      const download = page.waitForEvent('download');
      await full.getByRole('button', { name: 'What to do with val/loss' }).click();
      await page.getByRole('menuitem', { name: entry, exact: true }).click();
      return readFileSync(await (await download).path(), 'utf8');
    };
    const numbers = (csv: string): { group: string; step: number; rest: number[] }[] =>
      csv
        .trim()
        .split('\r\n')
        .slice(1)
        .map((line) => {
          const [group = '', , , step, ...rest] = line.split(',');
          return { group, step: Number(step), rest: rest.map(Number) };
        });
    const csv = await saved('Save what is drawn as CSV');
    expect(csv.split('\r\n')[0]).toBe('group,id,metric,step,value,low,high,runs,runs with NaN or infinity');
    const rows = numbers(csv);
    for (const method of ['adam', 'sgd']) {
      const its = rows.filter(({ group }) => group.includes(method));
      expect(its.length).toBeGreaterThan(100);
      for (const { step, rest } of its.filter(({ step }) => Number.isInteger(step))) {
        const mean = lossOf(method, 1, step);
        // The seeds lie a tenth to either side: a deviation of 0.1.
        const reach = (T95 * 0.1) / Math.sqrt(3);
        for (const [index, value] of [mean, mean - reach, mean + reach, 3, 0].entries())
          expect(rest[index], `${method} ${step} ${index}`).toBeCloseTo(value, 4);
      }
    }

    // Smoothed it is smoother, and its figure shows that: two lines, two bands, names and a logarithmic axis.
    await page.keyboard.press('Escape');
    await full.waitFor({ state: 'detached' });
    await page.getByRole('combobox', { name: 'Smoothing' }).selectOption({ label: 'Gaussian' });
    await panel.getByRole('button', { name: 'What to do with val/loss' }).click();
    await page.getByRole('menuitem', { name: /^Fill the screen/ }).click();
    await full.locator('[data-count="2"]').waitFor();
    await expect
      .poll(async () => numbers(await saved('Save what is drawn as CSV'))[0]!.rest[0])
      .not.toBe(rows[0]!.rest[0]);
    const svg = await saved('Save as SVG');
    const parsed = await page.evaluate((text) => {
      const document_ = new DOMParser().parseFromString(text, 'image/svg+xml');
      const all = (selector: string): string[] =>
        [...document_.querySelectorAll(selector)].map((each) => each.textContent ?? '');
      return {
        broken: document_.querySelector('parsererror') !== null,
        words: all('text'),
        bands: document_.querySelectorAll('svg > svg path[fill]:not([fill=none])').length,
      };
    }, svg);
    expect(parsed.broken).toBe(false);
    expect(parsed.bands).toBeGreaterThanOrEqual(2);
    for (const word of ['val/loss', 'adam', 'sgd', '1', 'step'])
      expect(
        parsed.words.some((text) => text.includes(word)),
        word,
      ).toBe(true);
  });
});
