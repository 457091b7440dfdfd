import { readFileSync } from 'node:fs';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { startAgent } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { fillSeries } from './fill-series.ts';
import { profile, rowOf, says, visit } from './visit.ts';

const NEWEST = 1_768_478_400_000;
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
});
