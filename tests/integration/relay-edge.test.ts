import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Tokens } from '@fieldbook/relay';
import { send } from '../fixtures/agent.ts';
import { Box } from '../fixtures/box.ts';
import { EventStream } from '../fixtures/event-stream.ts';
import { closeOf, enterRoom } from '../fixtures/room.ts';
import { Relay } from '../scaffold/machine.ts';

const wrong = (): string => `fbt_${randomBytes(32).toString('base64url')}`;

/** As the command makes it, without its second of starting. */
async function tokenFor(relay: Relay, name: string): Promise<string> {
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  return (await tokens.create({ role: 'member', projects: null, name, expires: null })).secret;
}

function ask(relay: Relay, token: string, headers: Record<string, string> = {}) {
  return send(relay.url, 'GET', '/api/v1/projects', { headers: { authorization: `Bearer ${token}`, ...headers } });
}

/** As a proxy says it; what stands before its own word is the caller's invention. */
const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': `9.9.9.9, ${address}` });

/** Each caller of these tests comes from an address of its own, through a proxy that the relay trusts. */
describe('a relay behind a proxy', () => {
  it('[ACC-42, ACC-43, ACC-44, ACC-64] believes it about addresses, and refuses what is too much for each', async () => {
    const relay = await new Relay().up(['--trust-proxy', '127.0.0.1'], {
      FIELDBOOK_RELAY_LIMITS_REQUESTS_PER_TOKEN: '1',
      FIELDBOOK_RELAY_LIMITS_REQUESTS_PER_ADDRESS: '1',
      FIELDBOOK_RELAY_LIMITS_UPGRADES_PER_ADDRESS: '1',
      FIELDBOOK_RELAY_LIMITS_CONNECTIONS_PER_TOKEN: '2',
      FIELDBOOK_RELAY_LIMITS_FAILURES_PER_ADDRESS: '1',
    });
    const [ada, bob] = [await tokenFor(relay, 'ada'), await tokenFor(relay, 'bob')];

    expect((await ask(relay, wrong(), from('198.51.100.1'))).status).toBe(401);
    expect((await ask(relay, wrong(), from('198.51.100.1'))).status).toBe(429);
    expect((await ask(relay, wrong(), from('198.51.100.2'))).status).toBe(401);
    await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1'], from('198.51.100.3'));
    await relay.says(/"socket.refused".*"address":"198\.51\.100\.3"/);
    // The page is asked for by another name than the relay's own.
    const page = { ...from('198.51.100.4'), 'x-forwarded-host': 'books.example', 'x-forwarded-proto': 'https' };
    expect((await ask(relay, bob, { ...page, origin: 'https://books.example' })).status).toBe(200);
    expect((await ask(relay, bob, { ...page, origin: 'http://books.example' })).json.error.code).toBe('bad_origin');
    expect((await ask(relay, bob, { ...page, origin: relay.url })).json.error.code).toBe('bad_origin');

    // A token, from wherever it is used.
    let place = 0;
    const asAda = () => ask(relay, ada, from(`198.51.101.${(place += 1) % 250}`));
    for (let each = 0; each < 10; each++) expect((await asAda()).status).toBe(200);
    let refused = await asAda();
    // The ten took a moment, in which another was saved up.
    while (refused.status === 200) refused = await asAda();
    expect([refused.status, refused.json.error.code]).toEqual([429, 'rate_limited']);
    expect(refused.json.error.message).toContain('with this token');
    expect(refused.headers['retry-after']).toBe('1');
    expect((await ask(relay, bob, from('198.51.100.5'))).status).toBe(200);
    await expect.poll(async () => (await asAda()).status).toBe(200);

    // An address, whatever it asks for; a health check is answered all the while.
    const look = async () => (await send(relay.url, 'GET', '/', { headers: from('198.51.100.6') })).status;
    const statuses: number[] = [];
    while (!statuses.includes(429)) statuses.push(await look());
    expect(statuses.length).toBeGreaterThan(10);
    expect((await send(relay.url, 'GET', '/healthz', { headers: from('198.51.100.6') })).status).toBe(200);
    await expect.poll(look).not.toBe(429);

    // New sockets of an address.
    const knock = () => closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1'], from('198.51.100.7'));
    const closes = await Promise.all(Array.from({ length: 14 }, knock));
    expect(closes.filter(({ code }) => code === 4401).length).toBeGreaterThanOrEqual(10);
    expect(closes.find(({ code }) => code === 4511)?.reason).toMatch(/too many new connections .* again in 1 s/);
    await expect.poll(async () => (await knock()).code, { interval: 1_100 }).toBe(4401);

    // Open connections of a token.
    const rooms = [1, 2].map(() => enterRoom(relay.url, 'workspace', { token: ada }));
    await Promise.all(rooms.map((room) => room.synced()));
    const third = await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1', `fieldbook.token.${ada}`]);
    expect(third).toEqual({ code: 4511, reason: expect.stringContaining('2 open connections with this token') });
    // Who is turned away for a while tries again by itself.
    const box = await Box.open();
    await expect.poll(async () => (await ask(relay, ada, from('198.51.100.8'))).status).toBe(200);
    const client = await box.join(relay.url, ada, (await workspaceOf(relay, bob)).id);
    await box.until(async () => (await client.status()).problem?.code === 'rate_limited');
    expect((await client.status()).stopped).toBe(false);
    rooms[0]!.provider.destroy();
    await box.until(async () => (await client.status()).connected);

    // Answers that go on are connections too.
    const events = () => EventStream.open(relay.url, { authorization: `Bearer ${bob}`, ...from('198.51.100.10') });
    const streams = [await events(), await events()];
    expect(streams.map(({ status }) => status)).toEqual([200, 200]);
    const more = await events();
    expect(more.status).toBe(429);
    await more.ended;
    expect(more.text).toContain('2 open connections with this token');
    streams[0]!.close();
    await expect.poll(async () => (await events()).status).toBe(200);
  });
});

async function workspaceOf(relay: Relay, token: string): Promise<{ id: string }> {
  const headers = { authorization: `Bearer ${token}`, ...from('198.51.100.9') };
  return (await send(relay.url, 'GET', '/api/v1/workspace', { headers })).json as { id: string };
}

describe('a relay without a proxy', () => {
  it('[ACC-42, ACC-44, ACC-45, ACC-46] counts what connects, believes no header, and reads what comes too fast later', async () => {
    const relay = await new Relay().up([], {
      FIELDBOOK_RELAY_LIMITS_FAILURES_PER_ADDRESS: '3',
      FIELDBOOK_RELAY_LIMITS_CONNECTIONS_PER_ADDRESS: '8',
      FIELDBOOK_RELAY_LIMITS_BYTES_PER_TOKEN: '64 KiB',
    });
    const [token, viewer] = [await tokenFor(relay, 'ada'), await tokenFor(relay, 'vic')];

    const answers: number[] = [];
    for (let each = 0; each < 5; each++) answers.push((await ask(relay, wrong(), from(`198.51.100.${each}`))).status);
    expect(answers).toEqual([401, 401, 401, 429, 429]);
    const socket = await closeOf(`${relay.url}/rooms/workspace`, [], { authorization: `Bearer ${wrong()}` });
    expect(socket).toEqual({ code: 4511, reason: expect.stringContaining('wrong tokens from your address') });
    await expect.poll(async () => (await ask(relay, wrong())).status, { timeout: 5_000 }).toBe(401);
    expect((await ask(relay, wrong())).headers['retry-after']).toBe('2');
    // Tokens that are in force are known within half a second of being made.
    await expect.poll(async () => (await ask(relay, token)).status).toBe(200);
    const forged = { 'x-forwarded-host': 'books.example', origin: 'http://books.example' };
    expect((await ask(relay, token, forged)).json.error.code).toBe('bad_origin');

    const room = enterRoom(relay.url, 'note/abc', { token });
    await room.synced();
    const began = Date.now();
    // What ten seconds may bring comes at once; of the 96 kB more, all but the piece that crosses the line comes half a second later or more.
    const text = 'x'.repeat(16 * 1024);
    for (let each = 0; each < 46; each++) room.doc.getText('text').insert(0, text);
    const other = enterRoom(relay.url, 'note/abc', { token: viewer });
    await other.until((doc) => doc.getText('text').length === 46 * text.length);
    expect(Date.now() - began).toBeGreaterThan(400);
    await relay.says(/"socket.slowed"/);
    expect(room.provider.wsconnected).toBe(true);

    const { hostname, port } = new URL(relay.url);
    const silent = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const held = connect(Number(port), hostname);
        onTestFinished(() => void held.destroy());
        await once(held, 'connect');
        return held;
      }),
    );
    const refused = await send(relay.url, 'GET', '/healthz');
    expect([refused.status, refused.headers['connection'], refused.json.error.code]).toEqual([
      429,
      'close',
      'rate_limited',
    ]);
    expect((await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1'])).code).toBe(4511);
    for (const held of silent.slice(0, 3)) held.destroy();
    await expect.poll(async () => (await send(relay.url, 'GET', '/healthz')).status).toBe(200);
  });
});
