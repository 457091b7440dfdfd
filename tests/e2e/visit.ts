import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { startAgent } from '../fixtures/agent.ts';

/** A port that was free a moment ago: an address has to stay the same over restarts, for it is the browser's origin. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function agentAt(home: string, port: number): Promise<Agent> {
  return startAgent(home, { args: ['--port', String(port)] });
}

/** A browser profile of its own, gone after the test: of somebody who has seen the first steps, unless `newcomer` says otherwise. */
export async function profile(
  browser: Browser,
  size: { width: number; height: number } = { width: 1440, height: 900 },
  options: BrowserContextOptions & { newcomer?: boolean } = {},
): Promise<BrowserContext> {
  const { newcomer = false, ...more } = options;
  const context = await browser.newContext({ viewport: size, locale: 'en-US', ...more });
  context.setDefaultTimeout(20_000);
  // Not in the frames that previews lie in: they have no storage.
  if (!newcomer)
    await context.addInitScript(() => {
      if (self.origin !== 'null') localStorage.setItem('fieldbook/tour', 'true');
    });
  onTestFinished(() => context.close());
  return context;
}

/** A tab at an address. A script error or a broken content policy fails the test; a server that is stopped does not. */
export async function visit(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy|violates|TypeError/.test(message.text()))
      wrong.push(message.text());
  });
  onTestFinished(() => expect(wrong).toEqual([]));
  await page.goto(url);
  return page;
}

export const table = (page: Page): Locator =>
  page.getByRole('grid', { name: 'Runs' }).or(page.getByRole('treegrid', { name: 'Runs' }));
/** Rows of runs, without the head. */
export const rows = (page: Page): Locator => table(page).locator('[role=row]:has([role=rowheader])');
export const rowOf = (page: Page, name: string): Locator =>
  rows(page).filter({ has: page.getByRole('link', { name, exact: true }) });
/** Names of the runs on the table, from top to bottom: elements stay with their runs when data moves these. */
export const namesInOrder = (page: Page): Promise<string[]> =>
  rows(page).evaluateAll((elements) =>
    elements
      .toSorted((a, b) => Number(a.getAttribute('aria-rowindex')) - Number(b.getAttribute('aria-rowindex')))
      .map((element) => element.querySelector('a')?.textContent ?? ''),
  );
export const syncMark = (page: Page): Locator => page.getByTestId('sync-mark');

/** Waits until what a locator finds has this text somewhere. */
export async function says(locator: Locator, text: string | RegExp): Promise<void> {
  await locator.filter({ hasText: text }).first().waitFor();
}

/** Waits until the page's worker has let everything go to the server; whether its relay has it is another matter. */
export async function saved(page: Page): Promise<void> {
  await says(syncMark(page), /Saved on the|only on this machine/);
}

/** Waits until every file of the page is kept, so that it starts without a server. */
export async function installed(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    if (navigator.serviceWorker.controller === null)
      await new Promise((resolve) =>
        navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }),
      );
  });
}
