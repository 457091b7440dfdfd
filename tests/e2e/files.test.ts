import { deflateSync } from 'node:zlib';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from '@fieldbook/core/journal';
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { ask } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { launchChromium } from '../scaffold/browser.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { agentAt, freePort, installed, profile, says, visit } from './visit.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
}, 60_000);
afterAll(() => browser.close());

/** A picture of one colour. */
function png(width: number, height: number): Buffer {
  const piece = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const whole = Buffer.alloc(body.length + 8);
    whole.writeUInt32BE(data.length);
    body.copy(whole, 4);
    whole.writeUInt32BE(crc32(body), body.length + 4);
    return whole;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const rows = Buffer.alloc((width * 3 + 1) * height, 120);
  for (let row = 0; row < height; row++) rows[row * (width * 3 + 1)] = 0;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    piece('IHDR', head),
    piece('IDAT', deflateSync(rows)),
    piece('IEND', Buffer.alloc(0)),
  ]);
}

/** Half a second of silence. */
function wav(): Buffer {
  const data = Buffer.alloc(8_000);
  const head = Buffer.alloc(44);
  head.write('RIFF');
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8_000, 24);
  head.writeUInt32LE(16_000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

const PDF = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj
trailer<</Root 1 0 R>>
%%EOF
`;

/** Files of each kind that plain Python, or this test, can write; the rows of the big table are told apart by their numbers. */
function writeFiles(): string {
  const folder = emptyFolder('written');
  const put = (name: string, content: string | Uint8Array): void => writeFileSync(join(folder, name), content);
  put('photo.png', png(40, 30));
  put('tone.wav', wav());
  put('paper.pdf', PDF);
  put('notes.md', '# Heading\n\nSome **bold** words.\n\n<img src=x onerror="document.title = \'it ran\'">');
  put(
    'config.json',
    JSON.stringify({
      optimizer: { name: 'adam', betas: [0.9, 0.999] },
      layers: Array.from({ length: 250 }, (_, index) => index),
    }),
  );
  put('script.py', 'def forward(x):\n    return x + 1\n');
  // One more of some kinds, told apart by what is in it.
  put('photo2.png', png(20, 50));
  put('notes2.md', '# Another\n\nOther words.');
  put('config2.json', JSON.stringify({ optimizer: { name: 'sgd' } }));
  put('script2.py', 'def backward(x):\n    return x - 1\n');
  put('rows2.csv', 'id,score\n1,2\n3,4\n5,6\n');
  put(
    'rows.csv',
    `id,score\n${Array.from({ length: 50_000 }, (_, row) => `${row},${(row * 7_919) % 50_000}`).join('\n')}\n`,
  );
  put(
    'table.parquet',
    new Uint8Array(
      parquetWriteBuffer({
        rowGroupSize: 1_000,
        columnData: [
          { name: 'number', data: Int32Array.from({ length: 5_000 }, (_, row) => row * 3), type: 'INT32' },
          { name: 'word', data: Array.from({ length: 5_000 }, (_, row) => `word ${row}`), type: 'STRING' },
        ],
      }),
    ),
  );
  put(
    'blob.dat',
    Uint8Array.from({ length: 4_000 }, (_, index) => index % 256),
  );
  mkdirSync(join(folder, 'data'));
  for (let index = 0; index < 40; index++)
    writeFileSync(join(folder, 'data', `part-${String(index).padStart(2, '0')}.txt`), `part ${index}`);
  return folder;
}

const TRAIN = `
import os, sys, fieldbook
folder, name, other = sys.argv[1:4]
with open(os.path.join(folder, "data", "part-07.txt"), "w") as f:
    f.write("part 7" + other)
run = fieldbook.init("shelf", run_id=name, name=name, capture=False)
run["data/train"].track_files(os.path.join(folder, "data"))
for each in ("photo.png", "tone.wav", "paper.pdf", "notes.md", "config.json", "script.py", "rows.csv", "table.parquet", "blob.dat", "photo2.png", "notes2.md", "config2.json", "script2.py", "rows2.csv"):
    run["kept/" + each].upload(os.path.join(folder, each))
for step in range(5):
    run["samples/photo"].append(fieldbook.Image(open(os.path.join(folder, "photo.png" if step else "photo2.png"), "rb").read(), caption="photo at %d" % step), step=step)
    run["weights"].append(fieldbook.Histogram(counts=[1, step + 1, 3], edges=[0, 1, 2, 3]), step=step)
    run["answers"].append("The answer at step %d." % step, step=step)
run["scores"].append(fieldbook.Table(columns=["who", "score"], rows=[["ada", 3], ["ben", 1]]), step=1)
run.finish()
`;

async function train(home: string, folder: string, name: string, other = ''): Promise<void> {
  const { command, env } = pythonForTests();
  const script = join(folder, 'train_it.py');
  writeFileSync(script, TRAIN);
  const program = startCommand(command, [script, folder, name, other], { ...env, FIELDBOOK_HOME: home });
  const { code } = await program.ended;
  expect(code, program.output()).toBe(0);
}

const grid = (page: Page) => page.getByRole('treegrid', { name: 'Files' });
/** What a grid that has the keyboard tells a screen reader of. */
const told = (list: Locator): Promise<string> =>
  list.evaluate((element) => {
    const id = document.activeElement === element ? element.getAttribute('aria-activedescendant') : null;
    return id === null ? 'nothing' : (document.getElementById(id)?.textContent ?? 'nobody').trim();
  });
const shown = (page: Page, path: string) => page.getByRole('region', { name: `Preview of ${path}` });

it('[PRE-11] [PRE-27] [PRE-28] each kind of file shows at an address of its own, by mouse and keyboard, and again with every server stopped', async () => {
  const home = emptyFolder('shelf');
  const folder = writeFiles();
  await train(home, folder, 'one');
  const port = await freePort();
  const agent = await agentAt(home, port);
  await vi.waitFor(async () => {
    const files = (await ask(agent, 'GET', '/runs/one/files')).json.files as { state: string }[];
    expect(files.length === 15 && files.every(({ state }) => state === 'here')).toBe(true);
  }, 30_000);
  const context = await profile(browser);
  const page = await visit(context, `${agent.url}/r/one?tab=files`);
  await installed(page);
  await grid(page)
    .getByRole('row', { name: /photo\.png/ })
    .click();
  expect(page.url()).toContain('tab=files&file=kept/photo.png');
  const look: readonly [string, (page: Page) => Promise<unknown>][] = [
    ['photo.png', (on) => says(shown(on, 'kept/photo.png'), '40 × 30 px')],
    ['rows.csv', (on) => says(shown(on, 'kept/rows.csv'), '50,000 rows × 2 columns')],
    [
      'table.parquet',
      (on) => shown(on, 'kept/table.parquet').getByRole('gridcell', { name: 'word 3', exact: true }).waitFor(),
    ],
    ['config.json', (on) => shown(on, 'kept/config.json').getByText('"adam"').waitFor()],
    ['script.py', (on) => shown(on, 'kept/script.py').getByText('def forward').waitFor()],
    ['notes.md', (on) => shown(on, 'kept/notes.md').getByRole('heading', { name: 'Heading' }).waitFor()],
    ['tone.wav', (on) => shown(on, 'kept/tone.wav').locator('audio').waitFor()],
    ['blob.dat', (on) => shown(on, 'kept/blob.dat').getByText('00 01 02 03 04 05 06 07  08 09').first().waitFor()],
  ];
  const pdf = async (on: Page): Promise<void> => {
    const place = shown(on, 'kept/paper.pdf');
    await place.getByTitle('PDF paper.pdf').or(place.getByText('shows no PDFs')).waitFor();
  };
  for (const [name, seen] of look) {
    await page.goto(`${agent.url}/r/one?tab=files&file=kept/${name}`);
    await seen(page);
  }
  // The browser's own viewer is a page of its own, whose errors are not ours.
  const reader = await context.newPage();
  await reader.goto(`${agent.url}/r/one?tab=files&file=kept/paper.pdf`);
  await pdf(reader);
  await reader.close();
  expect(await page.title()).not.toBe('it ran');
  // Sorted by a click, the table shows its greatest value and that row's own number.
  await page.goto(`${agent.url}/r/one?tab=files&file=kept/rows.csv`);
  const table = shown(page, 'kept/rows.csv').getByRole('grid');
  await table.getByRole('button', { name: 'score' }).click();
  await table.locator('[aria-rowindex="2"]').getByText('49999', { exact: true }).waitFor();
  // By key the other way round, then as in the file.
  await table.focus();
  await page.keyboard.press('ArrowRight');
  await expect.poll(() => told(table)).toBe('49999');
  await page.keyboard.press('s');
  await table.locator('[aria-sort="ascending"]').getByRole('button', { name: 'score' }).waitFor();
  await says(table.locator('[aria-rowindex="4"] [aria-colindex="3"]'), /^2$/);
  await page.keyboard.press('Enter');
  await says(table.locator('[aria-rowindex="4"] [aria-colindex="3"]'), /^15838$/);
  // The list by keyboard: down to the next file, which opens; escape closes.
  await page.goto(`${agent.url}/r/one?tab=files&file=kept/blob.dat`);
  await shown(page, 'kept/blob.dat').waitFor();
  await page.keyboard.press('j');
  await shown(page, 'kept/config.json').waitFor();
  await page.keyboard.press('k');
  await shown(page, 'kept/blob.dat').waitFor();
  // From one file to another of its kind, by mouse and by key: each shows what is in it.
  const pairs = [
    ['photo', 'png', '40 × 30 px', '20 × 50 px'],
    ['notes', 'md', 'Heading', 'Another'],
    ['config', 'json', '"adam"', '"sgd"'],
    ['script', 'py', 'def forward', 'def backward'],
    ['rows', 'csv', '50,000 rows', '3 rows'],
  ] as const;
  for (const [name, end, first, second] of pairs) {
    await grid(page)
      .getByRole('row', { name: `${name}.${end}` })
      .click();
    await says(shown(page, `kept/${name}.${end}`), first);
    await grid(page)
      .getByRole('row', { name: `${name}2.${end}` })
      .click();
    await says(shown(page, `kept/${name}2.${end}`), second);
    await page.keyboard.press('k');
    await says(shown(page, `kept/${name}.${end}`), first);
    await page.keyboard.press('j');
    await says(shown(page, `kept/${name}2.${end}`), second);
  }
  await grid(page).getByRole('row', { name: 'blob.dat' }).click();
  await shown(page, 'kept/blob.dat').waitFor();
  await page.keyboard.press('Escape');
  await expect.poll(() => page.url()).not.toContain('file=');
  await grid(page).focus();
  await expect.poll(() => told(grid(page))).toMatch(/^blob\.dat/);
  await page.keyboard.press('ArrowDown');
  await expect.poll(() => told(grid(page))).toMatch(/^config\.json/);
  await page.keyboard.press('x');
  await says(page.getByRole('status'), '1 file chosen');
  // A click leaves the keyboard with the list.
  await grid(page)
    .getByRole('row', { name: /photo2\.png/ })
    .click();
  await page.keyboard.press('ArrowDown');
  await expect.poll(() => told(grid(page))).toMatch(/^rows\.csv/);
  await page.keyboard.press('Escape');
  await page.getByRole('searchbox', { name: 'Search files' }).fill('parquet');
  await expect.poll(() => grid(page).getByRole('row').count()).toBe(2);

  // Objects of series, each at the step of its slider.
  await page.goto(`${agent.url}/r/one?tab=media&step=answers@2`);
  await says(page.getByRole('region', { name: 'answers' }), 'The answer at step 2.');
  await says(page.getByRole('region', { name: 'samples/photo' }), 'photo at 4');
  const photo = page.getByRole('region', { name: 'samples/photo' });
  await photo.getByTitle('Show it large').click();
  await says(photo, '40 × 30 px');
  await page.getByRole('slider', { name: 'Step of samples/photo' }).focus();
  await page.keyboard.press('Home');
  await says(photo, 'photo at 0');
  await says(photo, '20 × 50 px');
  await page.getByRole('region', { name: 'scores' }).getByRole('gridcell', { name: 'ada', exact: true }).waitFor();

  await agent.program.stop();
  for (const [name, seen] of look) {
    await page.goto(`${agent.url}/r/one?tab=files&file=kept/${name}`);
    await seen(page);
  }
  await page.goto(`${agent.url}/r/one?tab=files`);
  await says(grid(page).getByRole('row', { name: /photo2\.png/ }), 'in this browser');
  // The list of the data version was never opened.
  await says(grid(page).getByRole('row', { name: /\blist\b/ }), 'not in this browser');
}, 180_000);

it('[PRE-12] [PRE-27] a file that is on another machine only is asked for by a key, and shows by itself once it has come', async () => {
  const relay = await new Relay().up();
  const gpu = await new Machine('gpu-3', 'Ada').up();
  const token = await relay.token('member', 'Ben');
  await gpu.cli('join', relay.url, '--token', await relay.token('member', 'Ada'));
  const script = new Script(gpu.home, 'p', 'far');
  const text = `a large text, ${Buffer.from(bytesOf(64, 3)).toString('hex')}`;
  script.upload(Buffer.from(text), { path: 'late', name: 'late.txt', mime: 'text/plain', travel: 'request' });
  script.upload(Buffer.from('stays'), { path: 'stays', name: 'stays.txt', mime: 'text/plain', travel: 'never' });
  script.finish();
  await vi.waitFor(async () => {
    const { body } = await relay.api<{ files?: { state: string }[] }>(token, 'GET', '/runs/far/files');
    expect(body.files?.map(({ state }) => state)).toEqual(['elsewhere', 'elsewhere']);
  }, 30_000);
  await gpu.down();
  const context = await profile(browser);
  const page = await context.newPage();
  await page.goto(`${relay.url}/#token=${token}`);
  await page.getByRole('link', { name: 'p', exact: true }).first().waitFor();
  await page.goto(`${relay.url}/r/far?tab=files&file=late`);
  await says(shown(page, 'late'), /on gpu-3 only/);
  await says(grid(page).getByRole('row', { name: /stays/ }), /stays on gpu-3/);
  expect(await grid(page).getByRole('button', { name: 'Request' }).count()).toBe(1);
  await shown(page, 'late').getByRole('button', { name: 'Request it from gpu-3' }).waitFor();
  await grid(page).focus();
  await page.keyboard.press('r');
  const name = page.getByRole('textbox', { name: /name/i });
  await Promise.race([name.waitFor(), says(shown(page, 'late'), 'asked gpu-3 for it')]);
  if (await name.isVisible()) {
    await name.fill('Ben');
    await page.keyboard.press('Enter');
  }
  await says(shown(page, 'late'), 'asked gpu-3 for it');
  await gpu.up();
  await shown(page, 'late').getByText(text).waitFor({ timeout: 40_000 });
  await says(shown(page, 'late'), 'on the relay');
}, 120_000);

it('[PRE-13] [RPG-10] the data tab lists the files that a run saw, leads to who saw the same, and says how another differs', async () => {
  const home = emptyFolder('data');
  const folder = writeFiles();
  await train(home, folder, 'one');
  await train(home, folder, 'same');
  await train(home, folder, 'other', ' changed');
  const agent = await agentAt(home, await freePort());
  await vi.waitFor(async () => {
    for (const run of ['one', 'same', 'other']) {
      const files = (await ask(agent, 'GET', `/runs/${run}/files`)).json.files as { state: string }[];
      expect(files.length === 15 && files.every(({ state }) => state === 'here')).toBe(true);
    }
  }, 30_000);
  const context = await profile(browser);
  const page = await visit(context, `${agent.url}/r/one?tab=data`);
  await says(page.getByRole('list', { name: 'Data versions' }), '40 files');
  const files = page.getByRole('table', { name: 'Files of data/train' });
  await files.getByRole('cell', { name: 'part-00.txt' }).waitFor();
  await page.getByRole('searchbox', { name: 'Search its files' }).fill('PART-1');
  await says(page.getByRole('status'), '10 of 40 files');
  await page.getByLabel('Compare with').selectOption({ label: 'other' });
  const changes = page.getByRole('region', { name: 'Compared with another run' });
  await says(changes, 'Not the same data.');
  await says(changes, '39 files the same');
  await says(changes, '~ part-07.txt');
  expect(page.url()).toContain('with=other');
  await page.reload();
  await says(changes, 'Not the same data.');
  // Runs that come while it is looked at count; this one does not count itself, in the archive neither.
  const versions = page.getByRole('list', { name: 'Data versions' });
  await says(versions, 'Same data as 1 other run');
  await train(home, folder, 'newer');
  await says(versions, 'Same data as 2 other runs');
  await page.getByRole('button', { name: 'Archive', exact: true }).click();
  await page.getByRole('button', { name: 'Take out of the archive' }).waitFor();
  await train(home, folder, 'newest');
  await says(versions, 'Same data as 3 other runs');
  await page.getByRole('tab', { name: 'Overview' }).click();
  // Both are read then: where the run is, and which runs are below it.
  await says(page.getByRole('tabpanel'), 'Only on this machine');
  const below = [{ field: 'attribute', path: 'sys/parent', op: 'set', value: 'one' }];
  expect(await ask(agent, 'POST', '/runs/same/edits', below)).toMatchObject({ status: 200 });
  await page.getByRole('tabpanel').getByRole('link', { name: 'same', exact: true }).waitFor();
  await page.getByRole('tab', { name: /^Data/ }).click();
  await versions.getByRole('link', { name: 'Same data as 3 other runs' }).click();
  const runs = page.getByRole('grid', { name: 'Runs' });
  await runs.getByRole('link', { name: 'same', exact: true }).waitFor();
  expect(await runs.getByRole('link', { name: 'other', exact: true }).count()).toBe(0);
}, 120_000);
