import { describe, expect, it } from 'vitest';
import { launchChromium } from '../scaffold/browser.ts';

describe('the Chromium of tests', () => {
  it('is there and runs', async () => {
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.setContent('<title>Fieldbook</title>');
      expect(await page.title()).toBe('Fieldbook');
    } finally {
      await browser.close();
    }
  });
});
