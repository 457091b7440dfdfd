import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, fieldbook } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { agentAt, freePort, profile, rowOf, rows, saved, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const PATIENT = { timeout: 30_000 };

describe('the sync page', () => {
  it('[SYN-3] joins a relay by a link, shows what is only here until it is not, pauses, and leaves', async () => {
    const agent = await agentAt(emptyFolder('sync'), await freePort());
    await ask(agent, 'POST', '/demo', {});
    const relay = await new Relay().up();
    const token = await relay.token('member', 'Ada');
    const page = await visit(await profile(browser), `${agent.url}/sync`);
    const relays = page.getByRole('region', { name: 'Relays of this machine' });
    await says(relays, 'Everything is on this machine only');
    await relays.getByRole('button', { name: 'Connect to a relay…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox', { name: /Address/ }).fill(`${relay.url}/#token=fbt_wrong`);
    // The token leaves the field that everybody can read.
    expect(await dialog.getByRole('textbox', { name: /Address/ }).inputValue()).toBe(`${relay.url}/`);
    await dialog.getByRole('button', { name: 'Connect' }).click();
    await says(dialog, 'ask whoever runs the relay for another');
    await dialog.getByLabel('Token').fill(token);
    await dialog.getByRole('button', { name: 'Connect' }).click();
    await dialog.waitFor({ state: 'detached' });
    await says(relays, 'connected since');
    await says(relays, 'Everything on this machine is also on its relays.');
    await says(
      page.getByRole('region', { name: 'Only on this machine' }),
      'Nothing: a relay has acknowledged every run',
    );
    await relays.getByRole('button', { name: 'Pause' }).click();
    await says(relays, 'paused: nothing is exchanged');
    await ask(agent, 'POST', '/runs/too%20fast/edits', [{ field: 'tags', op: 'add', value: 'later' }]);
    await says(page.getByRole('region', { name: 'Only on this machine' }), 'changes in 1 project');
    await says(relays, '1 document waiting');
    await says(syncMark(page), 'Changes only on this machine');
    const here = page.getByRole('region', { name: 'This browser' });
    expect(await here.innerText()).toMatch(/Everything you changed is on the agent\.$/);
    await relays.getByRole('button', { name: 'Resume' }).click();
    await says(
      page.getByRole('region', { name: 'Only on this machine' }),
      'Nothing: a relay has acknowledged every run',
    );
    await relay.down();
    await says(relays, 'not connected since');
    await says(relays, 'It is tried again by itself');
    await relays.getByRole('button', { name: 'Leave…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
    await says(relays, 'Everything is on this machine only');
    expect((await ask(agent, 'GET', '/sync')).json.peers).toEqual([]);
    expect(await page.content()).not.toContain(token);
  });

  it('[SYN-4] is not needed to see what is only on this machine: the header, the projects and the table say it', async () => {
    const agent = await agentAt(emptyFolder('sync'), await freePort());
    await ask(agent, 'POST', '/demo', {});
    const relay = await new Relay().up();
    const context = await profile(browser);
    const page = await visit(context, agent.url);
    await says(syncMark(page), 'Saved on the agent');
    await ask(agent, 'POST', '/join', { url: relay.url, token: await relay.token('member', 'Ada') });
    await expect.poll(async () => (await ask(agent, 'GET', '/sync')).json.settled, PATIENT).toBe(true);
    await says(syncMark(page), 'Saved on the agent');
    await relay.down();
    const digits = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'digits' }) });
    await ask(agent, 'POST', '/runs/too%20fast/edits', [{ field: 'tags', op: 'add', value: 'later' }]);
    await says(syncMark(page), 'Changes only on this machine');
    await says(digits, 'changes not on the relay');
    const ran = await fieldbook(agent.home, ['run', '-p', 'digits', '--name', 'on the train', '--', 'true']);
    expect([ran.stderr, ran.code]).toEqual([expect.any(String), 0]);
    // Both tabs are told, and only one of them asks.
    const other = await visit(context, `${agent.url}/p/digits`);
    for (const each of [page, other]) {
      await says(syncMark(each), '1 run only on this machine');
      expect(await syncMark(each).getAttribute('title')).toContain('1 run is not on the relay yet: Sync says why.');
    }
    await says(digits, '1 run not on the relay');
    await says(rowOf(other, 'on the train'), 'only on this machine');
    expect(await rows(other).filter({ hasText: 'only on this machine' }).count()).toBe(1);
    await relay.up();
    await ask(agent, 'POST', '/sync/retry', {});
    for (const each of [page, other]) await says(syncMark(each), 'Saved on the agent');
    await expect.poll(() => rows(other).filter({ hasText: 'only on this machine' }).count(), PATIENT).toBe(0);
    await expect.poll(() => digits.filter({ hasText: 'not on the relay' }).count(), PATIENT).toBe(0);
  });

  it('[SYN-3] lists machines with when they last wrote, and makes a bundle that another machine takes in', async () => {
    const agent = await agentAt(emptyFolder('sync'), await freePort());
    await ask(agent, 'POST', '/demo', {});
    const page = await visit(await profile(browser), `${agent.url}/sync`);
    await saved(page);
    const machines = page.getByRole('region', { name: 'Machines and browsers' });
    const row = machines.getByRole('row').filter({ hasText: 'gpu-1' });
    await says(row, 'agent');
    await says(row, '14');
    const bundles = page.getByRole('region', { name: 'Bundles' });
    await bundles.getByRole('combobox').selectOption('digits');
    await bundles.getByRole('textbox').fill('status:failed');
    await says(bundles.getByRole('status'), '1 run,');
    await bundles.getByRole('textbox').fill('status =');
    await says(bundles.getByRole('status'), /expected|Expected|query/);
    await bundles.getByRole('textbox').fill('status:failed');
    await says(bundles.getByRole('status'), '1 run,');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      bundles.getByRole('button', { name: 'Make a bundle' }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^digits-.*\.fieldbook$/);
    const other = emptyFolder('other');
    const taken = await fieldbook(other, ['bundle', 'import', await download.path(), '--json']);
    expect(taken.json.imported[0]).toMatchObject({ refused: [], manifest: { runCount: 1 } });
    expect((await fieldbook(other, ['ls', '-p', 'digits', '--json'])).json.total).toBe(1);
  });
});
