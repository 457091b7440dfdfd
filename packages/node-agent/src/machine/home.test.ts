import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { deviceIdOf } from '@fieldbook/core/access';
import { describe, expect, it, onTestFinished } from 'vitest';
import { localToken } from '../agent/presence.ts';
import { changeConfig, keepRelayToken, readConfig, readRelayTokens } from './config.ts';
import { loadDevice } from './device.ts';
import { createAtomically, writeAtomically } from './files.ts';
import { restoreGuard } from './guard.ts';
import type { Home } from './home.ts';
import { homeOf, makeHome } from './home.ts';

async function newHome(): Promise<Home> {
  const root = mkdtempSync(join(tmpdir(), 'fieldbook-unit-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const home = homeOf({ FIELDBOOK_HOME: root });
  await makeHome(home);
  return home;
}

describe('files of a home', () => {
  it('lie in the folder of the person, also where HOME is empty', () => {
    expect(homeOf({ HOME: '/home/ada' }).root).toBe('/home/ada/.fieldbook');
    expect(homeOf({ HOME: '', FIELDBOOK_HOME: '' }).root).toBe(join(userInfo().homedir, '.fieldbook'));
  });

  it('are created once, whoever is first, and leave nothing beside them', async () => {
    const home = await newHome();
    const path = join(home.root, 'once');
    const made = await Promise.all(['a', 'b', 'c'].map((text) => createAtomically(path, text, 0o600)));
    expect(made.filter(Boolean)).toHaveLength(1);
    await writeAtomically(path, 'other', 0o600);
    expect(readFileSync(path, 'utf8')).toBe('other');
    expect((await readdir(home.root)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('[API-16] keep secrets to their owner', async () => {
    const home = await newHome();
    await loadDevice(home.device, {});
    await localToken(home);
    await keepRelayToken(home, 'https://relay.example', 'fbt_secret');
    for (const path of [home.device, home.token, home.relayTokens]) expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(home.store).mode & 0o777).toBe(0o700);
    expect(await localToken(home)).toBe(await localToken(home));
    await keepRelayToken(home, 'https://relay.example', null);
    expect(await readRelayTokens(home)).toEqual({});
  });
});

describe('the device', () => {
  it('is one key for ever, also when two start at the same time for the first time', async () => {
    const home = await newHome();
    const devices = await Promise.all([1, 2, 3].map(() => loadDevice(home.device, { FIELDBOOK_HOST: 'gpu-1' })));
    expect(new Set(devices.map(({ id }) => id)).size).toBe(1);
    expect(devices[0]).toMatchObject({ name: 'gpu-1', id: deviceIdOf(devices[0]!.publicKey) });
    expect((await loadDevice(home.device, {})).id).toBe(devices[0]!.id);
  });

  it('is refused when its key does not fit its id', async () => {
    const home = await newHome();
    await loadDevice(home.device, {});
    const file = JSON.parse(readFileSync(home.device, 'utf8'));
    writeFileSync(home.device, JSON.stringify({ ...file, publicKey: Buffer.alloc(32).toString('base64') }));
    await expect(loadDevice(home.device, {})).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

describe('the configuration', () => {
  it('keeps what this version does not know, and names the key that is wrong', async () => {
    const home = await newHome();
    expect(await readConfig(home)).toEqual({
      person: null,
      journals: [],
      relays: [],
      follow: { projects: 'all', runDocuments: 'all' },
      files: [],
      history: { maxBytes: 64 * 2 ** 20, maxAgeMs: 90 * 86_400_000 },
      announce: false,
    });
    writeFileSync(home.config, '{"person": "Ada", "later": {"a": 1}}');
    await changeConfig(home, { relays: [{ url: 'https://relay.example' }] });
    expect(JSON.parse(readFileSync(home.config, 'utf8'))).toEqual({
      person: 'Ada',
      later: { a: 1 },
      relays: [{ url: 'https://relay.example' }],
    });
    writeFileSync(home.config, '{"journals": "here"}');
    await expect(readConfig(home)).rejects.toMatchObject({ code: 'config_invalid', details: { key: 'journals' } });
    writeFileSync(home.config, '{');
    await expect(readConfig(home)).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

describe('the restore guard', () => {
  it('knows its own home again, and a copy of it as a copy', async () => {
    const home = await newHome();
    const guard = await restoreGuard(home);
    expect(await guard.readCounter()).toBeUndefined();
    await guard.writeCounter(7);
    const again = await restoreGuard(home);
    expect([again.fingerprint, await again.readCounter()]).toEqual([guard.fingerprint, 7]);
    const copy = `${home.root}-copy`;
    onTestFinished(() => rmSync(copy, { recursive: true, force: true }));
    cpSync(home.root, copy, { recursive: true, preserveTimestamps: true });
    expect((await restoreGuard(homeOf({ FIELDBOOK_HOME: copy }))).fingerprint).not.toBe(guard.fingerprint);
    // A home that was only moved is still itself.
    const moved = `${home.root}-moved`;
    renameSync(home.root, moved);
    onTestFinished(() => rmSync(moved, { recursive: true, force: true }));
    expect((await restoreGuard(homeOf({ FIELDBOOK_HOME: moved }))).fingerprint).toBe(guard.fingerprint);
  });

  it('[PRF-13] a guard whose count cannot be read or replaced is an error with the file, not another store', async () => {
    const home = await newHome();
    const guard = await restoreGuard(home);
    await guard.writeCounter(3);
    expect(await guard.readCounter()).toBe(3);
    const count = `${home.guard}.count`;
    rmSync(count);
    mkdirSync(count);
    for (const work of [guard.readCounter(), guard.writeCounter(4)]) {
      const error: unknown = await work.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'storage_failed', message: expect.stringContaining(count) });
    }
  });
});
