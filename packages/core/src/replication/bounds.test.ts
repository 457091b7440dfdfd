import { describe, expect, it } from 'vitest';
import { Gate } from '../access/index.ts';
import type { DocumentName } from '../ids.ts';
import type { Log } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { Presence, writeAwareness } from '../rooms/index.ts';
import { FakeClock, FakeTimers, linkPair, MemoryStorage, SeededRandom, testDevice } from '../testing/index.ts';
import { decodeFrame, encodeFrame, PeerMemories, ReplicationSession } from './index.ts';
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
});
