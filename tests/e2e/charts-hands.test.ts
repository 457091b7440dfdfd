import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { startAgent } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { fillSeries } from './fill-series.ts';
import { profile, rowOf, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const panelOf = (page: Page, metric: string): Locator =>
  page.getByRole('region', { name: `Chart of ${metric}`, exact: true }).and(page.locator('[data-drawn=true]'));

async function range(panel: Locator): Promise<[number, number]> {
  const slider = panel.getByRole('slider');
  return [Number(await slider.getAttribute('aria-valuemin')), Number(await slider.getAttribute('aria-valuemax'))];
}

async function filled(): Promise<Agent> {
  const agent = await startAgent(emptyFolder('hands'));
  await fillSeries(agent.url, agent.token, {
    project: 'hands',
    newest: 1_768_478_400_000,
    runs: [1, 5].map((height) => ({
      run: `flat-${height}`,
      points: 1_001,
      metrics: { loss: () => height, epoch: (step: number) => step / 100 },
    })),
  });
  return agent;
}

/** Forty-eight runs in twelve groups; of each group three of four diverge, and one logs a metric that no other has. */
async function grouped(): Promise<Agent> {
  const agent = await startAgent(emptyFolder('grouped'));
  await fillSeries(agent.url, agent.token, {
    project: 'grouped',
    newest: 1_768_478_400_000,
    runs: Array.from({ length: 48 }, (_, run) => ({
      run: `run-${String(run).padStart(2, '0')}`,
      points: 100,
      attributes: { host: `node-${String(run % 12).padStart(2, '0')}` },
      metrics: {
        loss: (step: number) => (run >= 12 && step >= 60 ? NaN : 100 + run - step),
        ...(run === 47 ? { 'late/only': () => 1 } : {}),
      },
    })),
  });
  return agent;
}

async function savedSvg(page: Page, frame: Locator): Promise<string> {
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    frame.getByRole('button', { name: 'as SVG' }).click(),
  ]);
  const parts: Buffer[] = [];
  for await (const part of await saved.createReadStream()) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts).toString();
}

describe('charts under hands', () => {
  it('[CHT-8] [CHT-26] [PLT-6] of groups say what they do not show, name their colours, and are pictured whole', async () => {
    const agent = await grouped();
    const bars = encodeURIComponent('ab;xm:loss.last');
    const page = await visit(await profile(browser), `${agent.url}/p/grouped?by=a:host&show=charts&c=${bars}`);
    const panel = panelOf(page, 'loss');
    await panel.waitFor({ timeout: 30_000 });
    await page.getByText('The first 10 of 12 groups', { exact: true }).waitFor();
    // Ten groups of four.
    await panel.getByText('30 of 40 runs have NaN (×), first at step 60 · All 40 runs with it').waitFor();
    const names = page.locator('.names .entry');
    await expect.poll(() => names.count()).toBe(10);
    const frame = page.locator('section.frame').first();
    // One run of each group has a number: a bar for all twelve.
    await says(frame.locator('footer'), '12 groups');
    await panel.getByRole('button', { name: 'What to do with loss' }).click();
    await page.getByRole('menuitem', { name: 'Data as a table' }).click();
    const dialog = page.getByRole('dialog', { name: 'Data of loss' });
    await dialog.getByText('A row stands for several places').waitFor();
    await dialog.getByRole('rowheader', { name: 'step 99', exact: true }).first().waitFor();
    await page.keyboard.press('Escape');
    // A selected run of a group that is on no chart has its line.
    await page.goto(`${agent.url}/p/grouped?by=a:host&show=charts&sel=run-11,run-23`);
    await page.getByText('2 selected runs in 1 group', { exact: true }).waitFor();
    await expect.poll(() => names.allTextContents()).toEqual(['node-11']);
    await page.getByRole('region', { name: 'Chart of loss' }).waitFor();

    await page.goto(`${agent.url}/p/grouped?show=charts&c=${bars.replace('loss.last', 'loss.max')}`);
    await says(frame.locator('footer'), '48 runs');
    expect(await frame.locator('svg .bar').count()).toBe(30);
    const svg = await savedSvg(page, frame);
    for (const run of ['run-00', 'run-30', 'run-47']) expect(svg).toContain(`>${run}<`);
    expect(await frame.locator('svg .bar').count()).toBe(30);
  });

  it('[CHT-24] zoom by drag and wheel, move by a drag with shift, reset by a double click, and a click chooses the run', async () => {
    const agent = await filled();
    const page = await visit(await profile(browser), `${agent.url}/p/hands`);
    const panel = panelOf(page, 'loss');
    await panel.waitFor({ timeout: 30_000 });
    await expect.poll(() => range(panel)).toEqual([0, 1_000]);
    const box = (await panel.locator('canvas[data-lines=all]').boundingBox())!;
    const to = (share: number, height = 0.5): Promise<void> =>
      page.mouse.move(box.x + box.width * share, box.y + box.height * height, { steps: 3 });
    const settled = async (): Promise<[number, number]> => {
      let last = '';
      await expect
        .poll(async () => {
          const now = JSON.stringify(await range(panel));
          const same = now === last;
          last = now;
          return same;
        })
        .toBe(true);
      return JSON.parse(last) as [number, number];
    };
    await to(0.4);
    await page.mouse.down();
    await to(0.6);
    await page.mouse.up();
    await expect.poll(async () => (await range(panel))[1]).toBeLessThan(620);
    const zoomed = await settled();
    expect(zoomed[0]).toBeGreaterThan(380);

    await page.keyboard.down('Shift');
    await to(0.5);
    await page.mouse.down();
    await to(0.75);
    await page.mouse.up();
    await page.keyboard.up('Shift');
    await expect.poll(async () => (await range(panel))[0]).toBeLessThan(zoomed[0] - 30);
    const moved = await settled();
    expect(moved[1] - moved[0]).toBeCloseTo(zoomed[1] - zoomed[0], 3);

    await page.keyboard.down('Control');
    await page.mouse.wheel(0, 100);
    await page.keyboard.up('Control');
    await expect
      .poll(async () => (await range(panel))[1] - (await range(panel))[0])
      .toBeGreaterThan((moved[1] - moved[0]) * 1.2);

    // On the line of flat-5: the zoom is gone and no run is chosen, by now or after the time of a pair of clicks, which a click on a
    // line of another stretch waits for.
    const zoom = async (): Promise<void> => {
      await to(0.4);
      await page.mouse.down();
      await to(0.6);
      await page.mouse.up();
      await panel.getByRole('button', { name: 'Whole range' }).waitFor();
      await settled();
    };
    await to(0.49, 0.06);
    await to(0.5, 0.06);
    await panel.locator('.tip', { hasText: 'flat-5' }).waitFor();
    await page.mouse.dblclick(box.x + box.width / 2, box.y + box.height * 0.06);
    await expect.poll(() => range(panel)).toEqual([0, 1_000]);
    await zoom();
    await to(0.5, 0.94);
    await to(0.51, 0.94);
    await page.mouse.down();
    await page.mouse.up();
    await expect.poll(() => rowOf(page, 'flat-1').getAttribute('aria-selected')).toBe('true');
    expect(await rowOf(page, 'flat-5').getAttribute('aria-selected')).not.toBe('true');
    await rowOf(page, 'flat-1').getByRole('checkbox').uncheck();
    await panel.and(page.locator('[data-count="2"]')).waitFor();
    await panel.getByRole('button', { name: 'Whole range' }).click();
    await expect.poll(() => range(panel)).toEqual([0, 1_000]);

    // The upper line is that of flat-5.
    await to(0.3, 0.06);
    await to(0.31, 0.06);
    await page.mouse.down();
    await page.mouse.up();
    await expect.poll(() => rowOf(page, 'flat-5').getAttribute('aria-selected')).toBe('true');
    expect(await rowOf(page, 'flat-1').getAttribute('aria-selected')).not.toBe('true');
  });

  it('[CHT-24] on a phone two fingers zoom, one reads, and what it read stays', async () => {
    const agent = await filled();
    const context: BrowserContext = await profile(
      browser,
      { width: 390, height: 844 },
      { hasTouch: true, isMobile: true },
    );
    await context.addInitScript(() => localStorage.setItem('fieldbook/shape', '"charts"'));
    const page = await visit(context, `${agent.url}/p/hands`);
    const panel = panelOf(page, 'loss');
    await panel.waitFor({ timeout: 30_000 });
    await expect.poll(() => range(panel)).toEqual([0, 1_000]);
    const box = (await panel.locator('canvas[data-lines=all]').boundingBox())!;
    const cdp = await context.newCDPSession(page);
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...shares: number[]): Promise<unknown> =>
      cdp.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: shares.map((share, id) => ({ x: box.x + box.width * share, y: box.y + 60, id })),
      });
    await touch('touchStart', 0.4);
    await touch('touchStart', 0.4, 0.6);
    await touch('touchMove', 0.3, 0.7);
    await touch('touchMove', 0.2, 0.8);
    await touch('touchEnd');
    // What lay under the fingers lies under them still: a fifth became three.
    await expect.poll(async () => Math.round((await range(panel))[1] - (await range(panel))[0])).toBeLessThan(345);
    const [min, max] = await range(panel);
    expect(min + (max - min) * 0.2).toBeCloseTo(400, -1);
    expect(min + (max - min) * 0.8).toBeCloseTo(600, -1);
    await panel.getByRole('button', { name: 'Whole range' }).tap();
    await expect.poll(() => range(panel)).toEqual([0, 1_000]);

    await touch('touchStart', 0.3);
    await touch('touchMove', 0.45);
    await touch('touchMove', 0.5);
    await touch('touchEnd');
    await panel.locator('.tip', { hasText: 'flat-5' }).waitFor();
  });

  it('[CHT-1] [CHT-25] open as a link says: another metric along the axis, smoothing, a height by hand and a stretch', async () => {
    const agent = await filled();
    const settings = encodeURIComponent('xmepoch~sg5~ly~z2*6~hloss*0.5*50');
    const page = await visit(await profile(browser), `${agent.url}/p/hands?c=${settings}`);
    const panel = panelOf(page, 'loss');
    await panel.waitFor({ timeout: 30_000 });
    await expect.poll(() => range(panel)).toEqual([2, 6]);
    expect(await page.getByRole('combobox', { name: 'What lies along the axis' }).inputValue()).toBe('metric:epoch');
    expect(await page.getByRole('combobox', { name: 'Smoothing' }).inputValue()).toBe('gaussian');
    expect(await page.getByRole('checkbox', { name: 'Log', exact: true }).isChecked()).toBe(true);
    await panel.getByRole('button', { name: 'What to do with loss' }).click();
    await page.getByRole('menuitem', { name: 'Set the height…' }).click();
    const inputs = page.getByRole('dialog', { name: 'Height of loss' }).locator('input');
    await expect
      .poll(() => inputs.evaluateAll((found) => found.map((input) => (input as HTMLInputElement).value)))
      .toEqual(['0.5', '50']);
    await page.keyboard.press('Escape');
    // Back to what is usual, and the address says so.
    await panel.getByRole('button', { name: 'Whole range' }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get('c')).not.toContain('z2');
    // A panel that zooms alone too: in the link, filling the screen, and taken back.
    await page.goto(`${agent.url}/p/hands?c=${encodeURIComponent('u~vloss*200*400')}`);
    await expect.poll(() => range(panel)).toEqual([200, 400]);
    await expect.poll(() => range(panelOf(page, 'epoch'))).toEqual([0, 1_000]);
    const slider = panel.getByRole('slider');
    await slider.focus();
    await page.keyboard.press('Enter');
    const full = page.getByRole('dialog', { name: 'loss' });
    await expect.poll(() => range(full)).toEqual([200, 400]);
    await page.keyboard.press('Escape');
    await full.waitFor({ state: 'detached' });
    await slider.focus();
    await page.keyboard.press('0');
    await expect.poll(() => range(panel)).toEqual([0, 1_000]);
    await expect.poll(() => new URL(page.url()).searchParams.get('c')).toBe('u');
    await page.keyboard.press('Control+z');
    await expect.poll(() => range(panel)).toEqual([200, 400]);
  });

  it('[CHT-25] show no axes before there are values, and do not move when they come', async () => {
    const agent = await filled();
    const context = await profile(browser);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    await context.route(/\/api\/v1\/(blobs\/|runs\/[^/]+\/series|documents\/run)/, async (route) => {
      await held;
      await route.continue();
    });
    const page = await visit(context, `${agent.url}/p/hands`);
    const panel = page.getByRole('region', { name: 'Chart of loss', exact: true });
    await panel.getByRole('status').filter({ hasText: 'Reading…' }).waitFor();
    const plot = panel.locator('.uplot');
    await plot.waitFor({ state: 'attached' });
    expect(await plot.isVisible()).toBe(false);
    const before = await panel.boundingBox();
    release();
    await plot.waitFor({ state: 'visible' });
    expect(await panel.boundingBox()).toEqual(before);
    await context.unrouteAll({ behavior: 'ignoreErrors' });
  });
});
