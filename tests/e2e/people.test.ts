import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Tokens } from '@fieldbook/relay';
import { launchChromium } from '../scaffold/browser.ts';
import { Relay } from '../scaffold/machine.ts';
import { audit } from './axe.ts';
import { profile, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** A token for each of many machines, as their files lie in the directory of a relay. */
function crowd(relay: Relay, howMany: number): void {
  const folder = join(relay.data, 'tokens');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (let each = 0; each < howMany; each++) {
    const id = `m${String(each).padStart(7, '0')}`;
    const sha256 = createHash('sha256').update(randomBytes(32)).digest('hex');
    const token = {
      id,
      role: 'contributor',
      projects: ['vision', 'speech'],
      name: each % 2 === 0 ? `gpu-${each}` : `${'somebodys-very-long-machine-name'.repeat(3)}-${each}`,
      created: 1_790_000_000_000 + each,
      expires: null,
      sha256,
    };
    writeFileSync(join(folder, `${id}.json`), JSON.stringify(token), { mode: 0o600 });
  }
}

/** Somebody who may not sign in, and a log of before, as they lie there. */
function past(relay: Relay): void {
  const person = { issuer: 'https://id.example.org', subject: 'eve', email: null };
  const eve = { id: 'eve00000', name: 'eve@example.org', person, revoked: 1_790_000_000_000 };
  writeFileSync(join(relay.data, 'tokens', 'eve00000.revoked'), JSON.stringify(eve), { mode: 0o600 });
  const line = (count: number): string =>
    JSON.stringify({ time: '2026-09-01T00:00:00.000Z', event: 'retention', what: 'blobs', count, bytes: 0 });
  const lines = Array.from({ length: 80 }, (_, index) => `${line(index)}\n`);
  writeFileSync(join(relay.data, 'audit.jsonl'), lines.join(''), { mode: 0o600 });
}

const section = (page: Page, name: string) => page.getByRole('region', { name, exact: true });

it('[ACC-68, ACC-69] an admin invites somebody, sees them come in, and ends it, all on one page', async () => {
  const relay = new Relay();
  crowd(relay, 200);
  past(relay);
  await relay.up();
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const { secret: root } = await tokens.create({ role: 'admin', projects: null, name: 'Root', expires: null });
  const context = await profile(browser);
  const page = await visit(context, `${relay.url}/settings#token=${root}`);
  await page.getByRole('link', { name: 'People' }).click();
  await says(page.getByRole('status'), '201 tokens');
  expect(await audit(page)).toEqual([]);
  // At the narrowest that has all columns, with names in them that no column expects.
  await page.setViewportSize({ width: 701, height: 800 });
  expect(await page.locator('.page').evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);

  await page.getByRole('button', { name: 'Invite somebody…' }).click();
  const dialog = page.getByRole('dialog');
  // By keyboard alone.
  await page.getByLabel('Who or what it is for').and(page.locator(':focus')).waitFor();
  await page.keyboard.type('Vic');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  const link = await dialog.getByRole('region', { name: 'The link' }).innerText();
  expect(link).toMatch(new RegExp(`^${relay.url}/#invite=fbi_[A-Za-z0-9_-]{43}$`));
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await says(section(page, 'Open invitations').getByRole('row'), 'Vic');
  // Not copied: that is said, for it is gone.
  await says(page.getByRole('status'), 'not shown again');
  const kept = await page.evaluate(async () => {
    const stores: unknown[] = [
      { ...localStorage },
      { ...sessionStorage },
      location.href,
      document.documentElement.outerHTML,
    ];
    for (const { name } of await indexedDB.databases()) {
      const db = await new Promise<IDBDatabase>((resolve, reject) => {
        const opening = indexedDB.open(name!);
        opening.onsuccess = () => resolve(opening.result);
        opening.onerror = () => reject(opening.error!);
      });
      for (const store of db.objectStoreNames)
        stores.push(
          await new Promise((resolve) => {
            const all = db.transaction(store).objectStore(store).getAll();
            all.onsuccess = () => resolve(all.result);
          }),
        );
      db.close();
    }
    return JSON.stringify(stores);
  });
  expect(kept).not.toContain(link.slice(-40));

  const guest = await visit(await profile(browser), link.replace('/#', '/people#'));
  await guest.getByText('takes the token of an admin').waitFor();
  expect(await guest.getByRole('button', { name: 'Invite' }).count()).toBe(0);

  // As somebody does who comes back to the tab.
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await section(page, 'Open invitations').getByText('None.').waitFor();
  await page.getByRole('searchbox').fill('vic viewer');
  const row = section(page, 'Who may come in').getByRole('row').filter({ hasText: 'Vic (' });
  await row.getByRole('button', { name: /^Revoke/ }).click();
  await says(dialog, 'Its live connections, downloads and uploads end at once');
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await row.waitFor({ state: 'detached' });
  await says(guest.getByTestId('sync-mark'), 'Token not accepted');
  const log = section(page, 'What happened');
  await says(log.getByRole('listitem').first(), 'Root revoked the token of Vic (');
  await says(log.getByRole('listitem'), 'Root invited Vic, as viewer of everything');

  // Older lines stay when there are newer ones, and none stands there twice.
  await log.getByRole('button', { name: 'Older' }).click();
  await says(log.getByRole('listitem').last(), 'Let go by age: 0 of blobs');
  await section(page, 'May not sign in').getByRole('button', { name: 'Let eve@example.org sign in again' }).click();
  await says(log.getByRole('listitem').first(), 'Root let eve@example.org sign in again');
  expect(await section(page, 'May not sign in').count()).toBe(0);
  const lines = await log.getByRole('listitem').locator('span').allInnerTexts();
  expect(new Set(lines).size).toBe(lines.length);
  expect(lines.at(-1)).toBe('Let go by age: 0 of blobs, 0 B');
  await log.getByRole('combobox').selectOption('who came and went');
  await says(log.getByRole('listitem').last(), 'Root signed in');

  await page.getByRole('searchbox').fill('');
  await relay.down('SIGKILL');
  await page.getByText('nothing can be done until it answers').waitFor();
  const buttons = page.getByRole('button', { name: /^(Revoke|Invite|Older)/ });
  expect(await buttons.count()).toBeGreaterThan(50);
  expect(await buttons.and(page.locator(':enabled')).count()).toBe(0);
});

it('[ACC-68] an admin of some projects sees and invites within these, also on a phone, and is told when the token ends', async () => {
  const relay = await new Relay().up();
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  await tokens.create({ role: 'admin', projects: null, name: 'Root', expires: null });
  const spec = { role: 'admin', projects: ['vision', 'speech'] as never, expires: null } as const;
  const { token, secret } = await tokens.create({ ...spec, name: 'Vera' });
  const context = await profile(browser, { width: 390, height: 844 }, { colorScheme: 'dark' });
  const page = await visit(context, `${relay.url}/people#token=${secret}`);
  await says(page.getByRole('status'), '1 token');
  await page.getByText('Your token is for vision and speech').waitFor();
  expect(await section(page, 'What happened').count()).toBe(0);
  await page.getByRole('button', { name: 'Invite somebody…' }).click();
  await page.getByLabel('only these projects').check();
  expect(await page.getByRole('dialog').getByRole('checkbox').count()).toBe(2);
  await page.getByRole('checkbox', { name: 'speech' }).check();
  expect(await audit(page)).toEqual([]);
  await page.getByRole('button', { name: 'Make the link' }).click();
  await says(page.getByRole('dialog'), 'comes in as member of speech');
  await page.getByRole('button', { name: 'Done' }).click();
  await says(section(page, 'Open invitations').getByRole('row'), 'member of speech');
  await page.getByRole('button', { name: 'Take it back' }).click();
  await section(page, 'Open invitations').getByText('None.').waitFor();

  await section(page, 'Who may come in')
    .getByRole('button', { name: /^Revoke the token of Vera/ })
    .click();
  await says(page.getByRole('dialog'), 'It is the token of this browser');
  await page.getByRole('button', { name: 'Revoke it and leave' }).click();
  await says(page.getByRole('alert'), 'does not let this browser in');
  await tokens.refresh();
  expect(tokens.get(token.id)).toBeUndefined();
});
