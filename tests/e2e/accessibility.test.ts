import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { audit } from './axe.ts';
import { drawn, EMPTY_PLACES, PLACES, tabPlace, tabsOf } from './places.ts';
import { agentAt, freePort, profile, rowOf, rows, saved, says, table, visit } from './visit.ts';
import type { World } from './world.ts';
import { world } from './world.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** What was found, each once, with the places where. */
class Findings {
  readonly places: Record<string, string[]> = {};

  add(place: string, found: readonly string[]): void {
    for (const each of found) (this.places[each] ??= []).push(place);
  }
}

describe('accessibility', () => {
  it('axe finds nothing wrong on any page, light and dark', async () => {
    const place = await world(200);
    const wrong = new Findings();
    const page = await visit(await profile(browser), place.url);
    const tabs = await tabsOf(page, place);
    expect(tabs.length).toBeGreaterThan(3);
    for (const { name, go } of [...PLACES, ...tabs.map(tabPlace)]) {
      await go(page, place);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await drawn(page);
        // The other theme is the same page in other colours.
        const found = await audit(page, colorScheme === 'light' ? {} : { only: ['color-contrast'] });
        wrong.add(`${name}, ${colorScheme}`, found);
      }
    }
    expect(wrong.places).toEqual({});
    // Some forty places, twice.
  }, 360_000);

  it('axe finds nothing wrong on any page of an empty field book, nor on a phone', async () => {
    const agent = await agentAt(emptyFolder('empty'), await freePort());
    const empty = { url: agent.url } as World;
    const page = await visit(await profile(browser, { width: 390, height: 844 }), agent.url);
    const wrong = new Findings();
    for (const { name, go } of EMPTY_PLACES) {
      await go(page, empty);
      wrong.add(name, await audit(page));
    }
    expect(wrong.places).toEqual({});
  });

  it('at 200 % zoom and on a phone every page keeps within the window, and nothing moves for whoever asked for less motion', async () => {
    const place = await world(20);
    const wrong = new Findings();
    // 200 % on a screen of 1280 × 1024 is a window of 640 × 512.
    const sizes = [
      { width: 640, height: 512 },
      { width: 390, height: 844 },
    ];
    const settings = { deviceScaleFactor: 2, reducedMotion: 'reduce' } as const;
    const page = await visit(await profile(browser, sizes[0], settings), place.url);
    for (const { name, go } of [...PLACES, ...(await tabsOf(page, place)).map(tabPlace)]) {
      await go(page, place);
      // A page that comes up in one size and is turned has to fit in the other, too; the next one comes up in that.
      for (const size of sizes) {
        await page.setViewportSize(size);
        await drawn(page);
        wrong.add(`${name} at ${size.width}`, [
          ...(await sticksOut(page)),
          ...(await beyondKeys(page)),
          ...(await moves(page)),
        ]);
      }
      sizes.reverse();
    }
    expect(wrong.places).toEqual({});
  });

  it('a whole errand by keyboard: find a run, tag it, compare two, and back', async () => {
    const place = await world(20);
    const page = await visit(await profile(browser), place.url);
    await page.getByRole('link', { name: 'media' }).waitFor();
    await reach(page, page.getByRole('link', { name: 'media' }));
    await page.keyboard.press('Enter');
    await rows(page).nth(1).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('val/accuracy.last > 0.5');
    await says(page.getByRole('status'), /2 runs of 2 match/);
    await page.keyboard.press('Escape');
    // Into the table, down, and select both.
    await reach(page, table(page));
    await page.keyboard.press('x');
    await page.keyboard.press('j');
    await page.keyboard.press('x');
    await says(page.getByRole('toolbar'), '2 runs selected');
    await page.keyboard.press('t');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.type('by-hand');
    // Once to make the tag, once to apply what is ticked.
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await says(rowOf(page, 'hidden 24'), 'by-hand');
    await saved(page);
    const palette = page.getByRole('dialog', { name: 'Go to' }).getByRole('combobox');
    await page.keyboard.press('Control+k');
    await palette.and(page.locator(':focus')).waitFor();
    await page.keyboard.type('compare');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: /2 runs side by side/ }).waitFor();
    await drawn(page);
    await page.keyboard.press('Control+k');
    await palette.and(page.locator(':focus')).waitFor();
    await page.keyboard.type('hidden 64');
    await says(page.getByRole('option'), 'hidden 64');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'hidden 64' }).waitFor();
    // Along the tabs by arrows.
    await reach(page, page.getByRole('tab', { selected: true }));
    const first = await page.getByRole('tab', { selected: true }).textContent();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.getByRole('tab', { selected: true }).textContent()).not.toBe(first);
  });
});

/** Tabs along until the focus is on an element; what has the focus can be seen. */
async function reach(page: Page, element: Locator): Promise<void> {
  for (let steps = 0; steps < 60; steps++) {
    await page.keyboard.press('Tab');
    const at = await element.evaluate((wanted) => {
      if (document.activeElement !== wanted) return null;
      const { width, height } = wanted.getBoundingClientRect();
      return { seen: width > 0 && height > 0, outline: getComputedStyle(wanted).outlineStyle };
    });
    if (at === null) continue;
    expect(at.seen).toBe(true);
    expect(at.outline).not.toBe('none');
    return;
  }
  throw new Error(`Tab never came to ${String(element)}.`);
}

/** Elements that nobody can scroll to: beyond the window's edges with nothing around them that scrolls. */
function sticksOut(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    if (document.documentElement.scrollWidth > innerWidth)
      found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
    for (const element of document.querySelectorAll('.page'))
      if (element.scrollWidth > element.clientWidth) found.push('a page to be read scrolls sideways');
    for (const element of document.querySelectorAll<HTMLElement>('button, a, input, select, h1, h2, h3, [role=tab]')) {
      const { left, right, width } = element.getBoundingClientRect();
      if (width === 0 || (left >= -1 && right <= innerWidth + 1)) continue;
      // Within what is folded away an element still has a box.
      if (element.closest('.skip, .unseen') !== null || !element.checkVisibility()) continue;
      let scrolls = false;
      for (let around = element.parentElement; around !== null && !scrolls; around = around.parentElement) {
        scrolls = /auto|scroll/.test(getComputedStyle(around).overflowX) && around.scrollWidth > around.clientWidth;
      }
      if (!scrolls) found.push(element.outerHTML.slice(0, 120));
    }
    return found;
  });
}

/** Parts that scroll and that the keyboard does not get into: axe looks at pages in one size. A list of matches is walked from its field. */
function beyondKeys(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('body *')]
      .filter((element) => {
        const { overflowX, overflowY } = getComputedStyle(element);
        const sideways = /auto|scroll/.test(overflowX) && element.scrollWidth > element.clientWidth + 1;
        const down = /auto|scroll/.test(overflowY) && element.scrollHeight > element.clientHeight + 1;
        const keys = '[tabindex], a[href], button, input, select, textarea, [contenteditable=true]';
        return (
          (sideways || down) &&
          element.checkVisibility() &&
          !element.matches(`[role=listbox], ${keys}`) &&
          element.querySelector(keys) === null
        );
      })
      .map((element) => `the keyboard does not scroll ${element.outerHTML.slice(0, 120)}`),
  );
}

/** Animations that run, and whatever would move for some time once something changed: at rest no transition runs. */
function moves(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found = document
      .getAnimations()
      .map((animation) => Number(animation.effect?.getComputedTiming().duration ?? 0))
      .filter((duration) => duration > 1)
      .map((duration) => `something moves for ${duration} ms`);
    for (const element of document.querySelectorAll('*'))
      for (const part of [null, '::before', '::after']) {
        const { transitionDuration, animationDuration, scrollBehavior } = getComputedStyle(element, part);
        const longest = Math.max(...`${transitionDuration},${animationDuration}`.split(',').map(parseFloat));
        if (longest > 0.001) found.push(`${element.localName}.${element.className}${part ?? ''}: ${longest} s`);
        if (scrollBehavior === 'smooth') found.push(`${element.localName} scrolls smoothly`);
      }
    return found;
  });
}
