import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import type { Place } from './places.ts';
import { EMPTY_PLACES, PLACES, tabPlace, tabsOf } from './places.ts';
import { PICTURE_BYTES, PICTURES, takePicture } from './screenshots.ts';
import { agentAt, freePort, profile, visit } from './visit.ts';
import type { World } from './world.ts';
import { world } from './world.ts';

const FOLDER = join(ROOT, 'tests/.output/screenshots');
const SIZES = [
  { width: 1440, height: 900 },
  { width: 1024, height: 768 },
  { width: 390, height: 844 },
] as const;
const THEMES = ['light', 'dark'] as const;

/** Pictures change with every font: they are taken by `npm run screenshots`, not with every test run. */
describe.skipIf(process.env['FIELDBOOK_SCREENSHOTS'] !== '1')('pictures', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
  });
  afterAll(() => browser.close());

  /** Every place at every size in both themes; returns what could not be drawn. */
  async function take(state: string, places: readonly Place[], there: World): Promise<string[]> {
    const failed: string[] = [];
    for (const theme of THEMES) {
      for (const size of SIZES) {
        const page = await visit(
          await profile(browser, size, { colorScheme: theme, reducedMotion: 'reduce' }),
          there.url,
        );
        for (const { name, go } of places) {
          const picture = `${state}-${name}-${size.width}-${theme}`;
          try {
            await go(page, there);
          } catch (error) {
            failed.push(`${picture}: ${String(error).split('\n')[0]}`);
          }
          await page.mouse.move(0, 0);
          await page.screenshot({ path: join(FOLDER, `${picture}.png`) });
        }
        await page.context().close();
      }
    }
    writeFileSync(join(FOLDER, `${state}.html`), contents(state, places));
    return failed;
  }

  it('of every page of a full field book', { timeout: 30 * 60_000 }, async () => {
    const there = await world(10_000);
    const page = await visit(await profile(browser), there.url);
    const tabs = await tabsOf(page, there);
    await page.close();
    expect(await take('full', [...PLACES, ...tabs.map(tabPlace)], there)).toEqual([]);
  });

  it('of every page of an empty one', { timeout: 10 * 60_000 }, async () => {
    const agent = await agentAt(emptyFolder('pictures'), await freePort());
    expect(await take('empty', EMPTY_PLACES, { url: agent.url } as World)).toEqual([]);
  });

  it('for the docs', { timeout: 10 * 60_000 }, async () => {
    const there = await world(10_000);
    const empty = await agentAt(emptyFolder('pictures'), await freePort());
    for (const picture of PICTURES) {
      const path = await takePicture(browser, picture, there, empty.url);
      expect(statSync(path).size, picture.name).toBeLessThanOrEqual(PICTURE_BYTES);
    }
  });
});

/** A page that shows all pictures of a state beside each other. */
function contents(state: string, places: readonly Place[]): string {
  const cell = (name: string, theme: string, width: number): string =>
    `<img loading="lazy" width="${width / 3}" alt="${name}, ${width}, ${theme}" src="${state}-${name}-${width}-${theme}.png">`;
  const row = ({ name }: Place): string =>
    `<h2>${name}</h2><p>${THEMES.flatMap((theme) => SIZES.map(({ width }) => cell(name, theme, width))).join(' ')}</p>`;
  return `<!doctype html><meta charset="utf-8"><title>${state}</title>${places.map(row).join('\n')}\n`;
}
