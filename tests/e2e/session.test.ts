import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Tokens } from '@fieldbook/relay';
import { launchChromium } from '../scaffold/browser.ts';
import { Relay } from '../scaffold/machine.ts';
import { fill } from './fill.ts';
import { profile, rows, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

it('[ACC-55, ACC-51] the page sends its token for sessions only, opens sockets with tickets, and signs in again by itself', async () => {
  const relay = await new Relay().up();
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const spec = { role: 'member', projects: null, expires: null } as const;
  await fill(relay.url, (await tokens.create({ ...spec, name: 'box' })).secret, {
    project: 'shared',
    runs: 3,
    newest: Date.now() - 60_000,
  });
  const { token, secret } = await tokens.create({ ...spec, name: 'Ada' });
  const context = await profile(browser);
  const withToken: string[] = [];
  const heard: Promise<void>[] = [];
  context.on('request', (request) => {
    const look = async (): Promise<void> => {
      const { authorization } = await request.allHeaders();
      if (authorization !== undefined) withToken.push(`${request.method()} ${new URL(request.url()).pathname}`);
    };
    heard.push(look().catch(() => undefined));
  });
  const page = await visit(context, `${relay.url}/p/shared#token=${secret}`);
  await rows(page).nth(2).waitFor();
  const opened = (): string[] =>
    [...relay.output().matchAll(/"event":"socket.opened".*$/gm)]
      .map(([line]) => line)
      .filter((line) => line.includes(token.id));
  await expect.poll(() => opened().length, { timeout: 20_000 }).toBeGreaterThan(1);
  for (const line of opened()) expect(line).toContain('"by":"ticket"');
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' });
  expect(await page.evaluate(() => document.cookie)).toBe('');

  await relay.down('SIGKILL');
  await relay.up();
  await expect.poll(() => opened().length, { timeout: 20_000 }).toBeGreaterThan(1);
  for (const line of opened()) expect(line).toContain('"by":"ticket"');
  await Promise.all(heard);
  expect(withToken.length).toBeGreaterThan(1);
  expect([...new Set(withToken)]).toEqual(['POST /api/v1/session']);

  await tokens.revoke(token.id);
  const refused = page.getByTestId('sync-mark').filter({ hasText: 'Token not accepted' });
  await refused.waitFor();
  await page.reload();
  await refused.waitFor();
});
