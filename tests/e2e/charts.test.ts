import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, startAgent } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { fillSeries } from './fill-series.ts';
import { profile, says, visit } from './visit.ts';

const NEWEST = 1_768_478_400_000;
/** Logs ten times a second until the test says that it has seen enough. */
const LIVE = `
import os, time, fieldbook
run = fieldbook.init("live", run_id="live", name="live", capture=False)
stop = os.path.join(os.environ["FIELDBOOK_HOME"], "stop")
step = 0
while not os.path.exists(stop):
    run.log({"loss": 1 / (1 + step)}, step=step)
    step += 1
    time.sleep(0.1)
run.finish()
`;
/** Fifty runs of one process, each logging ten times a second until the test says that it has seen enough. */
const FIFTY = `
import os, time, fieldbook
runs = [fieldbook.init("fifty", run_id=f"run-{n}", name=f"run-{n}", capture=False) for n in range(50)]
stop = os.path.join(os.environ["FIELDBOOK_HOME"], "stop")
step = 0
while not os.path.exists(stop):
    for n, run in enumerate(runs):
        run.log({"loss": 1 + n + 1 / (1 + step)}, step=step)
    step += 1
    time.sleep(0.1)
for run in runs:
    run.finish()
`;
let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const panelOf = (page: Page, metric: string): Locator =>
  page.getByRole('region', { name: `Chart of ${metric}`, exact: true });
const drawnPanel = (page: Page, metric: string): Locator =>
  panelOf(page, metric).and(page.locator('[data-drawn=true]'));
const charts = (agent: Agent, project: string, settings = ''): string =>
  `${agent.url}/p/${project}${settings === '' ? '' : `?c=${encodeURIComponent(settings)}`}`;

/** A tab with charts only, as the switch in the page's head leaves it. */
async function open(agent: Agent, project: string): Promise<Page> {
  const context = await profile(browser);
  await context.addInitScript(() => localStorage.setItem('fieldbook/shape', '"charts"'));
  return visit(context, charts(agent, project));
}

/** Where the pixels of a panel's lines reach above a share of its height: places along x, 0 to 1, of connected columns. */
async function peaks(panel: Locator, share: number): Promise<number[]> {
  return panel.locator('canvas[data-lines=all]').evaluate((canvas: HTMLCanvasElement, above: number) => {
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, width, Math.floor(height * above));
    const found: number[] = [];
    let began = -1;
    for (let x = 0; x <= width; x++) {
      let inked = false;
      for (let y = 0; x < width && y < Math.floor(height * above) && !inked; y++)
        inked = data[(y * width + x) * 4 + 3]! > 60;
      if (inked && began === -1) began = x;
      if (!inked && began !== -1) {
        found.push((began + x) / 2 / width);
        began = -1;
      }
    }
    return found;
  }, share);
}

async function drag(page: Page, panel: Locator, from: number, to: number): Promise<void> {
  const box = (await panel.locator('canvas[data-lines=all]').boundingBox())!;
  await page.mouse.move(box.x + box.width * from, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await page.mouse.move(0, 0);
}

describe('line charts', () => {
  it('[CHT-7] show every spike of one point in ten million, at every zoom and every size, as painted', async () => {
    const POINTS = 10_000_000;
    const SPIKES = Array.from({ length: 20 }, (_, index) => Math.floor(((index + 0.5) * POINTS) / 20) + index * 1_013);
    const isSpike = new Set(SPIKES);
    const agent = await startAgent(emptyFolder('charts'));
    await fillSeries(agent.url, agent.token, {
      project: 'ten',
      newest: NEWEST,
      runs: [{ run: 'ten', points: POINTS, metrics: { loss: (step) => (isSpike.has(step) ? 8 : (step % 7) / 7) } }],
    });
    const page = await open(agent, 'ten');
    const panel = drawnPanel(page, 'loss');
    await panel.waitFor({ timeout: 60_000 });
    let [low, high] = [0, POINTS - 1];
    const shown = (): number[] =>
      SPIKES.filter((step) => step >= low && step <= high).map((step) => (step - low) / (high - low));
    const holds = async (): Promise<void> => {
      const wanted = shown();
      // Painted anew when the answer for a closer look is there.
      await expect.poll(async () => (await peaks(panel, 0.5)).length, { timeout: 30_000 }).toBe(wanted.length);
      const found = await peaks(panel, 0.5);
      wanted.forEach((at, index) => expect(Math.abs(found[index]! - at)).toBeLessThan(0.01));
    };
    await holds();
    expect(await panel.getAttribute('data-buckets')).toBe('1000');
    const settle = async (): Promise<void> => {
      const slider = panel.getByRole('slider');
      await expect
        .poll(
          async () =>
            Number(await slider.getAttribute('aria-valuemax')) - Number(await slider.getAttribute('aria-valuemin')),
          { timeout: 30_000 },
        )
        .toBeLessThan(high - low);
      [low, high] = [
        Number(await slider.getAttribute('aria-valuemin')),
        Number(await slider.getAttribute('aria-valuemax')),
      ];
    };
    // Each time around a spike: ten million, a million, a hundred thousand, … down to the points themselves.
    for (let zoom = 0; zoom < 5; zoom++) {
      const at = shown()[Math.floor(shown().length / 2)]!;
      await drag(page, panel, Math.max(0.01, at - 0.06), Math.min(0.99, at + 0.06));
      await settle();
      await holds();
    }
    await expect.poll(() => panel.getAttribute('data-buckets')).toBe('0');
    await panel.getByRole('button', { name: 'Whole range' }).click();
    [low, high] = [0, POINTS - 1];
    await holds();
    // Another size shows the same.
    await page.setViewportSize({ width: 700, height: 800 });
    await holds();
  });

  it('[CHT-4] [CHT-5] of ten thousand metrics in one run are found by words, and only those on screen are mounted', async () => {
    const agent = await startAgent(emptyFolder('charts'));
    const metrics = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [`layer${index % 50}/grad${index}`, (step: number) => index + step]),
    );
    // A card lists two thousand; the run's segments have them all.
    await fillSeries(agent.url, agent.token, {
      project: 'wide',
      newest: NEWEST,
      runs: [{ run: 'wide', points: 3, metrics }],
    });
    const page = await open(agent, 'wide');
    await page.locator('[data-drawn=true]').first().waitFor({ timeout: 60_000 });
    const mounted = (): Promise<number> => page.locator('[data-panel]').count();
    expect(await mounted()).toBeLessThan(30);
    const scroll = page.locator('.scroll:has(.plan)');
    // To the end in a fling: the last panel is there.
    await scroll.evaluate(async (element) => {
      for (let step = 1; step <= 60; step++) {
        element.scrollTop = (element.scrollHeight * step) / 60;
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    });
    await drawnPanel(page, 'layer49/grad9999').waitFor();
    expect(await mounted()).toBeLessThan(40);
    await page.getByRole('searchbox', { name: 'Find a metric' }).fill('grad4321');
    await drawnPanel(page, 'layer21/grad4321').waitFor();
    expect(await mounted()).toBe(1);
    await page.getByRole('searchbox', { name: 'Find a metric' }).fill('');
    await page.getByRole('button', { name: /layer0 200/ }).click();
    await expect.poll(() => panelOf(page, 'layer0/grad0').count()).toBe(0);
  });

  it('[CHT-14] are read by the keyboard, fill the screen, show their data as a table, and are saved', async () => {
    const agent = await startAgent(emptyFolder('charts'));
    const wave = (shift: number) => (step: number) => (step === 40 ? NaN : shift + step / 100);
    await fillSeries(agent.url, agent.token, {
      project: 'keys',
      newest: NEWEST,
      runs: [1, 2].map((shift) => ({
        run: `run-${shift}`,
        points: 100,
        metrics: { 'train/loss': wave(shift), 'val/loss': wave(shift + 1) },
      })),
    });
    const page = await open(agent, 'keys');
    const panel = drawnPanel(page, 'train/loss');
    await panel.waitFor();
    const slider = panel.getByRole('slider', { name: 'Crosshair of train/loss' });
    await slider.focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => slider.getAttribute('aria-valuetext')).toBe('step 2: run-2 2.02, run-1 1.02');
    // The other panel shows the same place.
    const other = panelOf(page, 'val/loss');
    await expect
      .poll(() => other.locator('.u-cursor-x').evaluate((line) => new DOMMatrix(getComputedStyle(line).transform).e))
      .toBeGreaterThan(1);
    await page.keyboard.press('+');
    await panel.getByRole('button', { name: 'Whole range' }).waitFor();
    // Panels zoom together.
    await other.getByRole('button', { name: 'Whole range' }).waitFor();
    await page.keyboard.press('0');
    await expect.poll(() => other.getByRole('button', { name: 'Whole range' }).count()).toBe(0);
    await page.keyboard.press('Enter');
    const full = page.getByRole('dialog', { name: 'train/loss' });
    await full.locator('[data-drawn=true]').waitFor();
    await page.keyboard.press('Escape');
    await full.waitFor({ state: 'detached' });

    const choose = async (entry: string): Promise<void> => {
      await panel.getByRole('button', { name: 'What to do with train/loss' }).click();
      await page.getByRole('menuitem', { name: entry, exact: true }).click();
    };
    await choose('Data as a table');
    const data = page.getByRole('dialog', { name: 'Data of train/loss' });
    await data.getByRole('button', { name: 'run-1' }).click();
    await says(data.getByRole('row'), /^40.*NaN$/);
    await says(data.getByRole('status'), '1 to 100 of 100');
    await page.keyboard.press('Escape');
    await data.waitFor({ state: 'detached' });

    const saved = async (entry: string): Promise<Buffer> => {
      const download = page.waitForEvent('download');
      await choose(entry);
      return readFileSync(await (await download).path());
    };
    const png = await saved('Save as PNG on white');
    expect([png.subarray(1, 4).toString(), png.readUInt32BE(16)]).toEqual(['PNG', 1440]);
    const svg = (await saved('Save as SVG')).toString();
    for (const part of ['train/loss', 'run-1', 'run-2', '2 NaN', '<path']) expect(svg).toContain(part);
    const drawn = (await saved('Save what is drawn as CSV')).toString().trim().split('\r\n');
    expect([drawn.length, drawn[0]]).toEqual([201, 'run,id,metric,step,value']);
    const all = (await saved('Save all points as CSV')).toString().trim().split('\r\n');
    expect([all.length, all.filter((line) => line.includes('NaN')).length]).toEqual([201, 2]);
    expect(all[0]).toBe('run,id,metric,step,time,value');

    // Of a closer look both are of its stretch alone, though all points are here.
    await page.goto(charts(agent, 'keys', 'z10*20'));
    await panel.getByRole('button', { name: 'Whole range' }).waitFor();
    await choose('Data as a table');
    await expect
      .poll(() => data.getByRole('row').filter({ hasText: 'run-1' }).locator('td').allTextContents())
      .toEqual(['1.2', '1.1', '1.2', '11']);
    await page.keyboard.press('Escape');
    await data.waitFor({ state: 'detached' });
    expect((await saved('Save what is drawn as CSV')).toString().trim().split('\r\n')).toHaveLength(23);
  });

  it('[CHT-8] [CHT-10] say what a logarithmic axis and a frame of the middle leave out', async () => {
    const agent = await startAgent(emptyFolder('charts'));
    const value = (step: number): number =>
      step % 1_000 === 7 ? -1 : step === 12_345 ? 1e9 : step === 5 ? Infinity : step === 6 ? NaN : 1 + (step % 10);
    await fillSeries(agent.url, agent.token, {
      project: 'counts',
      newest: NEWEST,
      runs: [{ run: 'odd', points: 50_000, metrics: { loss: value } }],
    });
    const page = await open(agent, 'counts');
    const panel = drawnPanel(page, 'loss');
    await panel.waitFor();
    await says(panel.locator('footer'), /1 NaN.*1 \+∞.*50,000 points in 1,000 buckets/);
    await page.getByRole('checkbox', { name: 'Log', exact: true }).check();
    await says(panel.locator('footer'), '50 values of 0 or less cannot be on a log axis');
    await page.getByRole('checkbox', { name: 'Log', exact: true }).uncheck();
    await page.getByRole('button', { name: 'More chart settings' }).click();
    await page.getByRole('combobox', { name: /^Height for/ }).selectOption('The middle 99 %');
    await expect
      .poll(() => panel.locator('footer').textContent())
      .toMatch(/51 of 49,998 points hidden: 1 above, 50 below/);
  });

  it('[CHT-13] grow with a running run without asking for it again, and keep still while somebody reads', async () => {
    const home = emptyFolder('charts');
    const agent = await startAgent(home);
    const { command, env } = pythonForTests();
    const training = startCommand(command, ['-c', LIVE], { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
    const context = await profile(browser);
    await context.addInitScript(() => localStorage.setItem('fieldbook/shape', '"charts"'));
    const whole: string[] = [];
    context.on('request', (request) => {
      const url = request.url();
      if (url.includes('/series?') && !url.includes('from=')) whole.push(url);
    });
    const page = await visit(context, charts(agent, 'live'));
    const panel = drawnPanel(page, 'loss');
    await panel.waitFor({ timeout: 30_000 });
    const slider = panel.getByRole('slider');
    const reach = async (): Promise<number> => Number(await slider.getAttribute('aria-valuemax'));
    const paints = (): Promise<number> =>
      page.evaluate(() => performance.getEntriesByType('measure').filter(({ name }) => name === 'chart loss').length);
    const begun = await reach();
    await expect.poll(reach, { timeout: 30_000 }).toBeGreaterThan(begun + 20);
    const box = (await panel.locator('canvas[data-lines=all]').boundingBox())!;
    await page.mouse.move(box.x + 60, box.y + 60);
    // One answer may have been under way; after it axes stay while points go on coming.
    const before = await paints();
    await expect.poll(paints, { timeout: 30_000 }).toBeGreaterThan(before + 1);
    const held = await reach();
    const seen = await paints();
    await expect.poll(paints, { timeout: 30_000 }).toBeGreaterThan(seen + 2);
    expect(await reach()).toBe(held);
    await page.mouse.move(2, 2);
    await expect.poll(reach, { timeout: 30_000 }).toBeGreaterThan(held);
    // Asked for once as a whole, once more at most when a card knew of more than was read.
    expect(whole.length).toBeLessThanOrEqual(2);
    writeFileSync(join(home, 'stop'), '');
    expect((await training.ended).code, training.output()).toBe(0);
  });

  it('[CHT-13] [CHT-23] draw fifty running runs as they grow, steadily, from what they say and never anew', async () => {
    const home = emptyFolder('charts');
    const agent = await startAgent(home);
    const { command, env } = pythonForTests();
    const training = startCommand(command, ['-c', FIFTY], { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
    const context = await profile(browser);
    await context.addInitScript(() => localStorage.setItem('fieldbook/shape', '"charts"'));
    const asked = new Map<string, (number | null)[]>();
    let requests = 0;
    context.on('request', (request) => {
      const url = new URL(request.url());
      if (!/\/(series|blobs\/.*)$/.test(url.pathname)) return;
      requests += 1;
      if (!url.pathname.endsWith('/series')) return;
      const run = url.pathname.split('/').at(-2)!;
      const from = url.searchParams.get('from');
      asked.set(run, [...(asked.get(run) ?? []), from === null ? null : Number(from)]);
    });
    const names = Array.from({ length: 50 }, (_, n) => `run-${n}`);
    const { ended } = training;
    await expect
      .poll(async () => (await ask(agent, 'GET', '/projects/fifty/runs')).json.runs?.length, { timeout: 60_000 })
      .toBe(50);
    const page = await visit(context, `${agent.url}/p/fifty?sel=${names.join(',')}`);
    const panel = drawnPanel(page, 'loss').and(page.locator('[data-count="50"]'));
    await panel.waitFor({ timeout: 60_000 });
    const slider = panel.getByRole('slider');
    const reach = async (): Promise<number> => Number(await slider.getAttribute('aria-valuemax'));
    // From here on nothing may vanish, not for one change of the page.
    await panel.evaluate((element: HTMLElement) => {
      element.dataset['least'] = element.dataset['count'];
      new MutationObserver(() => {
        const count = element.dataset['drawn'] === 'true' ? Number(element.dataset['count']) : 0;
        if (count < Number(element.dataset['least'])) element.dataset['least'] = String(count);
      }).observe(element, { attributeFilter: ['data-count', 'data-drawn'] });
    });
    const cdp = await context.newCDPSession(page);
    await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const spent = async (): Promise<number> =>
      (await cdp.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration')!.value;
    const wholes = (): number => [...asked.values()].flat().filter((from) => from === null).length;
    const [begun, before, cpu, at, first] = [await reach(), requests, await spent(), performance.now(), wholes()];
    await expect.poll(reach, { timeout: 90_000 }).toBeGreaterThan(begun + 100);
    const seconds = (performance.now() - at) / 1_000;
    // Processor time of the page's thread, which a busy machine does not change.
    expect((await spent()) - cpu).toBeLessThan(0.5 * seconds);
    // What was logged between two words is asked for, ten times a second at most for all fifty together.
    expect(requests - before).toBeLessThan(15 * seconds + 50);
    expect(wholes() - first).toBeLessThanOrEqual(50);
    for (const froms of asked.values()) {
      const steps = froms.filter((from) => from !== null);
      expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    }
    expect(await panel.getAttribute('data-least')).toBe('50');
    writeFileSync(join(home, 'stop'), '');
    expect((await ended).code, training.output()).toBe(0);
  });
});
