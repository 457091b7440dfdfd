import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';

const MiB = 1024 * 1024;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const soon = { timeout: 30_000, interval: 50 };

interface Shown {
  version: string;
  path: string;
  name: string;
  size: number;
  digest: string | null;
  state: string;
  current: boolean;
  travel: string;
  requested: boolean;
  failure: string | null;
  holders: string[];
}

const filesOf = async (agent: Agent, run: string): Promise<Shown[]> =>
  ((await ask(agent, 'GET', `/runs/${run}/files`)).json?.files ?? []) as Shown[];

async function until(agent: Agent, run: string, state: string, count: number): Promise<Shown[]> {
  return vi.waitFor(async () => {
    const files = await filesOf(agent, run);
    expect(files.filter((file) => file.state === state)).toHaveLength(count);
    return files;
  }, soon);
}

interface Got {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** A file's bytes over HTTP as they come; `json` of another answer is in its body. */
export function get(
  at: { url: string; token: string },
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${at.token}`, ...headers };
    const request = httpRequest(`${at.url}/api/v1${path}`, { method, headers: all, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}

async function joined(relay: Relay, name: string, config: object = {}): Promise<Agent> {
  const home = emptyFolder(name);
  writeFileSync(join(home, 'config.json'), JSON.stringify(config));
  const agent = await startAgent(home, { env: { FIELDBOOK_HOST: name } });
  const { code, stderr } = await fieldbook(home, ['join', relay.url, '-t', await relay.token('member', name)]);
  expect(code, stderr).toBe(0);
  return agent;
}

describe('files of a run', () => {
  it('[API-27] are listed with their versions and given whole, by range, and not again while nothing changed', async () => {
    const home = emptyFolder('files');
    const script = new Script(home, 'p', 'run-a');
    const large = bytesOf(17 * MiB + 3, 1);
    script.upload(bytesOf(100, 2), { path: 'model', name: 'old.pt' });
    script.upload(large, {
      path: 'model',
      name: 'm\u00f6del "v2".pt',
      mime: 'application/x-torch',
      meta: { epochs: 3 },
    });
    script.upload(new Uint8Array(0), { path: 'empty' });
    script.upload(bytesOf(10, 3), { path: 'gone/deep' });
    script.remove('gone');
    script.finish();
    const agent = await startAgent(home);
    const files = await until(agent, 'run-a', 'here', 3);
    expect(files.map(({ path, state, current }) => `${path} ${state} ${current}`).sort()).toEqual([
      'empty here true',
      'gone/deep removed false',
      'model here false',
      'model here true',
    ]);
    const model = files.find(({ path, current }) => path === 'model' && current)!;
    expect(model).toMatchObject({ size: large.length, digest: sha256(large), meta: { epochs: 3 }, kind: 'file' });
    expect(existsSync(script.spool) ? readdirSync(script.spool) : []).toEqual([]);

    const whole = await get(agent, '/runs/run-a/file?path=model');
    expect(whole.status).toBe(200);
    expect(whole.body.equals(large)).toBe(true);
    expect(whole.headers).toMatchObject({
      'content-type': 'application/x-torch',
      'content-length': String(large.length),
      'accept-ranges': 'bytes',
      etag: `"${model.digest}"`,
    });
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      [`bytes=${8 * MiB - 2}-${16 * MiB + 1}`, 8 * MiB - 2, 16 * MiB + 2],
      [`bytes=${17 * MiB}-`, 17 * MiB, large.length],
      ['bytes=-5', large.length - 5, large.length],
    ] as const) {
      const part = await get(agent, '/runs/run-a/file?path=model', { range });
      expect([part.status, part.headers['content-range']]).toEqual([206, `bytes ${start}-${end - 1}/${large.length}`]);
      expect(part.body.equals(large.subarray(start, end)), range).toBe(true);
    }
    const etag = `"${model.digest}"`;
    const answer = async (
      headers: Record<string, string>,
      query = 'path=model',
      method = 'GET',
    ): Promise<unknown[]> => {
      const { status, body } = await get(agent, `/runs/run-a/file?${query}`, headers, method);
      return [status, body.length];
    };
    expect(await answer({ 'if-none-match': `"x", ${etag}` })).toEqual([304, 0]);
    expect(await answer({ range: 'bytes=999999999-' })).toEqual([416, 0]);
    expect(await answer({ range: 'bytes=0-9', 'if-range': etag })).toEqual([206, 10]);
    expect(await answer({ range: 'bytes=0-9', 'if-range': '"other"' })).toEqual([200, large.length]);
    expect(await answer({}, 'path=empty')).toEqual([200, 0]);
    const head = await get(agent, '/runs/run-a/file?path=model', {}, 'HEAD');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, String(large.length), 0]);
    const old = files.find(({ path, current }) => path === 'model' && !current)!;
    expect((await get(agent, `/runs/run-a/file?path=model&version=${old.version}`)).body.equals(bytesOf(100, 2))).toBe(
      true,
    );
    for (const [query, status, code] of [
      ['path=gone/deep', 404, 'not_found'],
      ['path=none', 404, 'not_found'],
      ['path=model&version=x', 404, 'not_found'],
      ['', 400, 'invalid_argument'],
      ['path=model&what=1', 400, 'invalid_argument'],
    ] as const) {
      const refused = await get(agent, `/runs/run-a/file?${query}`);
      expect([refused.status, JSON.parse(refused.body.toString()).error.code], query).toEqual([status, code]);
    }
  });

  it('[API-28] what was uploaded never runs with our origin', async () => {
    const home = emptyFolder('files');
    const script = new Script(home, 'p', 'run-a');
    const page = Buffer.from('<script>fetch("/api/v1/projects")</script>');
    script.upload(page, { path: 'page', name: 'a\r\nset-cookie: x.html', mime: 'text/html' });
    script.upload(page, { path: 'odd', name: 'odd', mime: 'text/html\r\nx-evil: 1' });
    script.finish();
    const agent = await startAgent(home);
    await until(agent, 'run-a', 'here', 2);
    for (const path of ['page', 'odd']) {
      const { status, headers } = await get(agent, `/runs/run-a/file?path=${path}`);
      expect(status).toBe(200);
      expect(headers['content-disposition']).toMatch(
        /^attachment; filename="[A-Za-z0-9._ -]+"; filename\*=UTF-8''[A-Za-z0-9._%~-]+$/,
      );
      expect(headers['content-security-policy']).toMatch(/^sandbox;.*default-src 'none'/);
      expect(headers['content-security-policy']).not.toMatch(/allow-/);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect([headers['set-cookie'], headers['x-evil']]).toEqual([undefined, undefined]);
    }
    expect((await get(agent, '/runs/run-a/file?path=odd')).headers['content-type']).toBe('application/octet-stream');
  });

  it('[API-30] a damaged chunk ends the answer, and nothing of it is sent', async () => {
    const home = emptyFolder('files');
    const script = new Script(home, 'p', 'run-a');
    const large = bytesOf(20 * MiB, 5);
    script.upload(large, { path: 'model' });
    script.finish();
    const agent = await startAgent(home);
    await until(agent, 'run-a', 'here', 1);
    const chunk = sha256(large.subarray(8 * MiB, 16 * MiB));
    const place = join(home, 'blobs/sha256', chunk.slice(0, 2), chunk);
    const broken = readFileSync(place);
    broken[1000]! ^= 1;
    writeFileSync(place, broken);
    const length = get(agent, '/runs/run-a/file?path=model').then(({ body }) => body.length);
    await expect(length).rejects.toThrow(/aborted|hang up|reset/i);
    const refused = await get(agent, '/runs/run-a/file?path=model', { range: `bytes=${9 * MiB}-` });
    expect([refused.status, JSON.parse(refused.body.toString()).error.code]).toEqual([422, 'blob_corrupt']);
    const first = await get(agent, '/runs/run-a/file?path=model', { range: `bytes=0-${8 * MiB - 1}` });
    expect(first.body.equals(large.subarray(0, 8 * MiB))).toBe(true);
    // The agent is none the worse for it.
    expect((await ask(agent, 'GET', '/projects')).status).toBe(200);
  });
});

describe('files between machines', () => {
  it('[API-30] a relay sends nothing of a damaged chunk, and ends the answer', async () => {
    const relay = await new Relay().up();
    const agent = await joined(relay, 'gpu-3');
    const script = new Script(agent.home, 'p', 'run-a');
    const large = bytesOf(20 * MiB, 6);
    script.upload(large, { path: 'model' });
    script.finish();
    await until(agent, 'run-a', 'here', 1);
    expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
    // Nobody sends it again.
    await agent.program.stop();
    const chunk = sha256(large.subarray(8 * MiB, 16 * MiB));
    const place = join(relay.data, 'blobs/sha256', chunk.slice(0, 2), chunk);
    const broken = readFileSync(place);
    broken[1000]! ^= 1;
    writeFileSync(place, broken);
    const browser = { url: relay.url, token: await relay.token('viewer', 'browser') };
    const length = get(browser, '/runs/run-a/file?path=model').then(({ body }) => body.length);
    await expect(length).rejects.toThrow(/aborted|hang up|reset/i);
    // From then on it counts as missing.
    const refused = await get(browser, '/runs/run-a/file?path=model', { range: `bytes=${9 * MiB}-` });
    expect([refused.status, JSON.parse(refused.body.toString()).error.code]).toEqual([404, 'blob_missing']);
    const first = await get(browser, '/runs/run-a/file?path=model', { range: `bytes=0-${8 * MiB - 1}` });
    expect(first.body.equals(large.subarray(0, 8 * MiB))).toBe(true);
    expect((await relay.api(browser.token, 'GET', '/projects')).status).toBe(200);
  });

  it('[RPL-28] what travels now is at the relay, what does not is named there; [API-29] who asks for it gets it; [PRE-26] a blob comes from the relay when told to', async () => {
    const relay = await new Relay().up();
    const rules = { files: [{ pattern: 'checkpoints/**', over: MiB, travel: 'request' }] };
    const [one, two] = [await joined(relay, 'gpu-3', rules), await joined(relay, 'laptop')];
    const token = await relay.token('member', 'browser');
    const browser = { url: relay.url, token };
    const script = new Script(one.home, 'p', 'run-a');
    const checkpoint = bytesOf(9 * MiB, 7);
    const config = bytesOf(500, 8);
    script.upload(checkpoint, { path: 'checkpoints/10' });
    script.upload(config, { path: 'config' });
    script.upload(bytesOf(600, 9), { path: 'private', travel: 'never' });
    script.log(1, 0.5);
    script.finish();
    await until(one, 'run-a', 'here', 3);
    expect((await fieldbook(one.home, ['sync', '--timeout', '30'])).code).toBe(0);
    const there = await vi.waitFor(async () => {
      const { status, body } = await relay.api<{ files: Shown[] }>(token, 'GET', '/runs/run-a/files');
      expect(status).toBe(200);
      return body.files;
    }, soon);
    const state = Object.fromEntries(there.map(({ path, state: now }) => [path, now]));
    expect(state).toEqual({ 'checkpoints/10': 'elsewhere', config: 'here', private: 'elsewhere' });
    expect((await get(browser, '/runs/run-a/file?path=config')).body.equals(config)).toBe(true);
    const mine = Object.fromEntries((await filesOf(one, 'run-a')).map(({ path, holders }) => [path, holders]));
    expect(mine).toEqual({ 'checkpoints/10': [], config: [relay.url], private: [] });

    // On gpu-3 only: request it.
    const without = await get(browser, '/runs/run-a/file?path=checkpoints/10');
    expect([without.status, JSON.parse(without.body.toString()).error.code]).toEqual([404, 'blob_missing']);
    const wanted = there.find(({ path }) => path === 'checkpoints/10')!;
    await vi.waitFor(async () => expect((await filesOf(two, 'run-a')).length).toBe(3), soon);
    // A blob that laptop has not: only who says so has it fetched, and then it is kept.
    const blob = `/blobs/${there.find(({ path }) => path === 'config')!.digest}`;
    expect((await get(two, blob)).status).toBe(404);
    expect((await get(two, `/blobs/${'a'.repeat(64)}?from=anywhere`)).status).toBe(404);
    expect((await get(two, `${blob}?from=anywhere`)).body.equals(config)).toBe(true);
    expect((await get(two, blob)).body.equals(config)).toBe(true);
    const asked = await ask(two, 'POST', '/runs/run-a/files/request', { digest: wanted.digest });
    expect([asked.status, asked.json.edit?.field, asked.json.file.requested]).toEqual([200, 'request', true]);
    expect((await ask(two, 'POST', '/runs/run-a/files/request', { digest: wanted.digest })).json.edit).toBeNull();
    await vi.waitFor(async () => {
      const got = await get(browser, '/runs/run-a/file?path=checkpoints/10');
      expect(got.status).toBe(200);
      expect(got.body.equals(checkpoint)).toBe(true);
    }, soon);
    const got = await get(two, '/runs/run-a/file?path=checkpoints/10');
    expect(got.body.equals(checkpoint)).toBe(true);
    expect((await filesOf(two, 'run-a')).find(({ path }) => path === 'checkpoints/10')!.state).toBe('here');

    // What never travels is not sent for any request.
    const never = there.find(({ path }) => path === 'private')!;
    const refused = await relay.api<{ error: { code: string } }>(token, 'POST', '/runs/run-a/files/request', {
      digest: never.digest,
    });
    expect([refused.status, refused.body.error.code]).toEqual([403, 'forbidden']);
    const unknown = await relay.api<{ error: { code: string } }>(token, 'POST', '/runs/run-a/files/request', {
      digest: 'a'.repeat(64),
    });
    expect([unknown.status, unknown.body.error.code]).toEqual([404, 'not_found']);
    const viewer = await relay.token('viewer', 'guest');
    expect((await relay.api(viewer, 'POST', '/runs/run-a/files/request', { digest: never.digest })).status).toBe(403);
  });

  it('[RPL-29] a file that is being sent goes on after kills where it was', async () => {
    const relay = await new Relay().up();
    const one = await joined(relay, 'gpu-3', { files: [{ pattern: '**', travel: 'now' }] });
    const token = await relay.token('member', 'browser');
    let agent = one;
    const script = new Script(one.home, 'p', 'run-a');
    const large = bytesOf(80 * MiB, 11);
    script.upload(large, { path: 'model' });
    script.log(1, 0.5);
    await until(agent, 'run-a', 'here', 1);
    const present = async (): Promise<number> => {
      const chunks = Array.from({ length: 10 }, (_, index) =>
        sha256(large.subarray(index * 8 * MiB, (index + 1) * 8 * MiB)),
      );
      const { body } = await relay.api<{ missing: string[] }>(token, 'POST', '/blobs/missing', { digests: chunks });
      return 10 - body.missing.length;
    };
    let before = 0;
    for (let kill = 0; kill < 3 && before < 10; kill++) {
      await vi.waitFor(async () => expect(await present()).toBeGreaterThan(before), { ...soon, interval: 5 });
      await agent.program.stop('SIGKILL');
      const now = await present();
      expect(now).toBeGreaterThanOrEqual(before);
      before = now;
      agent = await startAgent(one.home);
    }
    script.log(2, 0.25);
    script.finish();
    expect((await fieldbook(one.home, ['sync', '--timeout', '40'])).code).toBe(0);
    const got = await get({ url: relay.url, token }, '/runs/run-a/file?path=model');
    expect(got.status).toBe(200);
    expect(got.body.equals(large)).toBe(true);
  });
});
