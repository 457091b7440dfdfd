import type { Locator, Page } from 'playwright-core';
import type { World } from './world.ts';
import { expect } from 'vitest';
import { rows, saved } from './visit.ts';

/** A page of the UI, and how to get to it. */
export interface Place {
  name: string;
  /** Goes there and returns when it is drawn. */
  go: (page: Page, world: World) => Promise<void>;
}

/** Waits until everything that is on the screen has been drawn. */
export async function drawn(page: Page): Promise<void> {
  await saved(page);
  await page.waitForFunction(
    () =>
      document.querySelector('[data-charts][aria-busy=true]') === null &&
      [...document.querySelectorAll('section.panel')].every((panel) => {
        const { top, bottom, width } = panel.getBoundingClientRect();
        const idle = panel.ariaBusy !== 'true' && !panel.textContent.includes('Reading…');
        return width === 0 || bottom < 0 || top > innerHeight || idle;
      }),
  );
  await page.evaluate(() =>
    document.fonts.ready.then(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    ),
  );
}

const at = (
  name: string,
  address: string | ((world: World) => string),
  ready: (page: Page) => Promise<void>,
): Place => ({
  name,
  go: async (page, world) => {
    await page.goto(world.url + (typeof address === 'string' ? address : address(world)));
    await ready(page);
    await drawn(page);
  },
});

const heading = (name: string | RegExp) => (page: Page) => page.getByRole('heading', { name }).first().waitFor();
const table = (page: Page) => rows(page).first().waitFor();

/** Charts as an address has them: a scatter with its front, parallel coordinates, and bars. */
const PLOTS = `a${[
  's;xa:params/lr;ym:val/accuracy.max;lx;f-+',
  'p;aa:params/lr!0l;am:val/loss.last;am:val/accuracy.max',
  'b;xm:val/accuracy.max',
].join('|')}`;
/** Pictures, histograms and tables beside each other. */
const GRID = 'am;tsamples/missed;tweights/hidden;tconfusion';

/** Waits until a part of a page says more than that it is being read. */
async function told(part: Locator): Promise<void> {
  await expect
    .poll(() => part.innerText().catch(() => ''), { timeout: 20_000 })
    .toMatch(/^(?![\s\S]*(?:Reading|Comparing|Looking for|reading)[^\n]*…)[\s\S]*\S/);
}

/** Tabs of a run's page, as the page itself lists them. */
export async function tabsOf(page: Page, world: World): Promise<string[]> {
  await page.goto(`${world.url}/r/${world.runs[1]}`);
  const tabs = page.getByRole('tablist', { name: 'Parts of the run' }).getByRole('tab');
  await tabs.first().waitFor();
  return Promise.all((await tabs.all()).map(async (tab) => (await tab.getAttribute('id'))!.replace('tab-', '')));
}

export const tabPlace = (tab: string): Place =>
  at(
    `run-${tab}`,
    ({ runs }) => `/r/${runs[1]}?tab=${tab}`,
    async (page) => {
      await page.locator(`#tab-${tab}[aria-selected="true"]`).waitFor();
      await page.getByRole('tabpanel').waitFor();
    },
  );

/** Every page but the run's tabs. */
export const PLACES: readonly Place[] = [
  at('projects', '/', heading('Projects')),
  at('project', '/p/digits', table),
  at('project-selected', ({ runs }) => `/p/media?sel=${runs.map((run) => run.slice(-10)).join(',')}`, table),
  at('project-10k', '/p/sweep', table),
  at('project-none', '/p/digits?q=nothing-has-this', heading('No run matches')),
  at(
    'compare',
    ({ runs }) => `/p/media/compare?runs=${runs.map((run) => run.slice(-10)).join(',')}`,
    heading(/side by side/),
  ),
  ...['charts', 'images', 'source', 'packages', 'environment', 'data', 'console'].map((tab) =>
    at(
      `compare-${tab}`,
      ({ runs }) => `/p/media/compare?runs=${runs.map((run) => run.slice(-10)).join(',')}&tab=${tab}`,
      async (page) => {
        await page.locator(`#compare-${tab}[aria-selected="true"]`).waitFor();
        // A chart out of sight is not read; `drawn` waits for those that are in it.
        if (tab === 'charts') await page.locator('#comparison section.panel').first().waitFor();
        else await told(page.locator('#comparison'));
      },
    ),
  ),
  at('project-plots', `/p/digits?show=charts&c=${encodeURIComponent(PLOTS)}`, async (page) => {
    await page.locator('section.frame canvas[data-painted]').nth(1).waitFor();
    await page.locator('section.frame .bar').first().waitFor();
  }),
  at('project-media', `/p/media?show=charts&c=${encodeURIComponent(GRID)}`, async (page) => {
    await page.locator('section.frame .grid td[data-step] .thumbnail img').first().waitFor();
  }),
  at('sync', '/sync', heading('Sync')),
  at('settings', '/settings', heading('Settings')),
  at('lost', '/nowhere', heading('There is nothing at this address')),
  at('palette', '/p/digits', async (page) => {
    await table(page);
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog', { name: 'Go to' }).getByRole('option').first().waitFor();
  }),
  at('keys', '/p/digits', async (page) => {
    await table(page);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  }),
];

/** The pages of a field book with nothing in it. */
export const EMPTY_PLACES: readonly Place[] = [
  at('projects', '/', heading('An empty field book')),
  at('project', '/p/nobody', heading('This project is not in this field book')),
  at('run', '/r/nobody', heading('This run is not in this field book')),
  at('compare', '/p/nobody/compare?runs=a,b', (page) => page.getByText('Choose runs in the table').waitFor()),
  at('sync', '/sync', heading('Sync')),
  at('settings', '/settings', heading('Settings')),
];
