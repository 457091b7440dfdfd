/**
 * Takes the pictures of the docs anew from the recorded example runs, on a real agent in a real browser:
 *
 *   FIELDBOOK_SCREENSHOTS=1 npx vitest run --project e2e tests/e2e/screenshots.test.ts
 */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { rowOf, rows, saved } from './visit.ts';

/** A picture in the repository is at most so large. */
export const PICTURE_BYTES = 200_000;
const FOLDER = join(ROOT, 'docs/images');

interface Picture {
  name: string;
  width: number;
  height: number;
  theme: 'light' | 'dark';
  take: (page: Page, url: string) => Promise<void>;
}

const chosen = async (page: Page, url: string): Promise<void> => {
  await page.goto(`${url}/p/digits?sort=-m:val/accuracy.last`);
  await rows(page).nth(0).click();
  for (const place of [3, 8, 11])
    await rows(page)
      .nth(place)
      .click({ modifiers: ['Control'] });
};

export const PICTURES: readonly Picture[] = [
  { name: 'project', width: 1440, height: 900, theme: 'light', take: chosen },
  {
    name: 'project-dark',
    width: 1440,
    height: 900,
    theme: 'dark',
    take: async (page, url) => {
      await chosen(page, url);
      await page.getByRole('combobox', { name: 'Query' }).fill('tags has "sweep" and val/accuracy.max > 0.9');
      await page.getByRole('combobox', { name: 'Query' }).blur();
    },
  },
  {
    name: 'run',
    width: 1440,
    height: 900,
    theme: 'light',
    take: async (page, url) => {
      await page.goto(`${url}/p/digits`);
      await rowOf(page, 'lr 0.03, 64×32, α 0.0001').getByRole('link').click();
    },
  },
  {
    name: 'first-page',
    width: 1024,
    height: 768,
    theme: 'light',
    take: async (page, url) => void (await page.goto(url)),
  },
  {
    name: 'phone',
    width: 390,
    height: 844,
    theme: 'light',
    take: async (page, url) => {
      await page.goto(`${url}/p/digits`);
      await rows(page).nth(0).waitFor();
    },
  },
];

/** Takes one picture and returns its size in bytes. `url` is an agent with the examples, or an empty one for `first-page`. */
export async function takePicture(browser: Browser, picture: Picture, url: string): Promise<number> {
  mkdirSync(FOLDER, { recursive: true });
  const context: BrowserContext = await browser.newContext({
    viewport: { width: picture.width, height: picture.height },
    colorScheme: picture.theme,
    locale: 'en-US',
    reducedMotion: 'reduce',
  });
  try {
    const page = await context.newPage();
    await picture.take(page, url);
    await saved(page);
    await page.mouse.move(0, 0);
    await page.waitForLoadState('networkidle');
    for (const panel of await page.locator('section.panel:visible').all()) {
      if (await panel.evaluate((element) => element.getBoundingClientRect().top < innerHeight))
        await panel.and(page.locator('[data-drawn]')).first().waitFor();
    }
    const path = join(FOLDER, `${picture.name}.png`);
    await page.screenshot({ path });
    return statSync(path).size;
  } finally {
    await context.close();
  }
}
