import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { agentAt, freePort, installed, profile, rowOf, rows, saved, says, syncMark, visit } from './visit.ts';

/** Fits a mean to the numbers of a folder; the features lie in DVC, of which only the pointer is in the checkout. */
const TRAIN = `
import pathlib, sys, fieldbook
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
with fieldbook.init("survey", run_id=name.replace(" ", "-"), name=name) as run:
    run["data/train"].track_files(str(folder / "train"))
    run["data/features"].track_files(str(folder / "features.dvc"))
    values = [float(line) for path in sorted((folder / "train").glob("*.csv")) for line in path.read_text().split()]
    for step in range(1, 6):
        guess = sum(values) / len(values) * step / 5
        run.log({"val/loss": sum((value - guess) ** 2 for value in values) / len(values)}, step=step)
`;

const pointer = (md5: string, size: number): string =>
  `outs:\n- md5: ${md5}\n  size: ${size}\n  hash: md5\n  path: features\n`;
const FEATURES = 'd41d8cd98f00b204e9800998ecf8427e';
const OTHER_FEATURES = '0cc175b9c0f1b6a831c399e269772661';

/** Shards of a data set; the second week's are longer by one reading. */
const SHARDS = { 'monday.csv': '1\n2\n3\n', 'tuesday.csv': '4\n5\n6\n', 'wednesday.csv': '7\n8\n9\n' };
const LATER = { ...SHARDS, 'tuesday.csv': '4\n5\n6\n60\n' };

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/**
 * Four trainings: `first` and `again` on equal copies of the data in different folders, `later` where one file grew, `other
 * features` where only the DVC pointer names something else.
 */
async function survey(): Promise<Agent> {
  const home = emptyFolder('survey');
  const place = emptyFolder('checkout');
  writeFileSync(join(place, 'train.py'), TRAIN);
  const train = async (name: string, shards: Record<string, string>, features: string): Promise<void> => {
    const folder = join(place, name);
    mkdirSync(join(folder, 'train'), { recursive: true });
    for (const [file, text] of Object.entries(shards)) writeFileSync(join(folder, 'train', file), text);
    writeFileSync(join(folder, 'features.dvc'), features);
    const { command, env } = pythonForTests();
    const shell = ['-c', 'cd "$1" && shift && exec "$@"', 'sh', place, command, 'train.py', name, folder];
    const program = startCommand('sh', shell, { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1' });
    const { code } = await program.ended;
    expect(code, program.output()).toBe(0);
  };
  await train('first', SHARDS, pointer(FEATURES, 4_096));
  await train('again', SHARDS, pointer(FEATURES, 4_096));
  await train('later', LATER, pointer(FEATURES, 4_096));
  await train('other features', SHARDS, pointer(OTHER_FEATURES, 5_120));
  const agent = await agentAt(home, await freePort());
  const ready = async (): Promise<number> => {
    const { json } = await ask(agent, 'GET', '/projects/survey/runs?q=status:finished');
    let stored = 0;
    for (const { id } of json.runs ?? []) {
      const { files } = (await ask(agent, 'GET', `/runs/${encodeURIComponent(id)}/files`)).json;
      const lists = files.filter(({ path }: { path: string }) => /^data\/(train|features)\/list$/.test(path));
      if (lists.length === 2 && lists.every(({ state }: { state: string }) => state === 'here')) stored += 1;
    }
    return stored;
  };
  await expect.poll(ready, { timeout: 60_000 }).toBe(4);
  return agent;
}

const query = (page: Page): Locator => page.getByRole('combobox', { name: 'Query' });
const tab = (page: Page, name: string): Locator => page.getByRole('tab', { name, exact: true });
const part = (page: Page, path: string): Locator =>
  page
    .getByRole('tabpanel')
    .locator('section')
    .filter({ has: page.getByRole('heading', { name: path, exact: true }) });

/** Picks runs in the table and compares them; ends where their data are told of. */
async function compare(page: Page, agent: Agent, names: readonly string[]): Promise<void> {
  await page.goto(`${agent.url}/p/survey`);
  for (const [at, name] of names.entries()) {
    await rowOf(page, name)
      .getByRole('gridcell')
      .nth(2)
      .click(at === 0 ? {} : { modifiers: ['Control'] });
  }
  await says(page.getByRole('toolbar'), `${names.length} runs selected`);
  await page.keyboard.press('c');
  await page.getByRole('heading', { name: `${names.length} runs side by side` }).waitFor();
}

describe('did these two train on the same data?', () => {
  it('[CMP-10] the Data tab leads to all who saw the same, by the digest, and the query finds the one who did not', async () => {
    const agent = await survey();
    const page = await visit(await profile(browser), `${agent.url}/p/survey`);
    await rowOf(page, 'first').getByRole('link').click();
    await page.getByRole('tab', { name: /^Data/ }).click();
    const versions = page.getByRole('list', { name: 'Data versions' }).getByRole('listitem');
    await says(versions.filter({ hasText: 'data/train' }), 'Same data as 2 other runs');
    await says(versions.filter({ hasText: 'data/train' }), '3 files');
    await says(versions.filter({ hasText: 'data/features' }), 'from DVC');
    await versions.filter({ hasText: 'data/train' }).getByRole('link', { name: 'Same data as 2 other runs' }).click();
    await expect.poll(() => rows(page).count()).toBe(3);
    expect(await rowOf(page, 'later').count()).toBe(0);
    const same = await query(page).inputValue();
    expect(same).toMatch(/^data\/train = "data:sha256:[0-9a-f]{64}"$/);
    // The same question the other way round, and of both data sets at once.
    await query(page).fill(same.replace(' = ', ' != '));
    await expect.poll(() => rows(page).count()).toBe(1);
    await rowOf(page, 'later').waitFor();
    const { json } = await ask(agent, 'GET', '/runs/first');
    await query(page).fill(`${same} and data/features = "${json.attributes['data/features']}"`);
    await expect.poll(() => rows(page).count()).toBe(2);
    expect(await rowOf(page, 'other features').count()).toBe(0);
  });

  it('[CMP-10] Compare says so of two that did, and of two that did not names the file with sizes and digests, with every server stopped too', async () => {
    const agent = await survey();
    const context = await profile(browser);
    const page = await visit(context, agent.url);

    await compare(page, agent, ['first', 'again']);
    await tab(page, 'Data').click();
    await says(page.getByRole('tabpanel'), 'All of these runs saw the same data: data/features, data/train.');
    await says(part(page, 'data/train'), 'The same data: equal digests.');
    expect(await page.getByRole('alert').count()).toBe(0);

    await compare(page, agent, ['first', 'later']);
    const warning = 'These runs did not train on the same data: data/train (2 versions) differs.';
    await says(page.getByRole('alert'), warning);
    await page.getByRole('button', { name: 'What differs' }).click();
    const differs = async (where: Page): Promise<void> => {
      await says(where.getByRole('alert'), warning);
      await says(part(where, 'data/features'), 'The same data: equal digests.');
      const train = part(where, 'data/train');
      await says(train, '1 file changed; 2 files are the same (12 B).');
      const lines = train.getByRole('listitem');
      expect(await lines.allInnerTexts()).toEqual([
        expect.stringMatching(/tuesday\.csv.*6 B → 9 B.*sha256:[0-9a-f]{10}… → sha256:[0-9a-f]{10}…/s),
      ]);
      // Which is before and which is after is told by the runs chosen; the whole digests are those of the contents.
      const digests = await lines
        .locator('[title^="sha256:"]')
        .evaluateAll((found) => found.map((each) => each.getAttribute('title')));
      const sum = async (text: string): Promise<string> => {
        const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
        return `sha256:${Buffer.from(hash).toString('hex')}`;
      };
      expect(digests).toEqual([await sum(SHARDS['tuesday.csv']), await sum(LATER['tuesday.csv'])]);
    };
    await differs(page);
    const address = page.url();

    await compare(page, agent, ['first', 'other features']);
    await says(
      page.getByRole('alert'),
      'These runs did not train on the same data: data/features (2 versions) differs.',
    );
    await tab(page, 'Data').click();
    await says(part(page, 'data/train'), 'The same data: equal digests.');
    await says(part(page, 'data/features'), /1 file changed/);
    await says(part(page, 'data/features'), `md5:${FEATURES.slice(0, 10)}… → md5:${OTHER_FEATURES.slice(0, 10)}…`);

    await saved(page);
    await installed(page);
    await agent.program.stop('SIGKILL');
    await page.close();
    const offline = await visit(context, address);
    await says(syncMark(offline), 'Offline');
    await differs(offline);
  });
});
