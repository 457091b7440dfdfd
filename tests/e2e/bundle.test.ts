import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, send } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** A bundle of the recorded example runs, made on a machine that nobody else knows. */
async function exampleBundle(...args: string[]): Promise<string> {
  const home = emptyFolder('from');
  const file = join(emptyFolder('carried'), 'digits.fieldbook');
  await fieldbook(home, ['demo']);
  const { code, stderr } = await fieldbook(home, ['bundle', 'create', '-p', 'digits', '-o', file, ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return file;
}

/** As a person drops files from a folder onto the window. */
async function drop(page: Page, ...files: string[]): Promise<void> {
  const contents = files.map((file) => ({
    name: file.split('/').at(-1)!,
    text: readFileSync(file).toString('base64'),
  }));
  const data = await page.evaluateHandle(async (list) => {
    const transfer = new DataTransfer();
    for (const { name, text } of list) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      transfer.items.add(new File([bytes], name));
    }
    return transfer;
  }, contents);
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: data });
  await page.getByText('Drop a bundle to see what is in it').waitFor();
  await page.dispatchEvent('body', 'drop', { dataTransfer: data });
}

const dialog = (page: Page) => page.getByRole('dialog');
const digestAt = async (url: string, token: string): Promise<string> =>
  (await send(url, 'GET', '/api/v1/projects/digits/digest', { headers: { authorization: `Bearer ${token}` } })).json
    ?.digest;

describe('bundles in the UI', () => {
  it('[BND-12] are shown first, then taken in by the agent, twice with one result', async () => {
    const file = await exampleBundle();
    const agent: Agent = await agentAt(emptyFolder('to'), await freePort());
    const page = await visit(await profile(browser), agent.url);
    await saved(page);
    await drop(page, file);
    await says(dialog(page), 'the project “digits”');
    await says(dialog(page), '14 runs in 1 project');
    await says(dialog(page), 'by Ada on gpu-1');
    await says(dialog(page), 'It comes from another workspace');
    expect(await dialog(page).getByRole('list', { name: 'Runs in the bundle' }).getByRole('listitem').count()).toBe(12);
    // Nothing happens before somebody says so.
    expect((await ask(agent, 'GET', '/projects')).json.projects).toEqual([]);
    await dialog(page).getByRole('button', { name: 'Take it in' }).click();
    await says(dialog(page).getByRole('status'), /Taken in: .*All of it is on the disk of this machine/);
    await dialog(page).getByRole('link', { name: 'digits' }).click();
    await rowOf(page, 'too fast').waitFor();
    expect(await rows(page).count()).toBe(14);
    await drop(page, file);
    await dialog(page).getByRole('button', { name: 'Take it in' }).click();
    await says(dialog(page).getByRole('status'), 'Everything in it was here already');
  });

  it('[BND-12] says in words what is no bundle or not whole, and changes nothing', async () => {
    const file = await exampleBundle();
    const torn = join(emptyFolder('carried'), 'torn.fieldbook');
    const text = join(emptyFolder('carried'), 'notes.txt');
    writeFileSync(torn, readFileSync(file).subarray(0, -5_000));
    writeFileSync(text, 'These are notes and nothing that Fieldbook has made.');
    const agent = await agentAt(emptyFolder('to'), await freePort());
    const page = await visit(await profile(browser), `${agent.url}/settings`);
    await drop(page, torn, text);
    await says(dialog(page).getByRole('alert'), 'The bundle is not whole: its end is missing. Copy it again.');
    await dialog(page).getByRole('button', { name: 'Next' }).click();
    await says(dialog(page).getByRole('alert'), 'This is not a Fieldbook bundle');
    await dialog(page).locator('button', { hasText: 'Close' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    expect((await ask(agent, 'GET', '/projects')).json.projects).toEqual([]);
  });

  it('[BND-13] are taken in by the browser itself with every server stopped, and reach the relay later', async () => {
    const file = await exampleBundle();
    const relay = await new Relay().up();
    const token = await relay.token('member', 'Ada');
    const context = await profile(browser);
    const page = await visit(context, `${relay.url}/#token=${token}`);
    await saved(page);
    await installed(page);
    await relay.down();
    await says(syncMark(page), 'Offline');
    await drop(page, file);
    await says(dialog(page), 'This browser takes it in by itself');
    await dialog(page).getByRole('button', { name: 'Take it in' }).click();
    await says(dialog(page).getByRole('status'), 'until then this browser has the only copy');
    await dialog(page).getByRole('link', { name: 'digits' }).click();
    await rowOf(page, 'too fast').waitFor();
    expect(await rows(page).count()).toBe(14);
    // The points came along: a chart that nobody has drawn here before, with no server.
    await rowOf(page, 'no packages').click();
    await page.getByRole('region', { name: 'Chart of batch/loss' }).and(page.locator('[data-drawn=true]')).waitFor();
    // A reload keeps it, and the tab that comes back sends it.
    await page.reload();
    await rowOf(page, 'too fast').waitFor();
    await relay.up();
    await says(syncMark(page), /Saved on the relay/);
    const home = emptyFolder('check');
    await fieldbook(home, ['demo']);
    const theirs = await fieldbook(home, ['ls', '-p', 'digits', '--json', '-n', '100']);
    const { json } = await send(relay.url, 'GET', '/api/v1/projects/digits/runs?limit=100', {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(json.total).toBe(theirs.json.total);
    for (const { id, metrics } of theirs.json.runs) {
      const metric = Object.keys(metrics)[0];
      if (metric === undefined) continue;
      const answer = await send(relay.url, 'GET', `/api/v1/runs/${id}/series?metric=${encodeURIComponent(metric)}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect([id, answer.json.missing ?? []]).toEqual([id, []]);
    }
    expect(await digestAt(relay.url, token)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('[PWA-4] are known to wait in every tab, and the tabs that are left hand over what one had taken in', async () => {
    const file = await exampleBundle();
    const relay = await new Relay().up();
    const token = await relay.token('member', 'Ada');
    const context = await profile(browser);
    const first = await visit(context, `${relay.url}/#token=${token}`);
    await saved(first);
    await installed(first);
    const others = [await visit(context, relay.url), await visit(context, `${relay.url}/settings`)] as const;
    for (const page of others) await saved(page);
    await relay.down();
    for (const page of [first, ...others]) await says(syncMark(page), 'Offline');
    await drop(first, file);
    await dialog(first).getByRole('button', { name: 'Take it in' }).click();
    await says(dialog(first).getByRole('status'), 'until then this browser has the only copy');
    const told = /(\d+ documents and \d+ blobs) of a bundle only in this browser/;
    const title = async (page: Page): Promise<string | undefined> =>
      told.exec((await syncMark(page).getAttribute('title')) ?? '')?.[1];
    const waiting = await title(first);
    expect(waiting).toBeDefined();
    for (const page of others) await expect.poll(() => title(page), { timeout: 30_000 }).toBe(waiting);
    await others[1].getByRole('button', { name: 'Forget everything in this browser' }).click();
    const sum = waiting!.match(/\d+/g)!.reduce((all, each) => all + Number(each), 0);
    await says(dialog(others[1]), `${sum} edits, documents or files kept only here would be lost`);
    await others[1].keyboard.press('Escape');
    await first.close();
    await relay.up();
    for (const page of others) await says(syncMark(page), /Saved on the relay/);
    const headers = { authorization: `Bearer ${token}` };
    const { json } = await send(relay.url, 'GET', '/api/v1/projects/digits/runs?limit=100', { headers });
    expect(json.total).toBe(14);
    for (const { id, metrics } of json.runs) {
      const metric = Object.keys(metrics)[0];
      if (metric === undefined) continue;
      const path = `/api/v1/runs/${id}/series?metric=${encodeURIComponent(metric)}`;
      expect([id, (await send(relay.url, 'GET', path, { headers })).json.missing ?? []]).toEqual([id, []]);
    }
  });
});
