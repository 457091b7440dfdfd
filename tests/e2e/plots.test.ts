import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { runPython } from '../scaffold/python.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, says, syncMark, visit } from './visit.ts';

/** Twelve runs: one parameter over three powers of ten, two optimisers, a metric each way, and pictures at different steps. */
const TRAIN = `
import math, struct, zlib, fieldbook

def png(shade):
    raw = b"".join(b"\\0" + bytes([shade]) * 8 for _ in range(8))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")

for index in range(12):
    with fieldbook.init("plots", run_id=f"run-{index}", name=f"run {index}", capture=False) as run:
        run["params/lr"] = 10 ** (-1 - index / 4)
        run["params/opt"] = "adam" if index % 2 == 0 else "sgd"
        run.define_metric("score", goal="max")
        run.define_metric("cost", goal="min")
        for step in range(0, 40, 10):
            run.log({"score": index + step / 100, "cost": (index - 6) ** 2 + 1}, step=step)
            if index < 2:
                run["samples"].append(fieldbook.Image(png(20 * index + step), caption=f"at {step}"), step=step + 5 * index)
                edges = [value / 8 - index for value in range(9)]
                run["weights"].append(fieldbook.Histogram(counts=[1, 2, 3, 4, 4, 3, 2, 1 + step], edges=edges), step=step)
`;

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function trained(): Promise<Agent> {
  const home = emptyFolder('plots');
  await runPython<null>(TRAIN, { FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
  const agent = await agentAt(home, await freePort());
  await expect
    .poll(async () => (await ask(agent, 'GET', '/projects/plots/runs?q=status:finished')).json.total, {
      timeout: 30_000,
    })
    .toBe(12);
  return agent;
}

const figure = (page: Page, name: string): Locator => page.getByRole('region', { name, exact: true });
const painted = (chart: Locator, at: string | number): Promise<void> =>
  chart.locator(`canvas[data-painted="${at}"]`).first().waitFor();

async function add(page: Page, kind: string): Promise<void> {
  await page.getByRole('combobox', { name: 'Add a chart' }).selectOption({ label: kind });
}

/** Names in the order of a chart's table. */
async function listed(chart: Locator): Promise<string[]> {
  await chart.getByRole('button', { name: 'Table', exact: true }).click();
  const names = await chart.locator('tbody th').allTextContents();
  await chart.getByRole('button', { name: 'Chart', exact: true }).click();
  return names.map((name) => name.trim());
}

describe('charts of single values', () => {
  it('[PLT-2] [PLT-3] a scatter shows every run, its front by the goals that the script gave, and selects what a hand draws around', async () => {
    const agent = await trained();
    const page = await visit(await profile(browser), `${agent.url}/p/plots`);
    await rowOf(page, 'run 11').waitFor();
    await add(page, 'Scatter');
    const chart = page.locator('section.frame').first();
    await painted(chart, 12);
    await chart.getByRole('combobox', { name: 'Across' }).fill('cost');
    await page.locator('.column-list').getByRole('option', { name: 'cost', exact: true }).click();
    await chart.getByRole('combobox', { name: 'Up' }).fill('score max');
    await page.locator('.column-list').getByRole('option', { name: 'score · max' }).click();
    await figure(page, 'score · max over cost').waitFor();
    await chart.getByLabel('Pareto front').check();
    expect(await chart.getByRole('combobox', { name: 'Which cost is better' }).inputValue()).toBe('min');
    expect(await chart.getByRole('combobox', { name: 'Which score · max is better' }).inputValue()).toBe('max');
    // Cost falls up to run 6 and rises again, the score only rises.
    await says(chart.locator('footer'), '6 runs on the front');
    await expect
      .poll(async () => (await listed(chart)).slice(0, 6))
      .toEqual(['run 6', 'run 7', 'run 8', 'run 9', 'run 10', 'run 11']);

    const plot = chart.getByRole('application');
    const box = (await plot.boundingBox())!;
    // The upper half: from above the frame's middle to its top, across all of it.
    await page.mouse.move(box.x + 68, box.y + 12);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + 80, { steps: 4 });
    await page.mouse.move(box.x + box.width - 16, box.y + 160, { steps: 4 });
    await page.mouse.up();
    await says(chart.getByRole('status'), '6 runs inside');
    // A rectangle is a query; what a hand draws around is not.
    const filter = chart.getByRole('button', { name: 'Filter the table' });
    expect(await filter.count()).toBe(1);
    await chart.getByRole('button', { name: 'Lasso' }).click();
    const now = (await plot.boundingBox())!;
    await page.mouse.move(now.x + 68, now.y + 12);
    await page.mouse.down();
    await page.mouse.move(now.x + now.width - 16, now.y + 12, { steps: 4 });
    await page.mouse.move(now.x + now.width - 16, now.y + 160, { steps: 4 });
    await page.mouse.move(now.x + 68, now.y + 160, { steps: 4 });
    await page.mouse.up();
    await expect.poll(() => filter.count()).toBe(0);
    await says(chart.getByRole('status'), '6 runs inside');
    await chart.getByRole('button', { name: 'Select them' }).click();
    await says(page.getByRole('status'), '6 runs selected');
    // Without a pointer: along the front, and Enter takes a run out of the selection again.
    await plot.focus();
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => plot.locator('[aria-live]').textContent()).toMatch(/^run 6: cost 1, score · max 6\.3/);
    await page.keyboard.press('Enter');
    await says(page.getByRole('status'), '5 runs selected');
  });

  it('[PLT-4] [PLT-5] a brush on parallel coordinates is a query that filters the table, and moves with the hand and the keyboard', async () => {
    const agent = await trained();
    const page = await visit(await profile(browser), `${agent.url}/p/plots`);
    await rowOf(page, 'run 11').waitFor();
    await page.getByRole('combobox', { name: 'Query' }).fill('status:finished');
    await add(page, 'Parallel coordinates');
    const chart = figure(page, 'Parallel coordinates');
    await painted(chart, 12);
    const lr = chart.getByRole('slider', { name: /^params\/lr/ });
    const box = (await lr.boundingBox())!;
    // The lowest part of a log axis, by hand, from just below a run's line: which is pointed at, and not chosen.
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 8);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 9);
    await chart.locator('.tip').waitFor();
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.7, { steps: 5 });
    await page.mouse.up();
    const query = page.getByRole('combobox', { name: 'Query' });
    await expect
      .poll(() => query.inputValue())
      .toMatch(/^status:finished and params\/lr >= [\d.e-]+ and params\/lr <= [\d.e-]+$/);
    const found = (await ask(agent, 'GET', `/projects/plots/runs?q=${encodeURIComponent(await query.inputValue())}`))
      .json.total as number;
    expect(found).toBeGreaterThan(1);
    expect(found).toBeLessThan(12);
    await expect.poll(() => rows(page).count()).toBe(found);
    expect(await page.locator('[role=row][aria-selected=true]').count()).toBe(0);
    // The others stay to be seen, and the same runs are bright.
    await says(chart.getByRole('status'), `${found} of 12 runs chosen`);
    // A category by keyboard replaces nothing of the other axis.
    await chart.getByRole('slider', { name: /^params\/opt/ }).focus();
    await page.keyboard.press('ArrowUp');
    await expect
      .poll(() => query.inputValue())
      .toMatch(/^status:finished and params\/lr >= .* and params\/opt = "adam"$/);
    // Who asks for more behind it keeps that, and the brush takes the place of what it said; both are one step.
    const opt = chart.getByRole('slider', { name: /^params\/opt/ });
    const asked = `${await query.inputValue()} and name ~ /run/`;
    await query.fill(asked);
    await opt.focus();
    await page.keyboard.press('ArrowUp');
    await expect
      .poll(() => query.inputValue())
      .toMatch(/^status:finished and name ~ \/run\/ and params\/lr >= .* and params\/opt = "sgd"$/);
    await page.keyboard.press('Control+z');
    await expect.poll(() => query.inputValue()).toBe(asked);
    await expect.poll(() => opt.getAttribute('aria-valuetext')).toBe('"adam"');
    await query.fill(asked.replace(' and name ~ /run/', ''));
    await opt.focus();
    await page.keyboard.press('Escape');
    await chart.getByRole('button', { name: 'Clear' }).click();
    await expect.poll(() => query.inputValue()).toBe('status:finished');
    await expect.poll(() => rows(page).count()).toBe(12);
    // Axes change places by keyboard.
    const order = (): Promise<(string | null)[]> => chart.locator('.axis .label').allTextContents();
    const before = await order();
    await chart.getByRole('slider').first().focus();
    await page.keyboard.press('Alt+ArrowRight');
    await expect.poll(order).toEqual([before[1], before[0], ...before.slice(2)]);
  });

  it('[PLT-6] bars per run and per group, sorted, as a table and as a file', async () => {
    const agent = await trained();
    const page = await visit(await profile(browser), `${agent.url}/p/plots`);
    await rowOf(page, 'run 11').waitFor();
    await add(page, 'Bars');
    const chart = page.locator('section.frame').first();
    await expect.poll(async () => (await listed(chart)).slice(0, 3)).toEqual(['run 11', 'run 10', 'run 9']);
    await chart.getByRole('combobox', { name: 'A bar per' }).fill('opt');
    await page.locator('.column-list').getByRole('option', { name: 'params/opt' }).click();
    await expect.poll(() => listed(chart)).toEqual(['sgd', 'adam']);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      chart.getByRole('button', { name: /as CSV/ }).click(),
    ]);
    const stream = await download.createReadStream();
    let csv = '';
    for await (const part of stream) csv += String(part);
    const [head, first] = csv.split('\r\n');
    expect(head).toBe('group,score · max,low,high,runs');
    // 1, 3 … 11, and 0.3 for the last step; the deviation of a sample of six.
    const [label, mean, low, , runs] = first!.split(',');
    expect([label, runs]).toEqual(['sgd', '6']);
    expect(Number(mean)).toBeCloseTo(6.3, 9);
    expect(Number(mean) - Number(low)).toBeCloseTo(Math.sqrt(14), 9);
    for (const kind of ['PNG', 'SVG']) {
      const [picture] = await Promise.all([
        page.waitForEvent('download'),
        chart.getByRole('button', { name: `as ${kind}` }).click(),
      ]);
      const bytes: Buffer[] = [];
      for await (const part of await picture.createReadStream()) bytes.push(Buffer.from(part as Uint8Array));
      const content = Buffer.concat(bytes);
      if (kind === 'PNG') expect(content.subarray(0, 4).toString('latin1')).toBe('\x89PNG');
      else expect(content.toString()).toMatch(/^<svg .*adam.*<\/svg>$/s);
    }
  });

  it('[PLT-7] [PLT-8] [PLT-10] pictures of several runs share one slider, which shows what each has, also with every server stopped', async () => {
    const agent = await trained();
    const context = await profile(browser);
    const page = await visit(context, `${agent.url}/p/plots?sel=run-0,run-1`);
    await says(page.getByRole('status'), '2 runs selected');
    await add(page, 'Images and other objects');
    const grid = page.locator('section.frame').first();
    const slider = grid.getByRole('slider', { name: 'Step of all runs' });
    const at = (): Promise<(string | null)[]> =>
      grid
        .locator('td[data-step]')
        .evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).dataset['step'] ?? null));
    // samples and weights of two runs, at the newest step of all, 35.
    await expect.poll(at).toEqual(['30', '30', '35', '30']);
    await grid.locator('img').nth(1).waitFor();
    await expect.poll(() => new URL(page.url()).searchParams.get('c') ?? '').toContain('am;');
    const newest = page.url();
    await slider.focus();
    await page.keyboard.press('Home');
    // The second run has no picture yet at step 0.
    await expect.poll(() => grid.locator('tbody tr').nth(1).textContent()).toContain('nothing before step 5');
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => slider.getAttribute('aria-valuetext')).toBe('step 5, 2 of 8');
    await expect.poll(at).toEqual(['0', '0', '5', '0']);
    await expect.poll(() => grid.locator('img').count()).toBe(2);
    await painted(grid, 4);
    const [picture] = await Promise.all([
      page.waitForEvent('download'),
      grid.getByRole('button', { name: 'as PNG' }).click(),
    ]);
    const parts: Buffer[] = [];
    for await (const part of await picture.createReadStream()) parts.push(Buffer.from(part as Uint8Array));
    // What was logged is in it: the shades of the pictures at step 5 (each run's first), and the darkest of the histograms.
    const shades = await page.evaluate(async (base64) => {
      const url = `data:image/png;base64,${base64}`;
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext('2d')!;
      context.drawImage(image, 0, 0);
      const at = (x: number, y: number): number[] => [...context.getImageData(2 * x, 2 * y, 1, 1).data].slice(0, 3);
      const order = [0, 1].map((row) => 30 + 70 + row * 178);
      return { width: image.naturalWidth, samples: order.map((y) => at(150 + 110, y)), paper: at(140, 4) };
    }, Buffer.concat(parts).toString('base64'));
    expect(shades.width).toBe(2 * (150 + 2 * 232 + 12));
    expect(shades.samples.sort((a, b) => a[0]! - b[0]!)).toEqual([
      [0, 0, 0],
      [20, 20, 20],
    ]);
    expect(shades.paper[0]).toBeGreaterThan(240);
    const address = page.url();
    // What else says a step has the say after the slider: a link to the page, and the way back from it.
    await page.evaluate((href) => {
      history.pushState(null, '', href);
      dispatchEvent(new PopStateEvent('popstate'));
    }, newest);
    await expect.poll(at).toEqual(['30', '30', '35', '30']);
    await page.goBack();
    await expect.poll(at).toEqual(['0', '0', '5', '0']);
    // The runs that match follow the query.
    await grid.getByRole('button', { name: 'Show more of the runs that match' }).click();
    await expect.poll(() => grid.locator('tbody tr').count()).toBe(12);
    await page.getByRole('combobox', { name: 'Query' }).fill('params/opt = "adam"');
    await expect.poll(() => grid.locator('tbody tr').count()).toBe(7);
    await installed(page);
    await agent.program.stop('SIGKILL');
    await page.close();
    const offline = await visit(context, address);
    await says(syncMark(offline), 'Offline');
    const again = offline.locator('section.frame').first();
    await again.locator('img').nth(1).waitFor();
    await painted(again, 4);
  });

  it('[PLT-1] a link restores the charts, of all runs that match and not only of those with lines', async () => {
    const agent = await trained();
    await fill(agent.url, agent.token, { project: 'many', runs: 2_000, newest: 1_795_000_000_000 });
    const context = await profile(browser);
    const page = await visit(context, `${agent.url}/p/many`);
    await rows(page).first().waitFor();
    await add(page, 'Scatter');
    const chart = page.locator('section.frame').first();
    await painted(chart, 2_000);
    const title = await chart.getAttribute('aria-label');
    await expect.poll(() => new URL(page.url()).searchParams.get('c') ?? '').toContain('as;x');
    const other = await visit(await profile(browser), page.url());
    await painted(figure(other, title!), 2_000);
  });
});
