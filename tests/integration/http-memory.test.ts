import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Tokens } from '@fieldbook/relay';
import { Relay } from '../scaffold/machine.ts';

const MB = 1024 * 1024;
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** As the command makes it, without its second of starting. */
async function tokenFor(relay: Relay, role: 'member' | 'viewer'): Promise<string> {
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  onTestFinished(() => tokens.close());
  return (await tokens.create({ role, projects: null, name: role, expires: null })).secret;
}

/** A request's head on a connection of its own, of which nothing is read but the first piece of the answer. */
function ask(
  relay: Relay,
  head: string,
  token: string,
): { socket: Socket; first: Promise<string>; closed: Promise<void> } {
  const socket = connect(Number(new URL(relay.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  socket.write(`${head}\r\nHost: ${new URL(relay.url).host}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  const first = new Promise<string>((resolve) => {
    socket.once('data', (data: Buffer) => {
      socket.pause();
      resolve(data.toString('latin1'));
    });
    socket.once('close', () => resolve(''));
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return { socket, first, closed };
}

function residentMb({ pid }: Relay): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

/** The most that a relay took while `work` went on. */
async function mostDuring(relay: Relay, work: Promise<unknown>): Promise<number> {
  let most = residentMb(relay);
  const look = setInterval(() => (most = Math.max(most, residentMb(relay))), 10);
  await work.finally(() => clearInterval(look));
  return Math.max(most, residentMb(relay));
}

/** Resolves when nothing more was taken from any of these for a while. */
async function taken(sockets: readonly Socket[]): Promise<void> {
  let before = -1;
  for (let same = 0; same < 5;) {
    const now = sockets.reduce((sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength, 0);
    same = now === before ? same + 1 : 0;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

// Resident memory is read where Linux says it.
it.runIf(process.platform === 'linux')(
  '[API-33] [API-34] [API-35] a relay keeps little of bodies that do not end and of answers that nobody reads, and asks who it is first',
  async () => {
    const relay = await new Relay().up([], { FIELDBOOK_RELAY_LIMITS_BYTES_UNDER_WAY_PER_TOKEN: '16 MiB' });
    const [member, viewer] = [await tokenFor(relay, 'member'), await tokenFor(relay, 'viewer')];
    const authorized = { authorization: `Bearer ${member}` };
    const blob = Buffer.alloc(8 * MB, 7);
    const put = (bytes: Buffer) =>
      fetch(`${relay.url}/api/v1/blobs/${digestOf(bytes)}`, {
        method: 'PUT',
        headers: { ...authorized, 'content-type': 'application/octet-stream' },
        body: new Uint8Array(bytes),
      });
    await expect.poll(async () => (await put(blob)).status).toBe(200);
    const before = residentMb(relay);

    // Who may not send one is told so without any of it, and sent away.
    const head = `PUT /api/v1/blobs/${'0'.repeat(64)} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: ${8 * MB}`;
    const refused = ask(relay, head, viewer);
    expect(await refused.first).toMatch(/^HTTP\/1\.1 403 [^]*connection: close/i);
    refused.socket.resume();
    refused.socket.write(Buffer.alloc(7 * MB));
    const polite = ask(relay, `${head}\r\nExpect: 100-continue`, viewer);
    expect(await polite.first).toMatch(/^HTTP\/1\.1 403 /);

    const welcome = ask(relay, `${head}\r\nExpect: 100-continue`, member);
    expect(await welcome.first).toMatch(/^HTTP\/1\.1 100 /);

    welcome.socket.destroy();

    // All but the end of it, many times.
    const senders = Array.from({ length: 32 }, () => ask(relay, head, member).socket);
    const most = mostDuring(relay, taken(senders));
    for (const sender of senders) sender.write(Buffer.alloc(8 * MB - 1));
    expect((await most) - before, 'MB for bodies').toBeLessThan(80);

    // Who asks for little is answered all the while, and who sends waits for the others to go.
    expect((await fetch(`${relay.url}/api/v1/workspace`, { headers: authorized })).status).toBe(200);
    const waiting = put(Buffer.alloc(2 * MB, 1));
    for (const sender of senders) sender.destroy();
    expect((await waiting).status).toBe(200);

    // The heads of answers come, and nobody takes the rest.
    const reading = (token: string) => ask(relay, `GET /api/v1/blobs/${digestOf(blob)} HTTP/1.1`, token);
    const readers = Array.from({ length: 32 }, () => reading(viewer));
    const started = Promise.all(readers.map(({ first }) => first));
    const mostForReaders = await mostDuring(relay, started);
    for (const answer of await started) expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(mostForReaders - before, 'MB for answers').toBeLessThan(120);
    await refused.closed;
    const whole = await fetch(`${relay.url}/api/v1/blobs/${digestOf(blob)}`, { headers: authorized });
    expect(digestOf(new Uint8Array(await whole.arrayBuffer()))).toBe(digestOf(blob));
  },
);
