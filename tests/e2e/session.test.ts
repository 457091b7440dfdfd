import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Tokens } from '@fieldbook/relay';
import { settingsFor, TestProvider } from '../fixtures/provider.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { Relay } from '../scaffold/machine.ts';
import { fill } from './fill.ts';
import { freePort, profile, rows, visit } from './visit.ts';

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

it('[ACC-63] somebody signs in at the provider and out again, and is told when the relay ended it', async () => {
  const provider = await new TestProvider().up();
  provider.person = { sub: 'ada-1', email: 'ada@example.org', email_verified: true };
  const port = String(await freePort());
  const config = settingsFor(provider, `http://127.0.0.1:${port}`);
  const relay = await new Relay().up(['--config', config, '--port', port]);
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const { secret } = await tokens.create({ role: 'member', projects: null, name: 'box', expires: null });
  await fill(relay.url, secret, { project: 'shared', runs: 3, newest: Date.now() - 60_000 });
  const context = await profile(browser);
  const page = await visit(context, `${relay.url}/`);
  await page.getByRole('heading', { name: 'Sign in to this relay' }).waitFor();
  const signIn = page.getByRole('button', { name: 'Sign in with Example' });
  await signIn.click();
  await page.getByRole('link', { name: 'shared' }).click();
  await rows(page).nth(2).waitFor();
  expect(new URL(page.url()).hash).toBe('');
  expect(await page.evaluate(() => document.cookie)).toBe('');

  await page.goto(`${relay.url}/settings`);
  await page.getByText('You are signed in as ada@example.org, and may look only.').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByTestId('sync-mark').filter({ hasText: 'Needs a token' }).waitFor();
  // A page that is cut off before the relay has said who came back asks again when it is opened again.
  const lost = context.waitForEvent('requestfailed', (request) => request.url().endsWith('/api/v1/session'));
  await context.route('**/api/v1/session', (route) => route.abort(), { times: 1 });
  await signIn.click();
  await lost;
  await page.reload();
  await page.getByText('You are signed in as ada@example.org').waitFor();
  expect(new URL(page.url()).pathname).toBe('/settings');

  await tokens.refresh();
  await tokens.revoke(tokens.list().find(({ person }) => person !== undefined)!.id);
  await page.getByTestId('sync-mark').filter({ hasText: 'Signed out' }).waitFor();
  await page.getByRole('button', { name: 'Sign in again with Example' }).click();
  await page.getByRole('heading', { name: 'You are not let in' }).waitFor();
});
