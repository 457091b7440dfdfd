import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Agent, Finished } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';

const MiB = 1024 * 1024;
const CHUNK = 8 * MiB;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const soon = { timeout: 30_000, interval: 50 };
const place = (root: string, digest: string): string => join(root, 'blobs/sha256', digest.slice(0, 2), digest);
const errorOf = ({ stderr }: Finished): string => JSON.parse(stderr.trim().split('\n').at(-1)!).error.code as string;

async function stored(agent: Agent, run: string, count: number): Promise<void> {
  await vi.waitFor(async () => {
    const files = ((await ask(agent, 'GET', `/runs/${run}/files`)).json?.files ?? []) as { state: string }[];
    expect(files.filter(({ state }) => state === 'here')).toHaveLength(count);
  }, soon);
}

async function join_(agent: Agent, relay: Relay): Promise<void> {
  const { code, stderr } = await fieldbook(agent.home, ['join', relay.url, '-t', await relay.token('member', 'x')]);
  expect(code, stderr).toBe(0);
}

describe('fieldbook files and download', () => {
  it('[CLI-21] list what a run has and write it to disk, the same with an agent and without', async () => {
    const home = emptyFolder('files');
    const script = new Script(home, 'p', 'run-a');
    const large = bytesOf(9 * MiB, 1);
    script.upload(large, { path: 'model', name: '../../m.pt' });
    script.upload(bytesOf(10, 2), { path: 'model', name: 'old.pt' });
    script.upload(large, { path: 'model', name: '../../m.pt' });
    script.finish();
    for (const withAgent of [false, true]) {
      if (withAgent) await stored(await startAgent(home), 'run-a', 3);
      const out = emptyFolder('out');
      const saved = await fieldbook(home, ['download', 'run-a', 'model', '-o', `${out}/`, '--json']);
      expect([saved.code, saved.json?.size], saved.stderr).toEqual([0, large.length]);
      expect(readdirSync(out)).toEqual(['m.pt']);
      expect(readFileSync(join(out, 'm.pt')).equals(large)).toBe(true);
      const listed = await fieldbook(home, ['files', 'run-a']);
      expect(listed.stdout).toMatch(/^PATH +KIND +SIZE +WHEN +WHERE\nmodel +file +9\.44 MB .*here only\n$/);
      const all = (await fieldbook(home, ['files', 'run-a', '--all', '--json'])).json.files as {
        version: string;
        size: number;
      }[];
      expect(all.map(({ size }) => size)).toEqual([large.length, 10, large.length]);
      const old = await fieldbook(home, [
        'download',
        'run-a',
        'model',
        '--version-of',
        all[1]!.version,
        '-o',
        join(out, 'old'),
      ]);
      expect([old.code, readFileSync(join(out, 'old')).equals(bytesOf(10, 2))], old.stderr).toEqual([0, true]);
      const again = ['download', 'run-a', 'model', '-o', join(out, 'old'), '--json'];
      expect(errorOf(await fieldbook(home, again))).toBe('invalid_argument');
      expect((await fieldbook(home, [...again, '--force'])).code).toBe(0);
      expect(statSync(join(out, 'old')).size).toBe(large.length);
    }
  });

  it('[CLI-22] a download goes on where it broke off, and what is not what the run says gets no name', async () => {
    const home = emptyFolder('files');
    const script = new Script(home, 'p', 'run-a');
    const large = bytesOf(9 * MiB, 1);
    script.upload(large, { path: 'model' });
    script.finish();
    await stored(await startAgent(home), 'run-a', 1);
    const out = emptyFolder('out');
    const part = join(out, `.model.${sha256(large).slice(0, 16)}.part`);
    const download = (): Promise<Finished> =>
      fieldbook(home, ['download', 'run-a', 'model', '-o', join(out, 'model'), '--json']);
    // Only what is behind byte 1,000 is asked for: the beginning is not read again, right or wrong.
    writeFileSync(part, large.subarray(0, 1_000));
    expect((await download()).code).toBe(0);
    expect(readFileSync(join(out, 'model')).equals(large)).toBe(true);
    rmSync(join(out, 'model'));
    writeFileSync(part, Buffer.alloc(1_000));
    expect(errorOf(await download())).toBe('blob_corrupt');
    expect(readdirSync(out)).toEqual([]);
    expect((await download()).code).toBe(0);
    expect(readdirSync(out)).toEqual(['model']);
    const piped = await fieldbook(home, ['download', 'run-a', 'model', '-o', '-']);
    expect([piped.code, piped.stderr]).toEqual([0, '']);
    for (const [args, code, exit] of [
      [['download', 'run-a', 'none'], 'not_found', 3],
      [['download', 'run-z', 'model'], 'not_found', 3],
      [['download', 'run-a', 'model', '-o', join(out, 'no/such/folder')], 'invalid_argument', 2],
      [['download', 'run-a', 'model', '--wait', 'long'], 'invalid_argument', 2],
      [['files', 'run-z'], 'not_found', 3],
    ] as const) {
      const refused = await fieldbook(home, [...args, '--json']);
      expect([errorOf(refused), refused.code, refused.stdout], args.join(' ')).toEqual([code, exit, '']);
    }
  });

  it('[CLI-23] what is on another machine only is asked for, and comes', async () => {
    const relay = await new Relay().up();
    const [one, two] = [await startAgent(emptyFolder('one')), await startAgent(emptyFolder('two'))];
    for (const agent of [one, two]) await join_(agent, relay);
    const script = new Script(one.home, 'p', 'run-a');
    const bytes = bytesOf(9 * MiB, 3);
    script.upload(bytes, { path: 'model', travel: 'request' });
    script.finish();
    await stored(one, 'run-a', 1);
    await vi.waitFor(
      async () => expect((await ask(two, 'GET', '/runs/run-a/files')).json?.files).toHaveLength(1),
      soon,
    );
    const out = join(emptyFolder('out'), 'model');
    const got = await fieldbook(two.home, ['download', 'run-a', 'model', '-o', out, '--wait', '40', '--json']);
    expect(got.code, got.stderr).toBe(0);
    expect(readFileSync(out).equals(bytes)).toBe(true);
    // Nobody who has it is there: asked for, and said so.
    await one.program.stop();
    const late = new Script(one.home, 'p', 'run-a');
    late.upload(bytesOf(500, 4), { path: 'late', travel: 'request' });
    late.finish();
    const again = await startAgent(one.home);
    await stored(again, 'run-a', 2);
    await vi.waitFor(
      async () => expect((await ask(two, 'GET', '/runs/run-a/files')).json?.files).toHaveLength(2),
      soon,
    );
    await again.program.stop();
    const refused = await fieldbook(two.home, ['download', 'run-a', 'late', '-o', `${out}2`, '--json']);
    expect([errorOf(refused), existsSync(`${out}2`)]).toEqual(['blob_missing', false]);
    const [file] = (await ask(two, 'GET', '/runs/run-a/files')).json.files;
    expect(file).toMatchObject({ path: 'late', state: 'elsewhere', requested: true });
  });
});

describe('fieldbook evict', () => {
  it('[CLI-24] removes only what enough others prove to hold, and what is evicted comes back when it is asked for', async () => {
    const relay = await new Relay().up();
    const agent = await startAgent(emptyFolder('one'));
    const script = new Script(agent.home, 'p', 'run-a');
    const shared = bytesOf(CHUNK, 5);
    const model = Buffer.concat([shared, bytesOf(CHUNK, 6), bytesOf(100, 7)]);
    const stays = bytesOf(1_000, 8);
    script.upload(model, { path: 'model' });
    script.upload(Buffer.concat([shared, bytesOf(50, 13)]), { path: 'shared', travel: 'never' });
    script.upload(stays, { path: 'stays', travel: 'never' });
    script.log(1, 0.5);
    script.finish();
    await stored(agent, 'run-a', 3);
    const alone = await fieldbook(agent.home, ['evict', '--keep', '0', '--json']);
    expect([errorOf(alone), alone.code]).toEqual(['peer_unreachable', 4]);
    await join_(agent, relay);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
    const chunks = [sha256(shared), sha256(bytesOf(CHUNK, 6)), sha256(bytesOf(100, 7))];
    const here = (): boolean[] => chunks.map((digest) => existsSync(place(agent.home, digest)));
    const evict = (...args: string[]): Promise<Finished> => fieldbook(agent.home, ['evict', ...args, '--json']);

    const dry = (await evict('--dry-run')).json;
    expect([dry.evicted.map(({ path }: { path: string }) => path), dry.dryRun]).toEqual([['model'], true]);
    expect((await evict('--older-than', '1d')).json.evicted).toEqual([]);
    expect((await evict('--keep', '1G')).json.evicted).toEqual([]);
    expect(errorOf(await evict('--keep', '0', '--replicas', '2'))).toBe('peer_unreachable');
    expect(here()).toEqual([true, true, true]);

    // A relay that has the name and not the bytes proves nothing, and sets aside what it meets instead of them.
    const there = place(relay.data, chunks[1]!);
    const whole = readFileSync(there);
    for (const damage of [
      () => truncateSync(there, 100),
      () => writeFileSync(there, Buffer.alloc(whole.length)),
      () => rmSync(there, { force: true }),
    ]) {
      damage();
      const refused = (await evict('--keep', '0')).json;
      expect(refused.evicted).toEqual([]);
      expect(refused.kept.map(({ path }: { path: string }) => path).sort()).toEqual(['model', 'shared', 'stays']);
      expect(here()).toEqual([true, true, true]);
    }
    writeFileSync(there, whole);
    await relay.down();
    expect(errorOf(await evict('--keep', '0'))).toBe('peer_unreachable');
    expect(here()).toEqual([true, true, true]);
    await relay.up();

    const done = await evict('--keep', '0');
    expect(done.code, done.stderr).toBe(0);
    expect(done.json.evicted).toEqual([{ run: 'run-a', path: 'model', size: model.length }]);
    // The chunk that another file needs stays.
    expect(here()).toEqual([true, false, false]);
    const series = await ask(agent, 'GET', '/runs/run-a/series?metric=loss');
    expect([series.json.total, series.json.missing?.length ?? 0]).toEqual([1, 0]);
    const files = (await ask(agent, 'GET', '/runs/run-a/files')).json.files as { path: string; state: string }[];
    expect(Object.fromEntries(files.map(({ path, state }) => [path, state]))).toEqual({
      model: 'elsewhere',
      shared: 'here',
      stays: 'here',
    });
    // Absence that was wanted is no damage.
    const checked = (await fieldbook(agent.home, ['doctor', '--blobs', '--json'])).json.findings as {
      check: string;
      state: string;
    }[];
    expect(checked.filter(({ check }) => check === 'blobs' || check === 'files').map(({ state }) => state)).toEqual([
      'ok',
      'ok',
    ]);
    const out = join(emptyFolder('out'), 'model');
    expect((await fieldbook(agent.home, ['download', 'run-a', 'model', '-o', out])).code).toBe(0);
    expect(readFileSync(out).equals(model)).toBe(true);
    expect(here()).toEqual([true, true, true]);
    for (const args of [[], ['--older-than', 'soon'], ['--keep', 'much'], ['--keep', '0', '--replicas', '0']])
      expect(errorOf(await evict(...args)), args.join(' ')).toBe('invalid_argument');
  });
});

describe('fieldbook doctor', () => {
  it('[CLI-25] finds damaged and missing blobs and brings them back from a relay', async () => {
    const relay = await new Relay().up();
    const agent = await startAgent(emptyFolder('one'));
    await join_(agent, relay);
    const script = new Script(agent.home, 'p', 'run-a');
    const model = bytesOf(17 * MiB, 9);
    const local = bytesOf(500, 10);
    script.upload(model, { path: 'model' });
    script.upload(local, { path: 'local', travel: 'never' });
    script.finish();
    await stored(agent, 'run-a', 2);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
    const findings = async (
      ...args: string[]
    ): Promise<{ code: number | null; of: Record<string, { state: string; message: string }> }> => {
      const { code, json } = await fieldbook(agent.home, ['doctor', ...args, '--json']);
      const list = json.findings as { check: string; state: string; message: string }[];
      return { code, of: Object.fromEntries(list.map((finding) => [finding.check, finding])) };
    };
    expect((await findings('--blobs')).of['blobs']).toMatchObject({ state: 'ok' });
    const chunk = (index: number): string =>
      place(agent.home, sha256(model.subarray(index * CHUNK, (index + 1) * CHUNK)));
    const flipped = readFileSync(chunk(0));
    flipped[5]! ^= 1;
    writeFileSync(chunk(0), flipped);
    rmSync(chunk(1));
    rmSync(place(agent.home, sha256(local)));
    const stray = join(agent.home, 'blobs/tmp/stray');
    mkdirSync(join(agent.home, 'blobs/tmp'), { recursive: true });
    writeFileSync(stray, 'half');
    utimesSync(stray, 1, 1);
    const found = await findings('--blobs');
    expect(found.code).toBe(1);
    expect(found.of['blobs']).toMatchObject({ state: 'problem', message: expect.stringContaining('1 damaged') });
    expect(found.of['files']!.message).toMatch(/model of run-a \(1 blob\)/);
    expect(found.of['files']!.message).toMatch(/local of run-a \(1 blob\)/);
    expect(existsSync(stray)).toBe(true);
    const repaired = await findings('--repair');
    expect(repaired.of['repair']!.message).toMatch(
      /2 blobs brought back, 1 damaged moved to blobs\/corrupt, 1 half-written file/,
    );
    expect(repaired.of['blobs']!.state).toBe('ok');
    expect([repaired.code, repaired.of['files']]).toMatchObject([
      1,
      { message: expect.stringMatching(/^missing: local of run-a/) },
    ]);
    expect(readFileSync(chunk(0)).equals(model.subarray(0, CHUNK))).toBe(true);
    expect(readdirSync(join(agent.home, 'blobs/corrupt'))).toHaveLength(1);
    expect(existsSync(stray)).toBe(false);
    // Chunks that only their list names: first it comes, then they do.
    const list = (await ask(agent, 'GET', '/documents/run%2Frun-a')).status;
    expect(list).toBe(200);
    for (const head of readdirSync(join(agent.home, 'blobs/sha256')))
      for (const name of readdirSync(join(agent.home, 'blobs/sha256', head)))
        if (statSync(place(agent.home, name)).size !== 500) rmSync(place(agent.home, name));
    await findings('--repair');
    const out = join(emptyFolder('out'), 'model');
    await relay.down();
    expect((await fieldbook(agent.home, ['download', 'run-a', 'model', '-o', out])).code).toBe(0);
    expect(readFileSync(out).equals(model)).toBe(true);
  });
});

describe('what only an owner may ask', () => {
  it('[API-1] is answered in the shapes that the OpenAPI document gives', async () => {
    const relay = await new Relay().up();
    const agent = await startAgent(emptyFolder('one'));
    await join_(agent, relay);
    const script = new Script(agent.home, 'p', 'run-a');
    script.upload(bytesOf(500, 14), { path: 'model' });
    script.upload(bytesOf(400, 15), { path: 'stays', travel: 'never' });
    script.finish();
    await stored(agent, 'run-a', 2);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema((await ask(agent, 'GET', '/openapi.json')).json, 'fieldbook');
    rmSync(place(agent.home, sha256(bytesOf(400, 15))));
    for (const [path, body] of [
      ['/evict', { keepBytes: 0 }],
      ['/blobs/check', {}],
      ['/blobs/incomplete', {}],
      ['/blobs/repair', { digests: [sha256(bytesOf(500, 14)), sha256(bytesOf(400, 15))] }],
    ] as const) {
      const { status, json } = await ask(agent, 'POST', path, body);
      const at = `fieldbook#/paths/${path.replaceAll('/', '~1')}/post/responses/200/content/application~1json/schema`;
      expect([path, status, ajv.validate({ $ref: at }, json), ajv.errors]).toEqual([path, 200, true, null]);
      expect(
        Object.values(json as object).some((value) => Array.isArray(value) && value.length > 0),
        path,
      ).toBe(path !== '/blobs/check');
    }
    const refused = await relay.api<{ error: { code: string } }>(
      await relay.token('member', 'm'),
      'POST',
      '/evict',
      {},
    );
    expect([refused.status, refused.body.error.code]).toEqual([403, 'forbidden']);
  });
});

describe('a disk that is full', () => {
  /** A file system of its own of 24 MiB; undefined where nobody may mount one. */
  const smallDisk = (): string | undefined => {
    const folder = emptyFolder('small');
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'none', folder], { stdio: 'ignore' });
    } catch {
      return undefined;
    }
    onTestFinished(() => void execFileSync('umount', ['-l', folder]));
    return folder;
  };
  const disk = process.getuid?.() === 0 ? smallDisk : (): undefined => undefined;

  it('[CLI-26] keeps points coming in and files in the spool, says so, and stores them when there is space', async (test) => {
    const home = disk();
    if (home === undefined) return test.skip('only root can make a disk that is small');
    const script = new Script(home, 'p', 'run-a');
    const model = bytesOf(10 * MiB, 11);
    const ballast = join(home, 'ballast');
    writeFileSync(ballast, Buffer.alloc(7 * MiB));
    script.upload(model, { path: 'model' });
    script.upload(bytesOf(1_000, 12), { path: 'small' });
    const agent = await startAgent(home);
    const files = async (): Promise<Record<string, { state: string; failure: string | null }>> => {
      const list = ((await ask(agent, 'GET', '/runs/run-a/files')).json?.files ?? []) as {
        path: string;
        state: string;
        failure: string | null;
      }[];
      return Object.fromEntries(list.map((file) => [file.path, file]));
    };
    await vi.waitFor(async () => {
      const now = await files();
      expect(now['model']).toMatchObject({ state: 'pending', failure: expect.stringMatching(/kept for points|full/) });
      // What fits is stored all the same.
      expect(now['small']).toMatchObject({ state: 'here', failure: null });
    }, soon);
    for (let step = 0; step < 500; step++) script.log(step, step / 7);
    script.finish();
    await vi.waitFor(async () => {
      const series = (await ask(agent, 'GET', '/runs/run-a/series?metric=loss')).json;
      expect(series.total).toBe(500);
    }, soon);
    const status = await fieldbook(home, ['status']);
    expect(status.stdout).toMatch(/files +1 file of 10\.5 MB to be stored: .*kept for points/);
    const health = (await ask(agent, 'GET', '/health')).json.files;
    expect(health).toMatchObject({ pending: 1, problem: { code: 'disk_full' } });
    const doctor = await fieldbook(home, ['doctor', '--blobs', '--json']);
    const found = doctor.json.findings as { check: string; state: string }[];
    expect(found.find(({ check }) => check === 'spool')?.state).toBe('problem');
    expect(found.find(({ check }) => check === 'blobs')?.state).toBe('ok');
    expect(readdirSync(script.spool)).toHaveLength(1);
    rmSync(ballast);
    await vi.waitFor(
      async () => expect((await files())['model']).toMatchObject({ state: 'here', failure: null }),
      soon,
    );
    expect(readdirSync(script.spool)).toEqual([]);
    const out = join(emptyFolder('out'), 'model');
    expect((await fieldbook(home, ['download', 'run-a', 'model', '-o', out])).code).toBe(0);
    expect(readFileSync(out).equals(model)).toBe(true);
  });
});
