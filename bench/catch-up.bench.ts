import { Gate } from '@fieldbook/core/access';
import type { DocumentName, Link, Log } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import type { Replica } from '@fieldbook/core/replica';
import { PeerMemories, ReplicationSession } from '@fieldbook/core/replication';
import { FakeClock, FakeTimers, linkPair } from '@fieldbook/core/testing';
import { collectGarbage, medianOf, medianRow, row } from './harness.ts';
import type { Bench, Row } from './harness.ts';
import { openOnDisk } from './level.ts';

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const TOGETHER = 1_000;

const bench: Bench = {
  name: 'catch-up',
  about: 'A machine that was away while some of many documents changed, until it holds them durably.',
  async run({ smoke }): Promise<Row[]> {
    const rows: Row[] = [];
    const medians: number[] = [];
    const changed = smoke ? 5 : 2_000;
    for (const total of smoke ? [10, 30] : [10_000, 100_000]) {
      const home = await openOnDisk(1);
      const away = await openOnDisk(2);
      try {
        await change(home.replica, total, 0);
        // The first time is the whole; it is not what is measured.
        await exchange(home.replica, away.replica);
        const times: number[] = [];
        const bytes: number[] = [];
        for (let round = 1; round <= (smoke ? 1 : 5); round++) {
          await change(home.replica, changed, round);
          collectGarbage();
          const began = performance.now();
          bytes.push(await exchange(home.replica, away.replica));
          times.push(performance.now() - began);
        }
        if (away.replica.lastSeq < total) throw new Error('The machine has not caught up.');
        const [system, name] = ['fieldbook', `${changed} changed of ${total} documents`];
        rows.push(
          medianRow(times, { system, case: name, figure: 'catch_up_ms', durability: 'fsync' }),
          medianRow(bytes, { system, case: name, figure: 'sent_bytes', durability: 'none' }),
        );
        medians.push(medianOf(times));
      } finally {
        await home.close();
        await away.close();
      }
    }
    const value = medians[1]! / medians[0]!;
    rows.push(
      row({ system: 'fieldbook', case: 'ten times the documents, as many changed', figure: 'cost_ratio', value }),
    );
    return rows;
  },
};

/** One more entry in each of the first `count` run documents. */
async function change(replica: Replica, count: number, round: number): Promise<void> {
  for (let from = 0; from < count; from += TOGETHER) {
    const some = Array.from({ length: Math.min(TOGETHER, count - from) }, (_, index) => from + index);
    await Promise.all(
      some.map((index) =>
        replica.transact(`run/run-${index}` as DocumentName, (doc) =>
          new RunDocument(doc).putSegment({
            kind: 'segment',
            writer: '01kf0000000000000000000000' as never,
            device: replica.device,
            first: round * 10 + 1,
            last: round * 10 + 10,
            digest: String(round % 10).repeat(64) as never,
            size: 30_000,
            points: 10,
            startTime: 1,
            endTime: 2,
            levels: [],
            extra: {},
          }),
        ),
      ),
    );
  }
}

/** One connection until both say that all is exchanged; the bytes that both sent. */
async function exchange(home: Replica, away: Replica): Promise<number> {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { clock, timers, log: silent, workspace: { id: 'w', name: null }, program: 'bench' };
  let sent = 0;
  const counted = (link: Link): Link => {
    const { send } = link;
    link.send = (message) => {
      sent += message.length;
      send.call(link, message);
    };
    return link;
  };
  const sessions = [
    { replica: home, link: counted(pair.a), grants: Gate.open('member') },
    { replica: away, link: counted(pair.b), grants: null },
  ].map((side) => new ReplicationSession({ ...common, memories: new PeerMemories(side.replica), ...side }));
  // Cursors are written down a moment after all is exchanged; without them the next time would list everything.
  for (let after = 0; after < 20;) {
    if (pair.deliverAll() === 0) timers.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
    after = sessions.every(({ settled }) => settled) ? after + 1 : 0;
  }
  pair.cut();
  await Promise.all([home.flush(), away.flush()]);
  return sent;
}

export default bench;
