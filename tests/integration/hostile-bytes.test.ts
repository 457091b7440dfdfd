import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '@fieldbook/core/testing';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { startAgent } from '../fixtures/agent.ts';
import { enterRoom } from '../fixtures/room.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount } from '../scaffold/mode.ts';
import { startCommand } from '../scaffold/program.ts';

const seed = Number(process.env.FIELDBOOK_SEED ?? 20_263);

describe('bytes of strangers', () => {
  it('[PRF-5] no parser throws anything but our errors, takes long or much memory, whatever golden files are made of', async () => {
    const home = emptyFolder('parsers');
    const args = ['--max-old-space-size=256', join(ROOT, 'tests/fixtures/parser-fuzz.mjs'), String(seed)];
    const program = startCommand(process.execPath, [...args, String(amount(1, 400))], { FIELDBOOK_HOME: home });
    const { code } = await program.ended;
    expect(code, program.output()).toBe(0);
    const said = program
      .output()
      .trim()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { name: string; count: number; refused: number; slowest: number; rss: number },
      );
    expect(said.length).toBeGreaterThan(15);
    for (const { name, slowest, rss } of said) {
      expect(rss, `${name}: MB`).toBeLessThan(500);
      expect(slowest, `${name}: ms`).toBeLessThan(5_000);
    }
  });

  it('[PRF-6] raw bytes on the sockets of agent and relay end neither, keep neither from answering, and fill no memory', async () => {
    const random = new SeededRandom(seed);
    const relay = await new Relay().up([], { FIELDBOOK_RELAY_LIMITS_FAILURES_PER_ADDRESS: '1000000' });
    const token = await relay.token('member', 'ada');
    const agent = await startAgent(emptyFolder('agent'));
    const targets = [
      { url: relay.url, token, pid: relay.pid },
      { url: agent.url, token: agent.token, pid: agent.program.pid },
    ];
    const room = enterRoom(relay.url, 'book/mnist/2026-11', { token });
    await room.synced();
    // What answering honest clients takes, too.
    for (const { url } of targets) expect((await fetch(`${url}/healthz`)).status).toBeLessThan(500);
    const before = targets.map(({ pid }) => residentMb(pid));
    const rounds = amount(120, 20_000);
    for (let round = 0; round < rounds; round += 8) {
      await Promise.all(
        Array.from({ length: 8 }, (_, index) => {
          const target = targets[(round + index) % 2]!;
          return sendRaw(target.url, hostile(random, target.url, target.token), random.chance(0.5));
        }),
      );
    }
    for (const [index, { url, pid, token: secret }] of targets.entries()) {
      const began = performance.now();
      const answer = await fetch(`${url}/api/v1/workspace`, { headers: { authorization: `Bearer ${secret}` } });
      expect(answer.status).toBe(200);
      expect(performance.now() - began, 'ms until it answers').toBeLessThan(5_000);
      const [now, then] = [residentMb(pid), before[index]];
      // Where the system says.
      if (now !== null && then !== null) expect(now - then!, 'MB that it grew by').toBeLessThan(200);
    }
    // Somebody who was in a room all the while is in it still.
    expect(room.provider.wsconnected).toBe(true);
    expect([relay.output(), agent.program.output()].join('\n')).not.toMatch(/uncaught|unhandled|heap out of memory/i);
  });
});

const PATHS = [
  '/',
  '/healthz',
  '/readyz',
  '/api/v1/workspace',
  '/api/v1/projects/mnist/runs?q=loss',
  '/api/v1/documents/book%2Fmnist%2F2026-11',
  '/api/v1/blobs/00',
  '/api/v1/replicate',
  '/rooms/book/mnist/2026-11',
  '/rooms/%E0%A4%A',
  '/../../etc/passwd',
  '*',
  'http://elsewhere/',
];

/** A request that is wrong somewhere, or an honest upgrade with frames behind it that are not. */
function hostile(random: SeededRandom, url: string, token: string): Buffer {
  const { host } = new URL(url);
  const kind = random.int(6);
  const path = random.pick(PATHS);
  const auth = random.pick([
    `Authorization: Bearer ${token}`,
    `Authorization: Bearer ${'x'.repeat(random.int(9_000))}`,
    `Authorization: ${Buffer.from(random.bytes(40))
      .toString('latin1')
      .replaceAll(/[\r\n]/g, '')}`,
    'Authorization: Bearer',
    `Authorization: Bearer fbt_${'\u{1f642}'.repeat(9)}`,
  ]);
  if (kind === 0) return Buffer.from(random.bytes(random.int(2_000)));
  if (kind <= 2) {
    const method = random.pick(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'BREW', 'get']);
    const body = random.pick([
      '',
      'Content-Length: 99999999999\r\n\r\nx',
      'Content-Length: -1\r\n\r\n',
      'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
      'Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx',
      'Transfer-Encoding: chunked\r\n\r\n5;ext\r\nhello\r\n0\r\nTrailer: x\r\n\r\n',
      `Content-Type: application/json\r\nContent-Length: 20000\r\n\r\n${'['.repeat(20_000)}`,
      `X-Long: ${'y'.repeat(random.int(40_000))}\r\n\r\n`,
      `Range: bytes=${random.int(9)}-${'9'.repeat(random.int(400))}\r\nIf-None-Match: ${'"'.repeat(50)}\r\n\r\n`,
    ]);
    const text = `${method} ${path} HTTP/1.${random.int(3)}\r\nHost: ${random.pick([host, '', 'evil.example'])}\r\n${auth}\r\n${body}`;
    return mangled(random, Buffer.from(text, 'latin1'));
  }
  const key = random.chance(0.9) ? 'dGhlIHNhbXBsZSBub25jZQ==' : 'short';
  const protocols = random.pick([
    `fieldbook.v1, fieldbook.token.${token}`,
    'fieldbook.v1',
    `fieldbook.token.${'a'.repeat(3_000)}`,
    ',,,',
  ]);
  const upgrade =
    `GET ${random.pick(['/api/v1/replicate', '/rooms/book/mnist/2026-11', path])} HTTP/1.1\r\nHost: ${host}\r\n` +
    `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${random.pick([13, 13, 13, 99])}\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${protocols}\r\n\r\n`;
  const frames = Array.from({ length: random.int(6) }, () => webSocketFrame(random));
  const whole = Buffer.concat([Buffer.from(upgrade), ...frames]);
  return random.chance(0.3) ? mangled(random, whole) : whole;
}

/** A frame of a client: honest, or with an opcode, a length, a mask or a payload that is not. */
function webSocketFrame(random: SeededRandom): Buffer {
  const wire = Object.values(JSON.parse(readFileSync(join(ROOT, 'tests/golden/wire/v1.json'), 'utf8')) as object);
  const payload = Buffer.from(
    random.pick([
      () => random.bytes(random.int(200)),
      () => Buffer.from(String(random.pick(wire)), 'hex'),
      () => Uint8Array.of(0, random.int(4), ...random.bytes(random.int(60))),
    ])(),
  );
  const opcode = random.chance(0.7) ? 2 : random.int(16);
  const length = random.chance(0.9) ? payload.length : random.int(2 ** 31);
  const isMasked = random.chance(0.9) ? 0x80 : 0;
  const first = (random.chance(0.85) ? 0x80 : 0) | (random.chance(0.05) ? 0x70 : 0) | opcode;
  const head =
    length < 126
      ? Buffer.from([first, isMasked | length])
      : Buffer.from([first, isMasked | 127, 0, 0, 0, 0, ...uint32(length)]);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, isMasked === 0 ? Buffer.alloc(0) : Buffer.alloc(4), payload]);
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function mangled(random: SeededRandom, bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  for (let flips = random.int(4); flips > 0; flips--) bytes[random.int(bytes.length)] = random.int(256);
  return random.chance(0.2) ? bytes.subarray(0, random.int(bytes.length)) : bytes;
}

/** Sends the bytes on a connection of their own and waits until it is closed or nothing more comes of it for a while. */
async function sendRaw(url: string, bytes: Buffer, politely: boolean): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect').catch(() => {});
  if (politely) socket.end(bytes);
  else socket.write(bytes);
  await new Promise<void>((resolve) => {
    socket.setTimeout(120, resolve);
    socket.on('close', () => resolve());
  });
  socket.resetAndDestroy();
}

function residentMb(pid: number): number | null {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  } catch {
    return null;
  }
}
