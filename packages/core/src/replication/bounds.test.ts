import { describe, expect, it } from 'vitest';
import { Gate } from '../access/index.ts';
import type { DocumentName } from '../ids.ts';
import type { Log } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { Presence, writeAwareness } from '../rooms/index.ts';
import { FakeClock, FakeTimers, linkPair, MemoryStorage, SeededRandom, testDevice } from '../testing/index.ts';
import * as Y from 'yjs';
import { LIMITS } from '../limits.ts';
import type { Link } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import { decodeFrame, encodeFrame, PeerMemories, ReplicationSession } from './index.ts';
import { UnreadFrames } from './unread-frames.ts';
import type { Frame, SessionOptions } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(43);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const MB = 1024 * 1024;

/** A replica, and somebody who greeted it and then says what the test says; what is sent to them waits until `hear`. */
async function stranger(options: Partial<SessionOptions> = {}) {
  const replica: Replica = await openReplica({ storage: new MemoryStorage(), device: testDevice(random), random });
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const pair = linkPair();
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
  const memories = new PeerMemories(replica);
  const grants = Gate.open('member');
  const session = new ReplicationSession({ ...common, replica, memories, link: pair.b, grants, ...options });
  let code: number | undefined;
  const said: Frame[] = [];
  pair.a.onMessage = (message) => void said.push(decodeFrame(message)!);
  pair.a.onClose = (why) => (code = why);
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) await turn();
  };
  const send = (frame: Frame): void => {
    pair.a.send(encodeFrame(frame));
    pair.deliver('a');
  };
  const hello = { versions: [1], replica: 'r', device: 'd', workspace: 'w', workspaceName: null, program: 'p/1' };
  send({ kind: 'hello', hello: { ...hello, role: null } });
  await settle();
  return {
    replica,
    session,
    timers,
    send,
    settle,
    buffered: () => pair.b.buffered(),
    /** Reads what waits. */
    hear: async (): Promise<Frame[]> => {
      said.length = 0;
      while (pair.deliver('b')) continue;
      await settle();
      return said.slice();
    },
    code: () => code,
  };
}

describe('what a peer makes wait', () => {
  it('[ROOM-9] who greets and does not read is told little of what others say, and all of it as it reads', async () => {
    const presence = new Presence(new FakeClock());
    const state = JSON.stringify('z'.repeat(200_000));
    for (let machine = 1; machine <= 40; machine++) {
      const name = `book/p${machine}/2026-11` as DocumentName;
      presence.receive(name, writeAwareness([machine], new Map([[machine, { clock: 1, state }]])), machine);
    }
    const peer = await stranger({ presence });
    expect(peer.buffered()).toBeGreaterThan(MB);
    expect(peer.buffered()).toBeLessThan(2 * MB);
    const heard = new Set<string>();
    for (let round = 0; round < 20; round++) {
      for (const frame of await peer.hear()) if (frame.kind === 'ephemeral') heard.add(frame.name);
      peer.timers.advance(250);
    }
    expect(heard.size).toBe(40);
    peer.session.close(1001, 'over');
  });

  it('[RPL-71] questions that wait are bounded in bytes; as many of the longest as anybody asks are answered', async () => {
    const ask: Frame = {
      kind: 'sync',
      channel: 1,
      seq: 0,
      message: { type: 'step1', stateVector: vectorOf(LIMITS.documentClients) },
    };
    const open: Frame = { kind: 'open', channel: 1, name: 'run/r1' as DocumentName, generation: 0 };
    const asked = async (count: number): Promise<{ code: number | undefined; answers: number }> => {
      const peer = await stranger();
      peer.send(open);
      for (let index = 0; index < count && peer.code() === undefined; index++) peer.send(ask);
      const answers = (await peer.hear()).filter(({ kind }) => kind === 'refuse').length;
      await peer.settle();
      const code = peer.code();
      peer.session.close(1001, 'over');
      return { code, answers };
    };
    expect((await asked(32)).code).toBeUndefined();
    expect((await asked(100)).code).toBe(4422);
  });

  it('[RPL-72] parts of whole documents that wait here are bounded over all of them, and every one is taken in the end', async () => {
    const peer = await stranger({ rebuilds: true, stagedBytes: 1_360_000 });
    const count = 20;
    const part = 20_000;
    // Of 100 kB each, in five parts.
    const whole = (index: number): Uint8Array[] => {
      const doc = new Y.Doc();
      doc.clientID = 1_000 + index;
      const parts: Uint8Array[] = [];
      doc.on('update', (update: Uint8Array) => void parts.push(update));
      for (let key = 0; key < 5; key++)
        doc.getMap('x-bulk').set(`${index} ${key}`, encodeRecord({ k: 'new', x: 'x'.repeat(part) }));
      return parts;
    };
    const names = Array.from({ length: count }, (_, index) => `run/r${index}` as DocumentName);
    const through = count;
    peer.send({ kind: 'resume', seq: 0 });
    peer.send({
      kind: 'feed',
      entries: names.map((name, at) => ({ name, generation: 3, seq: at + 1 })),
      through,
      more: false,
    });
    for (const [at, name] of names.entries()) peer.send({ kind: 'open', channel: at + 1, name, generation: 3 });
    const asks = (frames: Frame[]): DocumentName[] => {
      const opened = new Map(frames.flatMap((f) => (f.kind === 'open' ? [[f.channel, f.name] as const] : [])));
      for (const [number, name] of opened) channels.set(number, name);
      return frames.flatMap((f) => (f.kind === 'sync' && f.message.type === 'step1' ? [channels.get(f.channel)!] : []));
    };
    const channels = new Map<number, DocumentName>();
    await peer.settle();
    let asked = asks(await peer.hear());
    expect(asked).toHaveLength(count);
    // Parts of all of them first, and their ends when everything else is here.
    for (const name of asked)
      for (const update of whole(names.indexOf(name)).slice(0, 4))
        peer.send({ kind: 'sync', channel: names.indexOf(name) + 1, seq: 0, message: { type: 'update', update } });
    await peer.settle();
    const rounds: number[] = [];
    while (asked.length > 0 && rounds.length < 100) {
      rounds.push(asked.length);
      const isFirst = rounds.length === 1;
      for (const name of asked) {
        const at = names.indexOf(name);
        const parts = whole(at);
        const update = parts.pop()!;
        const left = isFirst ? [] : parts;
        for (const each of left)
          peer.send({ kind: 'sync', channel: at + 1, seq: 0, message: { type: 'update', update: each } });
        peer.send({ kind: 'sync', channel: at + 1, seq: at + 1, message: { type: 'step2', update } });
      }
      for (let turns = 0; turns < 20; turns++) await peer.settle();
      asked = asks(await peer.hear());
    }
    expect(rounds[0]).toBe(count);
    // Of 1.6 MB 1.3 were kept, and one document more, which may be large; what found no room came one by one.
    expect(rounds.slice(1)).toEqual([1, 1, 1]);
    for (const name of names) {
      expect((await peer.replica.info(name))?.generation, name).toBe(3);
      expect(await peer.replica.read(name, (doc) => doc.getMap('x-bulk').size), name).toBe(5);
    }
    expect(peer.code()).toBeUndefined();
    peer.session.close(1001, 'over');
  }, 20_000);

  it('[RPL-72] a whole document of somebody who may not give one is refused before any of it comes', async () => {
    const runs = { of: () => undefined } as never;
    const grants = new Gate({ role: 'contributor', projects: null, devices: new Set() } as never, runs);
    grants.ready = async () => undefined;
    const peer = await stranger({ grants, rebuilds: true });
    peer.send({ kind: 'resume', seq: 0 });
    const entries = [{ name: 'run/r1' as DocumentName, generation: 3, seq: 1 }];
    peer.send({ kind: 'feed', entries, through: 1, more: false });
    await peer.settle();
    const heard = await peer.hear();
    expect(heard.filter(({ kind }) => kind === 'sync')).toEqual([]);
    expect(heard).toContainEqual(expect.objectContaining({ kind: 'refuse', name: 'run/r1', code: 'forbidden' }));
    peer.session.close(1001, 'over');
  });

  it('[RPL-73] who makes this side answer and does not read is cut off, whatever is answered', async () => {
    // A link that nobody reads.
    const flood = async (frame: Frame, role: 'viewer' | 'member') => {
      let sent = 0;
      let frames = 0;
      let code: number | undefined;
      const link: Link = {
        send: (message) => {
          sent += message.length;
          frames += 1;
        },
        close: (why) => (code ??= why),
        buffered: () => sent,
        onMessage: null,
        onClose: null,
      };
      const peer = await stranger({ link, grants: Gate.open(role) });
      const hello = { versions: [1], replica: 'r', device: 'd', workspace: 'w', workspaceName: null, program: 'p/1' };
      link.onMessage!(encodeFrame({ kind: 'hello', hello: { ...hello, role: null } }));
      await peer.settle();
      const name = `run/${'x'.repeat(1_000)}` as DocumentName;
      link.onMessage!(encodeFrame({ kind: 'open', channel: 1, name, generation: 0 }));
      const message = encodeFrame(frame);
      for (let round = 0; round < 200_000 && code === undefined; round++) link.onMessage!(message);
      await peer.settle();
      peer.session.close(1001, 'over');
      return { code, sent, frames };
    };
    const refused = await flood(
      { kind: 'sync', channel: 1, seq: 1, message: { type: 'update', update: new Uint8Array([0, 0]) } },
      'viewer',
    );
    expect(refused.code).toBe(4508);
    expect(refused.sent).toBeLessThan(66 * MB);
    // Short ones, which cost more than their bytes.
    const short = await flood(
      { kind: 'feed', entries: [{ name: 'a' as DocumentName, generation: 0, seq: 1 }], through: 1, more: false },
      'viewer',
    );
    expect(short.code).toBe(4508);
    expect(short.frames).toBeLessThan(140_000);
    // A pong is no use to who has not read the last.
    const pings = await flood({ kind: 'ping', nonce: 1 }, 'viewer');
    expect(pings.frames).toBeLessThan(40_000);
  });

  it('[RPL-73] frames that wait are counted by the thousand, and those that were read are not', () => {
    const unread = new UnreadFrames();
    let waiting = 0;
    for (let frame = 0; frame < 10_000; frame++) waiting = unread.sent(2, frame * 6);
    expect(waiting).toBe(10_000);
    // All but a hundred were read.
    expect(unread.sent(2, 600)).toBeLessThan(1_200);
    for (let frame = 0; frame < 50_000; frame++) waiting = Math.max(waiting, unread.sent(2, 0));
    expect(waiting).toBe(10_000);
  });

  it('[RPL-74] what comes before this side remembers its peer is bounded in bytes', async () => {
    let remember = (): void => undefined;
    const grants = Gate.open('member');
    grants.ready = () => new Promise((resolve) => (remember = resolve));
    const peer = await stranger({ grants });
    const state = JSON.stringify('z'.repeat(200_000));
    const bytes = writeAwareness([1], new Map([[1, { clock: 1, state }]]));
    // An older program tells all live values at once: they are not its fault.
    for (let index = 0; index < 200; index++)
      peer.send({ kind: 'ephemeral', name: `run/r${index}` as DocumentName, bytes });
    expect(peer.code()).toBeUndefined();
    const junk = new Uint8Array(MB);
    for (let index = 0; index < 9; index++)
      peer.send({ kind: 'sync', channel: 1, seq: 1, message: { type: 'update', update: junk } });
    await peer.hear();
    expect(peer.code()).toBe(4422);
    remember();
  });
});

function vectorOf(clients: number): Uint8Array {
  const doc = new Map(Array.from({ length: clients }, (_, index) => [2 ** 31 + index, 2 ** 40]));
  return Y.encodeStateVector(doc);
}
