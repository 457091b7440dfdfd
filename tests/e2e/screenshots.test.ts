import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Browser } from 'playwright-core';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { PICTURE_BYTES, PICTURES, takePicture } from './screenshots.ts';
import { agentAt, freePort } from './visit.ts';

/** Pictures change with every font: they are taken when somebody asks, not with every test run. */
describe.skipIf(process.env['FIELDBOOK_SCREENSHOTS'] !== '1')('the pictures of the docs', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  it.each(PICTURES)('$name', async (picture) => {
    const agent = await agentAt(emptyFolder('pictures'), await freePort());
    if (picture.name !== 'first-page') await ask(agent, 'POST', '/demo', {});
    expect(await takePicture(browser, picture, agent.url)).toBeLessThanOrEqual(PICTURE_BYTES);
  });
});
