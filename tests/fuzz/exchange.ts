import type { Link, Log } from '@fieldbook/core';
import { Gate } from '@fieldbook/core/access';
import type { Replica } from '@fieldbook/core/replica';
import type { PeerMemories } from '@fieldbook/core/replication';
import { ReplicationSession } from '@fieldbook/core/replication';
import type { SeededRandom } from '@fieldbook/core/testing';
import { FakeClock, FakeTimers, linkPair } from '@fieldbook/core/testing';

interface Side {
  replica: Replica;
  memories: PeerMemories;
}

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** A frame kind that no version has. */
const UNKNOWN_KIND = 99;
const HELLO = 0;

/**
 * Two replicas exchange in real sessions over a link in memory, in an order drawn from `random`, until both say that all
 * is exchanged; or until the connection is lost with the message numbered `cutAfter`. Sometimes one side speaks as a
 * newer version would. Resolves to whether all was exchanged.
 *
 * @throws {Error} when they come to no end
 */
export async function exchange(a: Side, b: Side, random: SeededRandom, cutAfter: number): Promise<boolean> {
  // A store that proves to be put back ends the first connection; the second is one like any other.
  for (let tries = 0; tries < 3; tries++) {
    const outcome = await connectOnce(a, b, random, cutAfter);
    if (outcome !== 'closed') return outcome === 'settled';
  }
  throw new Error('two replicas close every connection');
}

async function connectOnce(
  a: Side,
  b: Side,
  random: SeededRandom,
  cutAfter: number,
): Promise<'settled' | 'cut' | 'closed'> {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'fuzz/1' };
  const newer = random.chance(0.3);
  const sessions = [
    new ReplicationSession({ ...common, ...a, link: newer ? speakNewer(pair.a, random) : pair.a, grants: null }),
    new ReplicationSession({ ...common, ...b, link: pair.b, grants: Gate.open('member') }),
  ];
  let over = false;
  for (const session of sessions) void session.ended.then(() => (over = true));
  let delivered = 0;
  for (let quiet = 0; quiet < 400; quiet++) {
    // In bursts of one side or the other, as sockets are read.
    for (let burst = random.int(6); burst >= 0; burst--) {
      if (delivered >= cutAfter) {
        pair.cut();
        await turn();
        await Promise.all([a.replica.flush(), b.replica.flush()]);
        return 'cut';
      }
      if (pair.deliver(random.chance(0.5) ? 'a' : 'b')) {
        delivered += 1;
        quiet = 0;
      }
    }
    await turn();
    if (over) return 'closed';
    if (sessions.every(({ settled }) => settled) && pair.waiting('a') + pair.waiting('b') === 0) {
      pair.cut();
      await turn();
      await Promise.all([a.replica.flush(), b.replica.flush()]);
      return 'settled';
    }
    if (quiet > 4) timers.advance(100);
  }
  throw new Error('two replicas did not come to the end of their exchange');
}

/** A link whose sender has frames that nobody here knows, and says more in those that everybody knows. */
function speakNewer(link: Link, random: SeededRandom): Link {
  return {
    get onMessage() {
      return link.onMessage;
    },
    set onMessage(listener) {
      link.onMessage = listener;
    },
    get onClose() {
      return link.onClose;
    },
    set onClose(listener) {
      link.onClose = listener;
    },
    send(message) {
      // HELLO is one record: what a newer version adds to it are fields of that.
      const more = message[0] !== HELLO && random.chance(0.3) ? random.bytes(1 + random.int(9)) : new Uint8Array(0);
      link.send(Uint8Array.of(...message, ...more));
      if (random.chance(0.3)) link.send(Uint8Array.of(UNKNOWN_KIND, ...random.bytes(random.int(9))));
    },
    close: (code, reason) => link.close(code, reason),
    buffered: () => link.buffered(),
  };
}
