import { chromium } from 'playwright-core';
import type { Browser, BrowserContext } from 'playwright-core';
import { findChromium } from '../../.ci/lib/chromium.mjs';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--force-color-profile=srgb',
];

/**
 * The machine's Chromium, headless, with nothing of its own going over the network and colours that do not depend on
 * the screen. Whoever calls this closes it.
 *
 * @throws {Error} where there is none, naming the variable that helps
 */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch(options());
}

/** The same with a profile in a folder, as people have one: what a page stores is on a disk and outlives the browser. */
export async function launchProfile(folder: string, args: readonly string[] = []): Promise<BrowserContext> {
  const { args: flags, ...rest } = options();
  return chromium.launchPersistentContext(folder, {
    ...rest,
    args: [...flags, ...args],
    viewport: { width: 1440, height: 900 },
    locale: 'en-US',
  });
}

function options() {
  const executablePath = findChromium();
  if (executablePath === null) {
    throw new Error('There is no Chrome or Chromium: install one, or name it in FIELDBOOK_CHROMIUM.');
  }
  // Names of files with letters beyond ASCII are saved as they are, whatever the locale of whoever tests.
  const env = { ...process.env, LC_ALL: 'C.UTF-8' } as Record<string, string>;
  return { executablePath, headless: true, args: FLAGS, env };
}
