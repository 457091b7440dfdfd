import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { drawn, PLACES, tabPlace } from './places.ts';
import { profile, rowOf, rows, visit } from './visit.ts';
import type { World } from './world.ts';

/** A picture in the repository is at most so large. */
export const PICTURE_BYTES = 250_000;
const FOLDER = join(ROOT, 'docs/images');

interface Picture {
  name: string;
  width: number;
  height: number;
  theme: 'light' | 'dark';
  take: (page: Page, world: World, emptyUrl: string) => Promise<void>;
}

const chosen = async (page: Page, { url }: World): Promise<void> => {
  await page.goto(`${url}/p/digits?sort=-m:val/accuracy.last`);
  await rows(page).nth(0).click();
  for (const place of [3, 8, 11])
    await rows(page)
      .nth(place)
      .click({ modifiers: ['Control'] });
};

const place = (name: string) => (page: Page, world: World) =>
  PLACES.find((each) => each.name === name)!.go(page, world);
const tab = (name: string) => (page: Page, world: World) => tabPlace(name).go(page, world);
const wide = { width: 1440, height: 900, theme: 'light' } as const;

/** The pictures of the docs. */
export const PICTURES: readonly Picture[] = [
  { ...wide, name: 'project', take: chosen },
  {
    ...wide,
    name: 'project-dark',
    theme: 'dark',
    take: async (page, world) => {
      await chosen(page, world);
      await page.getByRole('combobox', { name: 'Query' }).fill('tags has "sweep" and val/accuracy.max > 0.9');
      await page.getByRole('combobox', { name: 'Query' }).blur();
    },
  },
  {
    ...wide,
    name: 'run',
    take: async (page, { url }) => {
      await page.goto(`${url}/p/digits`);
      await rowOf(page, 'lr 0.03, 64×32, α 0.0001').getByRole('link').click();
      await page.getByRole('heading', { name: 'lr 0.03, 64×32, α 0.0001' }).waitFor();
      await page.getByRole('tabpanel').waitFor();
    },
  },
  { ...wide, name: 'compare', take: place('compare') },
  { ...wide, name: 'console', take: tab('console') },
  {
    name: 'first-page',
    width: 1024,
    height: 768,
    theme: 'light',
    take: async (page, _world, emptyUrl) => void (await page.goto(emptyUrl)),
  },
  {
    name: 'phone',
    width: 390,
    height: 844,
    theme: 'light',
    take: async (page, { url }) => {
      await page.goto(`${url}/p/digits`);
      await rows(page).nth(0).waitFor();
    },
  },
];

/** Takes one picture and returns its path. Call it inside of a test. */
export async function takePicture(browser: Browser, picture: Picture, world: World, emptyUrl: string): Promise<string> {
  mkdirSync(FOLDER, { recursive: true });
  const { width, height, theme, name } = picture;
  const page = await visit(
    await profile(browser, { width, height }, { colorScheme: theme, reducedMotion: 'reduce' }),
    'about:blank',
  );
  await picture.take(page, world, emptyUrl);
  await page.mouse.move(0, 0);
  await drawn(page);
  const path = join(FOLDER, `${name}.png`);
  await page.screenshot({ path });
  await page.context().close();
  return path;
}
