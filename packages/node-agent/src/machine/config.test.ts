import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFieldbookError } from '@fieldbook/core';
import { expect, it, onTestFinished } from 'vitest';
import { announceFrom, changeConfig, readConfig } from './config.ts';
import { homeOf } from './home.ts';

it('[FIL-5] rules for what travels are read from config.json, and what is none is refused with its place', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-config-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const home = homeOf({ FIELDBOOK_HOME: root });
  expect((await readConfig(home)).files).toEqual([]);
  const write = (files: unknown): void => writeFileSync(home.config, JSON.stringify({ files, later: 1 }));
  write([
    { pattern: 'checkpoints/**', over: 10, travel: 'request' },
    { pattern: '**', travel: 'now' },
  ]);
  const rules = [
    { pattern: 'checkpoints/**', over: 10, travel: 'request' },
    { pattern: '**', over: 0, travel: 'now' },
  ];
  expect((await readConfig(home)).files).toEqual(rules);
  await changeConfig(home, { person: 'Ada' });
  expect(await readConfig(home)).toMatchObject({ person: 'Ada', files: rules });
  for (const [files, place] of [
    ['x', '"files"'],
    [[1], '"files[0]"'],
    [
      [
        { pattern: '**', travel: 'now' },
        { pattern: '', travel: 'now' },
      ],
      '"files[1]"',
    ],
    [[{ pattern: '**', travel: 'soon' }], '"files[0]"'],
    [[{ pattern: '**', travel: 'now', over: -1 }], '"files[0]"'],
    [[{ pattern: '*'.repeat(600), travel: 'now' }], '"files[0]"'],
  ] as const) {
    write(files);
    const error: unknown = await readConfig(home).catch((reason: unknown) => reason);
    expect(isFieldbookError(error, 'config_invalid') && error.message, JSON.stringify(files).slice(0, 80)).toContain(
      place,
    );
  }
});

it('[RPL-59] what is followed is read from config.json, everything without a word, and what is wrong is named with its key', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-config-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const home = homeOf({ FIELDBOOK_HOME: root });
  expect((await readConfig(home)).follow).toEqual({ projects: 'all', runDocuments: 'all' });
  const follow = { projects: ['vision'], runDocuments: 'on-demand' } as never;
  await changeConfig(home, { follow });
  expect((await readConfig(home)).follow).toEqual(follow);
  for (const [wrong, key] of [
    [{ projects: 'vision' }, 'follow.projects'],
    [{ projects: ['No Id'] }, 'follow.projects'],
    [{ runDocuments: 'some' }, 'follow.runDocuments'],
  ] as const) {
    writeFileSync(home.config, JSON.stringify({ follow: wrong }));
    const refused = await readConfig(home).catch((error: unknown) => error);
    expect(isFieldbookError(refused, 'config_invalid') && refused.details).toEqual({ key });
  }
});

it('[DSC-1] whether an agent is announced is read from config.json and the environment, no without a word, and what is neither is named', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-config-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const home = homeOf({ FIELDBOOK_HOME: root });
  expect((await readConfig(home)).announce).toBe(false);
  await changeConfig(home, { announce: true });
  expect((await readConfig(home)).announce).toBe(true);
  writeFileSync(home.config, '{"announce": "yes"}');
  const refused = await readConfig(home).catch((error: unknown) => error);
  expect(isFieldbookError(refused, 'config_invalid') && refused.details).toEqual({ key: 'announce' });
  const said = ['true', '1', 'false', '0', '', undefined].map((text) => announceFrom({ FIELDBOOK_ANNOUNCE: text }));
  expect(said).toEqual([true, true, false, false, undefined, undefined]);
  expect(() => announceFrom({ FIELDBOOK_ANNOUNCE: 'maybe' })).toThrow(/FIELDBOOK_ANNOUNCE must be true or false/);
});
