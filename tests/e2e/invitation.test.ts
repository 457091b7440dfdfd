import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Invitations, Tokens } from '@fieldbook/relay';
import { launchChromium } from '../scaffold/browser.ts';
import { Relay } from '../scaffold/machine.ts';
import { fill } from './fill.ts';
import { profile, rows, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

it('[ACC-50] the link of an invitation lets one browser in, and nothing of it is left anywhere', async () => {
  const relay = await new Relay().up();
  const spec = { role: 'member', projects: null, name: 'Ada' } as const;
  const { secret: agent } = await (await Tokens.open(join(relay.data, 'tokens'))).create({ ...spec, expires: null });
  await fill(relay.url, agent, { project: 'shared', runs: 3, newest: Date.now() - 60_000 });
  const invitations = await Invitations.open(join(relay.data, 'invitations'));
  const { secret } = await invitations.create({ ...spec, expires: Date.now() + 60_000, tokenLifetime: null });

  const context = await profile(browser);
  const sent: string[] = [];
  context.on('request', (request) => sent.push(request.url(), request.headers()['referer'] ?? ''));
  const page = await visit(context, `${relay.url}/p/shared#invite=${secret}`);
  await rows(page).nth(2).waitFor();
  expect(page.url()).toBe(`${relay.url}/p/shared`);
  await page.reload();
  await rows(page).nth(2).waitFor();
  const told = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  // The history holds no address of before.
  await page.goBack().catch(() => undefined);
  expect(page.url()).not.toContain('invite');
  const files = readdirSync(relay.data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const written = files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
  for (const place of [told, sent.join('\n'), relay.output(), written]) {
    expect(place).not.toContain(secret.slice(4, 24));
    expect(place).not.toMatch(/fbt_/);
  }

  const late = await visit(await profile(browser), `${relay.url}/#invite=${secret}`);
  await late.getByRole('alert').filter({ hasText: 'used already' }).waitFor();
  expect(late.url()).toBe(`${relay.url}/`);
});
