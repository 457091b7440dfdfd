import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import * as encoding from 'lib0/encoding';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { DocumentName } from '@fieldbook/core';
import type { Frame } from '@fieldbook/core/replication';
import { decodeFrame, encodeFrame, SUBPROTOCOL } from '@fieldbook/core/replication';
import { writeAwareness } from '@fieldbook/core/rooms';
import { Relay } from '../scaffold/machine.ts';
import { LONG } from '../scaffold/mode.ts';

const MB = 1024 * 1024;
/** The largest message that a relay reads. */
const LARGEST = 16 * MB;
/** What each attack may make of a relay of some 100 MB: messages under way, garbage of a few, and what the bounds allow. */
const GROWTH_MB = 280;

/** One row of the table of bounds in docs/protocol.md, in excess. */
interface Attack {
  row: string;
  role: 'viewer' | 'contributor' | 'member';
  /** The code that it ends with; null where it goes on and costs nothing. */
  code: number | null;
  /** Frames, and how many of them. */
  frame: (index: number) => Frame;
  count: number;
  before?: readonly Frame[];
  /** What is sent is not read. */
  isDeaf?: boolean;
  /** It takes seconds, for the least that shows: in long mode. */
  isLong?: boolean;
}

const named = (index: number, length: number): DocumentName =>
  `run/${String(index).padEnd(length - 4, 'x')}` as DocumentName;
const step1 = (stateVector: Uint8Array): Frame => ({
  kind: 'sync',
  channel: 1,
  seq: 0,
  message: { type: 'step1', stateVector },
});
const change = (channel: number, length: number): Frame => ({
  kind: 'sync',
  channel,
  seq: 0,
  message: { type: 'update', update: new Uint8Array(length) },
});
const workspace: Frame = { kind: 'open', channel: 1, name: 'workspace' as DocumentName, generation: 0 };
const rebuilt = Array.from({ length: 32 }, (_, at) => ({ name: named(at, 12), generation: 2 ** 20 + 5, seq: at + 1 }));

const whole: readonly Frame[] = [
  { kind: 'feed', entries: rebuilt, through: 40, more: true },
  ...rebuilt.map(({ name, generation }, at): Frame => ({ kind: 'open', channel: at + 1, name, generation })),
];
/** Of nearly as many clients as are read. */
const longest = vector(90_000);

const ATTACKS: readonly Attack[] = [
  { row: 'a message', role: 'viewer', code: 1009, count: 4, frame: () => change(1, LARGEST + 128 * 1024) },
  {
    row: 'a name in OPEN',
    isLong: true,
    role: 'viewer',
    code: 4422,
    count: 30,
    frame: (index) => ({ kind: 'open', channel: index + 1, name: named(index, LARGEST), generation: 0 }),
  },
  {
    row: 'a name in REFUSE',
    role: 'viewer',
    code: 4422,
    count: 30,
    frame: (index) => ({ kind: 'refuse', name: named(index, LARGEST), seq: 1, code: 'x', reason: 'y' }),
  },
  {
    row: 'a name in FEED',
    isLong: true,
    role: 'contributor',
    code: 4422,
    count: 30,
    frame: (index) => ({
      kind: 'feed',
      entries: [{ name: named(index, LARGEST), generation: 0, seq: index + 1 }],
      through: index + 1,
      more: true,
    }),
  },
  {
    row: 'a state vector',
    role: 'viewer',
    code: 4422,
    count: 30,
    before: [workspace],
    frame: () => step1(vector(2_700_000)),
  },
  {
    row: 'questions',
    role: 'viewer',
    code: 4422,
    count: 120,
    // Refusals that are not read: no question is answered meanwhile.
    before: [
      workspace,
      { kind: 'open', channel: 2, name: named(2, 1_000), generation: 0 },
      ...Array.from({ length: 8_000 }, () => change(2, 2)),
    ],
    isDeaf: true,
    frame: () => step1(longest),
  },
  {
    row: 'channels',
    role: 'viewer',
    code: 4422,
    count: 9_000,
    frame: (index) => ({ kind: 'open', channel: index + 1, name: named(index, 1_000), generation: 0 }),
  },
  {
    row: 'whole documents of who may not give them',
    isLong: true,
    role: 'contributor',
    code: null,
    count: 24,
    before: whole,
    frame: (index) => change(1 + (index % 32), LARGEST - 1_000),
  },
  {
    row: 'whole documents of who may give them',
    isLong: true,
    role: 'member',
    code: null,
    count: 60,
    before: whole,
    frame: (index) => change(1 + (index % 32), LARGEST - 1_000),
  },
  {
    row: 'what is sent and not read',
    isLong: true,
    role: 'viewer',
    code: 4508,
    count: 200_000,
    before: [{ kind: 'open', channel: 1, name: named(1, 1_000), generation: 0 }],
    isDeaf: true,
    frame: () => change(1, 2),
  },
  {
    row: 'live values',
    isLong: true,
    role: 'contributor',
    code: null,
    count: 1_500,
    frame: (index) => ({ kind: 'ephemeral', name: named(index, 20), bytes: LIVE }),
  },
];
const LIVE = writeAwareness(
  [1, 2, 3, 4],
  new Map([1, 2, 3, 4].map((client) => [client, { clock: 1, state: JSON.stringify('z'.repeat(250 * 1024)) }])),
);

describe('frames of strangers', () => {
  it('[PRF-16] what a peer makes wait is bounded, row by row at the largest frame, in the memory of a real relay', async () => {
    if (!existsSync('/proc/self/status')) return;
    const relay = await new Relay().up([], {
      // They make an attack slower, not smaller.
      FIELDBOOK_RELAY_LIMITS_BYTES_PER_CONNECTION: '1000000000',
      FIELDBOOK_RELAY_LIMITS_BYTES_PER_TOKEN: '1000000000',
    });
    const tokens = new Map<string, string>();
    const attacks = ATTACKS.filter(({ isLong }) => LONG || isLong !== true);
    for (const role of new Set(attacks.map(({ role: needed }) => needed)))
      tokens.set(role, await relay.token(role, role));
    const start = resident(relay.pid);
    const took: Record<string, string> = {};
    for (const attack of attacks) {
      const began = performance.now();
      const code = await run(relay, tokens.get(attack.role)!, attack);
      const grown = resident(relay.pid).most - start.now;
      took[attack.row] = `${Math.round(performance.now() - began)} ms, ${Math.round(grown)} MB`;
      expect.soft(code, attack.row).toBe(attack.code);
      expect.soft(grown, `${attack.row}: MB`).toBeLessThan(GROWTH_MB);
    }
    if (process.env['FIELDBOOK_FIGURES'] === '1') console.log(took);
    // Viewers that greet and read nothing of what was said.
    const deaf = await Promise.all(Array.from({ length: LONG ? 4 : 0 }, () => greet(relay, tokens.get('viewer')!)));
    for (const { socket } of deaf) socket.pause();
    expect((await fetch(`${relay.url}/healthz`)).status).toBe(200);
    expect(resident(relay.pid).most - start.now, 'MB with deaf viewers').toBeLessThan(GROWTH_MB);
    for (const { socket } of deaf) socket.terminate();
    expect(relay.output()).not.toMatch(/uncaught|unhandled|heap out of memory/i);
  }, 120_000);
});

/** A well-formed state vector of so many clients; longer than any is where they are a million. */
function vector(clients: number): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, clients);
  for (let index = 0; index < clients; index++) {
    encoding.writeVarUint(encoder, 2 ** 28 + index);
    encoding.writeVarUint(encoder, 1);
  }
  return encoding.toUint8Array(encoder);
}

/** A connection that has greeted, and the code that it was closed with. */
async function greet(
  relay: Relay,
  token: string,
): Promise<{ socket: WebSocket; closed: Promise<number>; isOver(): boolean }> {
  const workspace = await relay.api<{ id: string }>(token, 'GET', '/workspace');
  const address = `${relay.url.replace('http', 'ws')}/api/v1/replicate`;
  const socket = new WebSocket(address, [SUBPROTOCOL], { headers: { authorization: `Bearer ${token}` } });
  let isOver = false;
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) =>
    socket.on('close', (code) => {
      isOver = true;
      resolve(code);
    }),
  );
  const resumed = new Promise<void>((resolve) => {
    socket.on('message', (message: Buffer) => {
      if (decodeFrame(new Uint8Array(message))?.kind === 'resume') resolve();
    });
  });
  await once(socket, 'open');
  const hello = {
    versions: [1],
    replica: `stranger ${Math.random()}`,
    device: `d${'0'.repeat(24)}`,
    workspace: workspace.body.id,
    workspaceName: null,
    program: 'stranger/1',
    role: null,
  };
  socket.send(encodeFrame({ kind: 'hello', hello }));
  socket.send(encodeFrame({ kind: 'resume', seq: 0 }));
  await resumed;
  return { socket, closed, isOver: () => isOver };
}

/** The code that it was closed with; null when all was sent and the other side goes on. */
async function run(relay: Relay, token: string, attack: Attack): Promise<number | null> {
  const { socket, closed, isOver } = await greet(relay, token);
  if (attack.isDeaf === true) socket.pause();
  for (const frame of attack.before ?? []) socket.send(encodeFrame(frame));
  // One that does not differ is made once.
  const same = attack.frame.length === 0 ? encodeFrame(attack.frame(0)) : undefined;
  for (let index = 0; index < attack.count && !isOver(); index++) {
    socket.send(same ?? encodeFrame(attack.frame(index)));
    while (socket.bufferedAmount > LARGEST && !isOver()) await Promise.race([closed, new Promise(setImmediate)]);
  }
  // All of it was handled when this is answered. A deaf one hears that, or the end, when it listens again.
  const answered = new Promise<null>((resolve) => {
    socket.on('message', (message: Buffer) => {
      if (decodeFrame(new Uint8Array(message))?.kind === 'pong') resolve(null);
    });
  });
  socket.resume();
  if (!isOver()) socket.send(encodeFrame({ kind: 'ping', nonce: 7 }));
  const code = await Promise.race([answered, closed]);
  socket.terminate();
  return code;
}

function resident(pid: number): { now: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { now: mb('VmRSS'), most: mb('VmHWM') };
}
