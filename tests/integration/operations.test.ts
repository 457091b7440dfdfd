import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { Box } from '../fixtures/box.ts';
import { Tokens } from '@fieldbook/relay';
import { enterRoom } from '../fixtures/room.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import type { Program } from '../scaffold/program.ts';
import { startProgram } from '../scaffold/program.ts';

it('[OPS-25] a command of the relay whose reader has seen enough ends quietly', async () => {
  const bin = join(ROOT, 'packages/relay/bin/fieldbook-relay.mjs');
  const data = emptyFolder('relay');
  const child = spawn(process.execPath, [bin, 'config', 'check', '--data', data], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  expect([code, said]).toEqual([0, '']);
});

describe('a relay that is configured', () => {
  it('[OPS-1] runs as its file says, and says what is wrong with one before it touches anything', async () => {
    const folder = emptyFolder('config');
    const [file, data] = [join(folder, 'relay.json'), join(folder, 'data')];
    const run = (args: string[], env: Record<string, string> = {}): ReturnType<typeof startProgram> =>
      startProgram('fieldbook-relay', [...args, '--config', file], { FIELDBOOK_HOME: folder, ...env });

    writeFileSync(file, JSON.stringify({ data, listen: { port: 'high', hsot: '::' } }));
    for (const command of [['serve'], ['config', 'check']]) {
      const wrong = run(command);
      expect([command, (await wrong.ended).code]).toEqual([command, 2]);
      expect(wrong.output()).toContain(`listen.port: it must be a whole number from 0 to 65535, not "high" (${file})`);
      expect(wrong.output()).toContain('listen.hsot: there is no such setting; did you mean "listen.host"?');
    }

    writeFileSync(file, JSON.stringify({ data, listen: { port: 0 }, log: { level: 'debug' } }));
    const check = run(['config', 'check'], { FIELDBOOK_RELAY_LOG_LEVEL: 'info' });
    expect((await check.ended).code).toBe(0);
    expect(check.output()).toContain(`"${data}"  (${file})`);
    expect(check.output()).toMatch(/log\.level +"info" {2}\(FIELDBOOK_RELAY_LOG_LEVEL\)/);
    const relay = run(['serve']);
    await relay.says(/running at http:\/\/127\.0\.0\.1:\d+/);
    const tokens = run(['token', 'list']);
    expect([(await tokens.ended).code, tokens.output()]).toEqual([0, expect.stringContaining('There are no tokens')]);
    expect((await relay.stop()).code).toBe(0);
  });
});

/** A configured relay, its token and what it says. */
async function startRelay(
  settings: Record<string, unknown>,
  data = emptyFolder('relay'),
): Promise<{ url: string; data: string; program: Program; metrics: string; token: string; lines(): LogLine[] }> {
  const file = join(emptyFolder('config'), 'relay.json');
  writeFileSync(file, JSON.stringify({ data, listen: { port: 0 }, ...settings }));
  const program = startProgram('fieldbook-relay', ['serve', '--config', file], { FIELDBOOK_HOME: data });
  const [, url] = await program.says(/running at (http:\S+)/);
  const lines = (): LogLine[] =>
    program
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  const started = lines().find(({ event }) => event === 'relay.started')!;
  const { secret: token } = await (
    await Tokens.open(join(data, 'tokens'))
  ).create({ role: 'member', projects: null, name: 'ada', expires: null });
  return { url: url!, data, program, metrics: `http://127.0.0.1:${String(started['metricsPort'])}`, token, lines };
}

type LogLine = Record<string, unknown> & { time: string; level: string; event: string };

/** Samples by name and labels. */
async function scrape(url: string): Promise<Map<string, number>> {
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const samples = new Map<string, number>();
  for (const line of (await response.text()).trimEnd().split('\n')) {
    if (line.startsWith('# HELP ') || line.startsWith('# TYPE ')) continue;
    const match = /^([a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\})?) (-?[\d.e+-]+|NaN)$/.exec(line);
    expect([line, match !== null]).toEqual([line, true]);
    samples.set(match![1]!, Number(match![2]));
  }
  return samples;
}

/** Looks until `holds`; the limit of the test is the limit. */
async function until<T>(look: () => Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Everything that the dashboard asks for is there. */
async function expectDashboard(url: string): Promise<void> {
  await until(
    () => scrape(url),
    (samples) =>
      samples.has('fieldbook_relay_blob_bytes') &&
      samples.has('fieldbook_relay_event_loop_delay_seconds{quantile="1"}'),
  );
  const text = await (await fetch(`${url}/metrics`)).text();
  const families = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
  const dashboard = JSON.parse(readFileSync(join(ROOT, 'packages/relay/deploy/grafana-dashboard.json'), 'utf8')) as {
    panels: { targets: { expr: string }[] }[];
    templating: { list: { query: string }[] };
  };
  const asked = [
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.map(({ query }) => query),
  ].flatMap((query) => query.match(/\b(?:fieldbook|process)_\w+/g) ?? []);
  expect(asked.length).toBeGreaterThan(25);
  const missing = asked.filter((name) => !families.has(name.replace(/_bucket$/, '')));
  expect(missing).toEqual([]);
}

/** Each line is JSON; those of a request or a connection have its id, and none has a token. */
async function expectLog(relay: Awaited<ReturnType<typeof startRelay>>): Promise<void> {
  const headers = { authorization: `Bearer ${relay.token}`, 'x-request-id': 'from-the-proxy.1' };
  const answer = await fetch(`${relay.url}/api/v1/projects?search=hush`, { headers });
  expect(answer.headers.get('x-request-id')).toBe('from-the-proxy.1');
  const forged = { ...headers, 'x-request-id': `a"b${'c'.repeat(100)}` };
  const minted = (await fetch(`${relay.url}/api/v1/projects`, { headers: forged })).headers.get('x-request-id')!;
  expect(minted).toMatch(/^[0-9a-f-]{36}$/);
  const room = enterRoom(relay.url, 'workspace', { token: relay.token });
  await room.synced();
  // No record: admission refuses it, and the room says so in the log.
  room.doc.getMap('names').set('n', new Uint8Array([1]));
  await relay.program.says(/"kind":"room","close"/);
  const lines = relay.lines();
  for (const line of lines) {
    expect(Number.isNaN(Date.parse(line.time))).toBe(false);
    expect(['debug', 'info', 'warn', 'error']).toContain(line.level);
  }
  const answered = lines.filter(
    ({ event, request: id }) => event === 'http.answered' && [minted, headers['x-request-id']].includes(String(id)),
  );
  expect(answered.map(({ request, path, status }) => [request, path, status])).toEqual([
    ['from-the-proxy.1', '/api/v1/projects', 400],
    [minted, '/api/v1/projects', 200],
  ]);
  const opened = lines.find(({ event, kind }) => event === 'socket.opened' && kind === 'room')!;
  const refused = lines.find(({ event }) => event === 'room.closed')!;
  expect(refused['connection']).toBe(opened['connection']);
  expect(lines.find(({ event, kind }) => event === 'socket.closed' && kind === 'room')!['connection']).toBe(
    opened['connection'],
  );
  expect(relay.program.output()).not.toContain(relay.token.slice(4, 20));
  expect(relay.program.output()).not.toContain('hush');
}

describe('a relay that is watched', () => {
  it('[OPS-2] [OPS-4] [OPS-5] counts what happens, on a port of its own, and logs it', async () => {
    const relay = await startRelay({ metrics: { port: 0 }, log: { level: 'debug' } });
    const before = await scrape(relay.metrics);
    expect(before.get('fieldbook_relay_disk_full')).toBe(0);
    expect(await (await fetch(`${relay.url}/metrics`)).text()).not.toContain('fieldbook_relay_');
    const box = await Box.open();
    await box.join(relay.url, relay.token);
    await box.addEdits(20);
    await box.settled();
    const wrong = { authorization: `Bearer fbt_${'x'.repeat(43)}` };
    for (let i = 0; i < 3; i++) await fetch(`${relay.url}/api/v1/projects`, { headers: wrong });
    await fetch(`${relay.url}/api/v1/runs/none`, { headers: { authorization: `Bearer ${relay.token}` } });
    const after = await until(
      () => scrape(relay.metrics),
      (samples) => (samples.get('fieldbook_relay_documents') ?? 0) >= 1,
    );
    const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    expect(after.get('fieldbook_relay_connections{kind="replication"}')).toBe(1);
    expect(after.get('fieldbook_relay_connections_accepted_total{kind="replication"}')).toBe(1);
    expect(grown('fieldbook_relay_commits_total')).toBeGreaterThanOrEqual(1);
    expect(grown('fieldbook_relay_commit_bytes_total')).toBeGreaterThan(1_000);
    expect(grown('fieldbook_relay_received_bytes_total')).toBeGreaterThan(1_000);
    expect(grown('fieldbook_relay_auth_failures_total')).toBe(3);
    expect(after.get('fieldbook_relay_refusals_total{code="unauthorized"}')).toBe(3);
    expect(after.get('fieldbook_relay_refusals_total{code="not_found"}')).toBe(1);
    expect(after.get('fieldbook_relay_http_responses_total{status="401"}')).toBe(3);
    // Buckets are cumulative, and each fsync is in one.
    const buckets = [...after].filter(([name]) => name.startsWith('fieldbook_relay_fsync_seconds_bucket'));
    const counts = buckets.map(([, count]) => count);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(counts.at(-1)).toBe(after.get('fieldbook_relay_fsync_seconds_count'));
    expect(grown('fieldbook_relay_fsync_seconds_count')).toBeGreaterThanOrEqual(1);
    await box.leave();
    await until(
      () => scrape(relay.metrics),
      (samples) => samples.get('fieldbook_relay_connections{kind="replication"}') === 0,
    );
    await expectDashboard(relay.metrics);
    await expectLog(relay);
  });

  it('[OPS-4] shows metrics to others only for a token, and without a port to nobody', async () => {
    const folder = emptyFolder('token');
    const tokenFile = join(folder, 'metrics.token');
    writeFileSync(tokenFile, `${'secret-'.repeat(4)}\n`);
    const relay = await startRelay({ metrics: { port: 0, tokenFile } });
    expect((await fetch(`${relay.metrics}/metrics`)).status).toBe(401);
    const shown = { authorization: `Bearer ${'secret-'.repeat(4)}` };
    const answer = await fetch(`${relay.metrics}/metrics`, { headers: shown });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('fieldbook_relay_auth_failures_total 1');
    expect((await fetch(`${relay.metrics}/metrics`, { headers: { authorization: 'Bearer no' } })).status).toBe(401);
    expect(relay.program.output()).not.toContain('secret-');
    const open = join(folder, 'open.json');
    writeFileSync(open, JSON.stringify({ data: folder, metrics: { port: 0, host: '0.0.0.0' } }));
    const wrong = startProgram('fieldbook-relay', ['serve', '--config', open], { FIELDBOOK_HOME: folder });
    expect((await wrong.ended).code).toBe(2);
    expect(wrong.output()).toContain('metrics.host: metrics that others can reach need metrics.tokenFile');
  });
});

describe('a relay that ends', () => {
  it('[OPS-3] [OPS-6] is not ready, lets an open request end, closes sessions with 1001 and keeps everything', async () => {
    const relay = await startRelay({ drain: { delay: '600 ms', timeout: '20 s' }, log: { level: 'debug' } });
    expect(await (await fetch(`${relay.url}/healthz`)).json()).toEqual({ ok: true });
    expect(await (await fetch(`${relay.url}/readyz`)).json()).toEqual({ ready: true, reasons: [] });
    const box = await Box.open();
    await box.join(relay.url, relay.token);
    const edits = await box.addEdits(5);
    await box.settled();
    const bytes = Buffer.from('a blob that comes slowly');
    const digest = createHash('sha256').update(bytes).digest('hex');
    const upload = request(`${relay.url}/api/v1/blobs/${digest}`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${relay.token}`,
        'content-type': 'application/octet-stream',
        'content-length': bytes.length,
      },
    });
    const stored = once(upload, 'response') as Promise<[IncomingMessage]>;
    upload.write(bytes.subarray(0, 5));
    const session = new WebSocket(`${relay.url.replace('http', 'ws')}/api/v1/replicate`, 'fieldbook.v1', {
      headers: { authorization: `Bearer ${relay.token}` },
    });
    await once(session, 'message');
    const goodbye = once(session, 'close') as Promise<[number]>;
    const ended = relay.program.stop('SIGTERM');
    const notReady = await until(
      () => fetch(`${relay.url}/readyz`),
      ({ status }) => status === 503,
    );
    expect(await notReady.json()).toEqual({ ready: false, reasons: ['draining'] });
    expect((await goodbye)[0]).toBe(1001);
    await expect(fetch(`${relay.url}/healthz`, { headers: { connection: 'close' } })).rejects.toThrow('fetch failed');
    // The request that was open is answered, and its blob kept.
    upload.end(bytes.subarray(5));
    const [response] = await stored;
    expect(response.statusCode).toBeLessThan(300);
    response.resume();
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(relay.lines().at(-1)!.event).toBe('relay.stopped');
    await box.leave();
    const again = await startRelay({}, relay.data);
    expect(again.lines().find(({ event }) => event === 'relay.started')).not.toHaveProperty('metricsPort');
    const headers = { authorization: `Bearer ${again.token}` };
    expect((await fetch(`${again.url}/api/v1/blobs/${digest}`, { headers })).status).toBe(200);
    const other = await Box.open();
    await other.join(again.url, again.token);
    await other.until(async () => (await other.edits()).length === edits.length);
    expect(again.lines().some(({ event }) => event === 'store.copy_detected')).toBe(false);
  });

  it('[OPS-6] waits for no connection on which nothing is asked: not yet, as browsers open them, or not any more', async () => {
    const relay = await startRelay({ drain: { timeout: '10 min' } });
    const { hostname, port } = new URL(relay.url);
    const dial = async () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined).on('data', () => undefined);
      await once(socket, 'connect');
      return socket;
    };
    const [silent, asking] = [await dial(), await dial()];
    const body = JSON.stringify({ secret: 'fbi_unknown', device: 'box' });
    const head = `POST /api/v1/invitations/redeem HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json`;
    asking.write(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 9)}`);
    // Taken in the order in which they come: the first two are there once this is answered.
    expect((await fetch(`${relay.url}/healthz`, { headers: { connection: 'close' } })).status).toBe(200);
    process.kill(relay.program.pid, 'SIGTERM');
    await once(silent, 'close');
    const answered = once(asking, 'data') as Promise<[Buffer]>;
    asking.write(body.slice(9));
    expect(String((await answered)[0])).toMatch(/^HTTP\/1\.1 401 /);
    expect(await relay.program.ended).toEqual({ code: 0, signal: null });
    expect(relay.lines().map(({ event }) => event)).not.toContain('relay.requests_cut');
  });

  it('[OPS-6] ends within its bound whatever a request does, and at once at a second signal', async () => {
    const relay = await startRelay({ drain: { timeout: '300 ms' } });
    const hang = (url: string, token: string): void => {
      const upload = request(`${url}/api/v1/blobs/${'ab'.repeat(32)}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-length': 1000 },
      });
      upload.on('error', () => undefined);
      upload.write('x');
    };
    hang(relay.url, relay.token);
    await fetch(`${relay.url}/readyz`);
    expect(await relay.program.stop()).toEqual({ code: 0, signal: null });
    expect(relay.lines().map(({ event }) => event)).toContain('relay.requests_cut');

    const stuck = await startRelay({ drain: { timeout: '10 min' } });
    hang(stuck.url, stuck.token);
    await fetch(`${stuck.url}/readyz`);
    process.kill(stuck.program.pid, 'SIGTERM');
    await stuck.program.says(/"event":"relay.stopping"/);
    expect(await stuck.program.stop('SIGINT')).toEqual({ code: null, signal: 'SIGINT' });
  });
});

/** A small disk of its own, where this machine lets us mount one. */
function smallDisk(mebibytes: number): string {
  const folder = emptyFolder('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', folder]);
  // After the programs of the test have ended.
  onTestFinished(() => void spawnSync('umount', ['-l', folder]));
  return folder;
}

function canMount(): boolean {
  const probe = mkdtempSync(join(tmpdir(), 'fieldbook-mount-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe]).status === 0;
  if (mounted) spawnSync('umount', [probe]);
  rmSync(probe, { recursive: true });
  return mounted;
}

describe('a relay whose disk is full', () => {
  it.skipIf(!canMount())(
    '[OPS-7] refuses writes, serves reads, also when it is started so, and takes writes when there is room',
    async () => {
      const disk = smallDisk(80);
      const data = join(disk, 'data');
      const settings = { disk: { reserve: '40 MiB' }, metrics: { port: 0 } };
      let relay = await startRelay(settings, data);
      const headers = (): Record<string, string> => ({ authorization: `Bearer ${relay.token}` });
      const put = async (text: string): Promise<[number, string | undefined]> => {
        const digest = createHash('sha256').update(text).digest('hex');
        const response = await fetch(`${relay.url}/api/v1/blobs/${digest}`, {
          method: 'PUT',
          body: text,
          headers: headers(),
        });
        const body = (await response.text()) || '{}';
        return [response.status, (JSON.parse(body) as { error?: { code: string } }).error?.code];
      };
      const box = await Box.open();
      const client = await box.join(relay.url, relay.token);
      const before = await box.addEdits(10);
      await box.settled();
      expect((await put('one'))[0]).toBeLessThan(300);

      // All that is left but some: of a disk that is full to the last byte the reserve would be gone.
      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(join(disk, 'filler'), Buffer.alloc(bavail * bsize - 30 * 2 ** 20));
      const ready = async (): Promise<string> => (await fetch(`${relay.url}/readyz`)).text();
      await until(ready, (said) => said === '{"ready":false,"reasons":["disk_full"]}');
      expect(await put('two')).toEqual([507, 'disk_full']);
      const kept = await box.addEdits(5);
      await box.until(async () => (await client.status()).problem?.code === 'disk_full');
      // Reads go on, for who comes new and for who wanted to write.
      const reader = await Box.open();
      await reader.join(relay.url, relay.token);
      await reader.until(async () => (await reader.edits()).length === before.length);
      expect((await fetch(`${relay.url}/api/v1/projects`, { headers: headers() })).status).toBe(200);
      expect((await scrape(relay.metrics)).get('fieldbook_relay_disk_full')).toBe(1);
      expect(relay.lines().filter(({ event }) => event === 'disk.full')).toHaveLength(1);
      await Promise.all([box.leave(), reader.leave()]);

      // Started with the disk full, it can be read.
      await relay.program.stop();
      relay = await startRelay(settings, data);
      expect(await ready()).toContain('disk_full');
      const late = await Box.open();
      await late.join(relay.url, relay.token);
      await late.until(async () => (await late.edits()).length === before.length);
      await box.join(relay.url, relay.token);
      await box.until(async () => (await box.client!.status()).problem?.code === 'disk_full');

      rmSync(join(disk, 'filler'));
      await until(ready, (said) => said === '{"ready":true,"reasons":[]}');
      await late.until(async () => (await late.edits()).length === before.length + kept.length);
      expect((await put('two'))[0]).toBeLessThan(300);
      expect(relay.lines().map(({ event }) => event)).toContain('disk.has_room');
    },
  );
});
