import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { amount } from '../scaffold/mode.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { agentAt, freePort, installed, profile, says, syncMark, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

const MODEL = `class Model:
    depth = 3

    def forward(self, step):
        return 1 / (1 + step)
`;

const TRAIN = `import argparse, sys, time
import fieldbook
from model import Model

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--config")
args = parser.parse_args()
run = fieldbook.init("digits", name="night")
run["eval/odd"] = Model()
for step in range(50):
    run.log({"loss": Model().forward(step)}, step=step)
print("\\x1b[31mred\\x1b[0m <img src=x onerror=document.title=1>")
print("to the other stream", file=sys.stderr)
time.sleep(1.5)  # so long that the machine is looked at twice
raise RuntimeError("diverged at step 50")
`;

/** A repository whose tree is not what is committed, and a training in it that fails. */
async function dirtyTraining(home: string): Promise<{ id: string; agent: Agent; port: number; commit: string }> {
  const folder = join(emptyFolder('repo'), 'digits');
  mkdirSync(folder);
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
  git('init', '-q', '-b', 'main');
  git('remote', 'add', 'origin', 'git@github.com:ada/digits.git');
  writeFileSync(join(folder, 'model.py'), MODEL);
  writeFileSync(join(folder, 'train.py'), TRAIN);
  writeFileSync(join(folder, 'base.yaml'), 'model:\n  width: 64\n');
  writeFileSync(join(folder, 'pyproject.toml'), '[project]\nname = "digits"\n');
  git('add', '-A');
  git('commit', '-q', '-m', 'Train on digits');
  writeFileSync(join(folder, 'model.py'), MODEL.replace('depth = 3', 'depth = 4'));
  writeFileSync(join(folder, 'scratch.py'), 'print("not in git")\n');
  const { command, env } = pythonForTests();
  const launched = [
    'run',
    '-p',
    'digits',
    '--name',
    'night',
    '--',
    command,
    'train.py',
    '--lr',
    '0.5',
    '--config',
    'base.yaml',
  ];
  const training = await fieldbook(home, launched, { cwd: folder, env });
  expect(training.code, training.stderr).toBe(1);
  const port = await freePort();
  const agent = await agentAt(home, port);
  let id = '';
  await expect
    .poll(
      async () => {
        const { json } = await ask(agent, 'GET', '/projects/digits/runs');
        id = json.runs?.[0]?.id ?? '';
        if (id === '') return [];
        const { files } = (await ask(agent, 'GET', `/runs/${id}/files`)).json;
        return files
          .filter((file: { state: string }) => file.state === 'here')
          .map((file: { path: string }) => file.path);
      },
      { timeout: 30_000 },
    )
    .toEqual(
      expect.arrayContaining([
        'source/diff.patch',
        'source/files/train.py',
        'source/untracked/scratch.py',
        'config/base.yaml',
      ]),
    );
  return { id, agent, port, commit: git('rev-parse', 'HEAD').trim() };
}

const tab = (page: Page, name: string | RegExp): Locator => page.getByRole('tab', { name });
const panel = (page: Page): Locator => page.getByRole('tabpanel');

describe('the run page', () => {
  it('[RPG-1] [SRC-4] [RPG-4] tells of a training what it was: code and changes, command, surroundings, machine and end, with the agent and without', async () => {
    const home = emptyFolder('web');
    const { id, agent, commit } = await dirtyTraining(home);
    const context = await profile(browser);
    const page = await visit(context, `${agent.url}/r/${id}`);

    await says(
      panel(page).getByRole('note'),
      `Dirty. This is not what is committed as ${commit.slice(0, 12)}: 1 changed file, 1 untracked file`,
    );
    await says(panel(page), 'Failed with exit code 1');
    await says(panel(page), /train\.py --lr 0\.5 --config base\.yaml/);
    await says(panel(page), `fieldbook reproduce ${id}`);
    await says(panel(page), 'RuntimeError: diverged at step 50');
    await says(panel(page), 'Only on this machine');
    expect(
      await panel(page)
        .getByRole('link', { name: commit.slice(0, 12) })
        .getAttribute('href'),
    ).toBe(`https://github.com/ada/digits/commit/${commit}`);

    // Tabs by keyboard: the focus goes along, the address says which.
    await tab(page, 'Overview').focus();
    await page.keyboard.press('ArrowRight');
    expect(await tab(page, /^Charts/).getAttribute('aria-selected')).toBe('true');
    expect(new URL(page.url()).search).toBe('?tab=charts');
    await page.keyboard.press('End');
    expect(await tab(page, 'What went wrong').getAttribute('aria-selected')).toBe('true');
    await page.keyboard.press('ArrowRight');
    expect(new URL(page.url()).search).toBe('');

    // The traceback leads to the line in the file that ran.
    await tab(page, 'What went wrong').click();
    await page.getByRole('button', { name: /^train\.py:16$/ }).click();
    await says(page.locator('.cm-shown-line'), 'raise RuntimeError');

    await page.getByRole('button', { name: /^model\.py \+1 −1$/ }).click();
    await says(page.locator('.cm-deletedChunk'), 'depth = 3');
    await says(page.locator('.cm-changedLine'), 'depth = 4');
    // Highlighted: a keyword has a colour of its own.
    const colours = async (): Promise<number> =>
      page
        .locator('.cm-content')
        .first()
        .evaluate(
          (element) => new Set([...element.querySelectorAll('span')].map((span) => getComputedStyle(span).color)).size,
        );
    await expect.poll(colours).toBeGreaterThan(1);
    await page.getByRole('button', { name: 'Side by side' }).click();
    await says(page.locator('.cm-merge-a'), 'depth = 3');
    expect(await page.locator('.cm-merge-a').textContent()).not.toContain('depth = 4');
    await page.getByRole('button', { name: 'scratch.py' }).click();
    await says(page.locator('.cm-content'), 'not in git');
    await page.getByRole('button', { name: 'base.yaml' }).click();
    await says(page.locator('.cm-content'), 'width: 64');
    const address = page.url();

    await tab(page, 'Environment').click();
    await says(panel(page).getByRole('region', { name: 'Python' }), /3\.\d+/);
    await page.getByText('pyproject.toml').click();
    await says(page.locator('.cm-content'), 'name = "digits"');
    await page.getByRole('button', { name: 'As it was recorded (JSON)' }).click();
    await says(page.locator('.cm-content'), '"command"');
    await tab(page, 'System').click();
    await says(panel(page), 'CPU');
    const cpu = page.getByRole('region', { name: 'Chart of CPU, Machine' });
    // One title, in words; the metric's name is on hover.
    expect(await cpu.getByTitle('sys/machine/cpu_percent').textContent()).toBe('CPU Machine, %');
    expect(await page.getByText('sys/machine/cpu_percent').count()).toBe(0);

    await tab(page, /^Attributes/).click();
    await says(panel(page), 'text of model.Model');
    await page.getByRole('button', { name: 'All about eval/odd' }).click();
    await says(page.getByRole('region', { name: 'About eval/odd' }), 'only its text could be kept');

    await installed(page);
    await agent.program.stop('SIGKILL');
    await page.close();
    const offline = await visit(context, address);
    await says(syncMark(offline), 'Offline');
    await says(offline.locator('.cm-content'), 'width: 64');
    await offline.getByRole('button', { name: /^model\.py \+1/ }).click();
    await says(offline.locator('.cm-changedLine'), 'depth = 4');
    await tab(offline, 'Overview').click();
    await says(panel(offline).getByRole('note'), 'Dirty');
  });

  it('[CON-6] [CON-7] shows a console with its colours and never as HTML, each stream told apart', async () => {
    const home = emptyFolder('web');
    const { id, agent } = await dirtyTraining(home);
    const page = await visit(await profile(browser), `${agent.url}/r/${id}?tab=console`);
    const line = page.locator('.line', { hasText: 'onerror=document.title' });
    await line.waitFor();
    expect(await line.locator('.text').textContent()).toContain('red <img src=x onerror=document.title=1>');
    expect(await line.locator('img').count()).toBe(0);
    expect(await page.title()).not.toBe('1');
    const red = line.getByText('red', { exact: true });
    expect(await red.evaluate((element) => getComputedStyle(element).color)).not.toBe(
      await line.evaluate((element) => getComputedStyle(element).color),
    );
    // A link with a search in it finds at once, whichever came first, lines or question.
    const linked = await visit(page.context(), `${agent.url}/r/${id}?tab=console&find=onerror&wrap=1&ts=elapsed`);
    await says(linked.locator('.finds'), /^\s*1\s*$/);
    await says(linked.locator('mark'), 'onerror');
    await linked.close();
    await page.getByRole('combobox', { name: 'Which stream' }).selectOption('stderr');
    await says(page.locator('.line'), 'to the other stream');
    await expect.poll(() => page.locator('.line', { hasText: 'onerror=document.title' }).count()).toBe(0);
    expect(new URL(page.url()).searchParams.get('out')).toBe('stderr');
  });
});

const LINES = amount(100_000, 1_000_000);
/** Twenty-odd bytes a line, so that the cap of a run's console is not reached. Every 1000th line has a word of its own. */
const CHATTY = `
import sys, fieldbook
run = fieldbook.init("chatty", run_id="chatty", name="chatty", capture={"console": True})
out = []
for line in range(${LINES}):
    out.append(f"{line} needle\\n" if line % 1000 == 999 else f"{line} loss {line % 97}\\n")
    if len(out) == 1000:
        sys.stdout.write("".join(out))
        out = []
run.finish()
`;

describe('a long console', () => {
  it(`[CON-7] of ${LINES.toLocaleString('en')} lines opens at any of them, is searched whole and walked find by find, with few lines in the page and little memory`, async () => {
    const home = emptyFolder('web');
    const { command, env } = pythonForTests();
    const training = startCommand(command, ['-c', CHATTY], { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
    expect((await training.ended).code, training.output()).toBe(0);
    const port = await freePort();
    const agent = await agentAt(home, port);
    await expect
      .poll(
        async () =>
          (await ask(agent, 'GET', '/runs/chatty/objects')).json.paths?.find(
            ({ path }: { path: string }) => path === 'console/stdout',
          )?.rows,
        { timeout: amount(60_000, 300_000), interval: 500 },
      )
      .toBe(LINES);
    const context = await profile(browser);
    context.setDefaultTimeout(amount(30_000, 120_000));
    const half = LINES / 2;
    const page = await visit(context, `${agent.url}/r/chatty?tab=console&line=${half}`);
    const lineAt = (number: number): Locator => page.locator(`[data-line="${number}"]`);
    await says(lineAt(half), `${half - 1} needle`);
    expect(await lineAt(half).getAttribute('class')).toContain('marked');
    expect(await page.locator('.line').count()).toBeLessThan(150);

    const search = page.getByRole('searchbox', { name: 'Find in the console' });
    await search.fill('NEEDLE');
    // The find that is nearest is shown; n and N walk them, and the address goes along.
    await says(
      page.locator('.finds'),
      `${(half / 1000).toLocaleString('en')} of ${(LINES / 1000).toLocaleString('en')}`,
    );
    await page.locator('.scroller').focus();
    await page.keyboard.press('n');
    await says(lineAt(half + 1000), 'needle');
    expect(
      await lineAt(half + 1000)
        .locator('mark')
        .textContent(),
    ).toBe('needle');
    await page.keyboard.press('Shift+N');
    await page.keyboard.press('Shift+N');
    await says(lineAt(half - 1000), 'needle');
    expect(new URL(page.url()).searchParams.get('line')).toBe(String(half - 1000));

    // To the end and to a line by its number.
    await page.keyboard.press('Shift+G');
    await says(lineAt(LINES), `${LINES - 1} needle`);
    const box = (await page.locator('.scroller').boundingBox())!;
    const last = (await lineAt(LINES).boundingBox())!;
    expect(last.y + last.height).toBeLessThanOrEqual(box.y + box.height + 2);
    await page.getByRole('textbox', { name: 'Go to line' }).fill('12345');
    await page.keyboard.press('Enter');
    await says(lineAt(12_345), '12344 loss');

    // A pattern, and a search that is given up.
    await page.getByRole('button', { name: 'Regular expression' }).click();
    await search.fill('^\\d+0999 needle$');
    await says(page.locator('.finds'), new RegExp(`\\b${(LINES / 10_000 - 1).toLocaleString('en')}$`));
    await search.fill('[');
    await page.locator('.finds .brick').waitFor();
    await search.fill('');
    expect(await page.locator('.finds').count()).toBe(0);

    // Marked lines are copied as text; all are downloaded.
    await page.getByRole('textbox', { name: 'Go to line' }).fill('12345');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Line 12346', exact: true }).click();
    await page.getByRole('button', { name: 'Line 12345', exact: true }).click();
    await page.getByRole('button', { name: 'Line 12347', exact: true }).click({ modifiers: ['Shift'] });
    expect(new URL(page.url()).searchParams.get('line')).toBe('12345-12347');
    await page.getByRole('button', { name: 'Copy 3 lines' }).waitFor();
    // One that is stopped as soon as it can be saves nothing.
    let saved = 0;
    page.on('download', () => (saved += 1));
    await page.getByRole('button', { name: 'Download', exact: true }).evaluate((button: HTMLElement) => {
      const tools = button.parentElement!;
      new MutationObserver((_, observer) => {
        const stop = [...tools.querySelectorAll('button')].find((each) => each.textContent === 'Stop the download');
        if (stop === undefined || tools.querySelector('[role=progressbar]') === null) return;
        observer.disconnect();
        stop.click();
      }).observe(tools, { childList: true, subtree: true });
      button.click();
    });
    await page.getByText('Stopped; nothing was saved.').first().waitFor();
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download', exact: true }).click();
    const stream = await (await downloading).createReadStream();
    let ends = 0;
    for await (const chunk of stream) for (const byte of chunk as Buffer) if (byte === 10) ends += 1;
    expect(ends).toBe(LINES);
    expect(saved).toBe(1);

    const heap = await page
      .workers()[0]!
      .evaluate(
        () => (performance as unknown as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize ?? null,
      );
    if (heap !== null) expect(heap).toBeLessThan(amount(150, 300) * 1024 * 1024);

    await installed(page);
    const address = page.url();
    await agent.program.stop('SIGKILL');
    await page.close();
    const offline = await visit(context, address);
    await says(syncMark(offline), 'Offline');
    await says(offline.locator('[data-line="12346"]'), '12345 loss');
  });

  it('[CON-8] is followed while it is printed, stands still for who reads above, and says how many lines are new', async () => {
    const home = emptyFolder('web');
    const agent = await agentAt(home, await freePort());
    const { command, env } = pythonForTests();
    const orders = emptyFolder('orders');
    const order = (name: string): void => writeFileSync(join(orders, name), '');
    const script = `
import os, sys, time, fieldbook
run = fieldbook.init("live", run_id="live", name="live", capture={"console": True})
print("\\n".join(f"line {i}" for i in range(200)), flush=True)
for order in ("first", "second", "third", "end"):
    while not os.path.exists(os.path.join(sys.argv[1], order)):
        time.sleep(0.02)
    if order != "end":
        print("\\n".join(f"{order} {i}" for i in range(10)), flush=True)
run.finish()
`;
    const training = startCommand(command, ['-c', script, orders], {
      ...env,
      FIELDBOOK_HOME: home,
      FIELDBOOK_HOST: 'gpu-1',
    });
    await expect
      .poll(async () => (await ask(agent, 'GET', '/runs/live/objects')).json.paths?.[0]?.rows ?? 0, { timeout: 30_000 })
      .toBe(200);
    const page = await visit(await profile(browser), `${agent.url}/r/live?tab=console`);
    await says(page.locator('.line'), 'line 199');
    order('first');
    await says(page.locator('.line'), 'first 9');
    await page.locator('.scroller').hover();
    await page.mouse.wheel(0, -2_000);
    const follow = page.getByRole('button', { name: /Follow|new line/ });
    await says(follow, 'Follow');
    const top = await page.locator('.line').nth(20).textContent();
    order('second');
    await says(follow, '10 new lines');
    expect(await page.locator('.line').nth(20).textContent()).toBe(top);
    await follow.click();
    await says(page.locator('.line'), 'second 9');
    order('third');
    await says(page.locator('.line'), 'third 9');
    order('end');
    expect((await training.ended).code, training.output()).toBe(0);
    await says(page.locator('.mark').first(), 'finished');
  });
});
