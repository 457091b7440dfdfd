import * as Y from 'yjs';
import { Book } from '@fieldbook/core/documents';
import { makeTestEdit, testEditId } from '@fieldbook/core/testing';
import { medianRow, repeatsFor, row } from './harness.ts';
import type { Bench, Row } from './harness.ts';
import { Editor, startPeerProcess, startRelayProcess, Visitors } from './rooms.ts';

const PROCESSES = 2;
/** What everybody has open: a month of a busy project. */
const EDITS = 5_000;

const bench: Bench = {
  name: 'reconnect-storm',
  about: 'Every client of a relay comes back in the same moment after it was restarted, until all are in sync.',
  needs: ['core', 'relay'],
  async run({ smoke }): Promise<Row[]> {
    const rows: Row[] = [];
    const visitors = new Visitors(smoke ? 1 : PROCESSES);
    const state = makeState(smoke ? 10 : EDITS);
    try {
      for (const count of smoke ? [3] : [100, 1_000]) rows.push(...(await measure(visitors, count, state, smoke)));
    } finally {
      visitors.close();
    }
    return rows;
  },
};

async function measure(visitors: Visitors, count: number, state: string, smoke: boolean): Promise<Row[]> {
  const relay = await startRelayProcess();
  const bare = await startPeerProcess('bare', 'floor: bare ws connections');
  const { repeats } = repeatsFor(smoke);
  const name = `${count} clients`;
  const [synced, floor]: [number[], number[]] = [[], []];
  let memory = 0;
  try {
    // The first visitor of each process brings the document.
    await visitors.join('filling', relay, 2, { state });
    await visitors.leave('filling');
    for (let round = 0; round < repeats; round++) {
      // The relay loses everything that it had in memory; when it listens, everybody dials.
      await relay.restart!();
      synced.push(await visitors.join(`storm ${round}`, relay, count, { atOnce: true, state }));
      memory = Math.max(memory, relay.memory() ?? 0);
      // In sync is not the end of it: a change reaches each of them.
      const editor = await new Editor(relay, round).open();
      const got = visitors.got(`storm ${round}`, count);
      editor.send();
      await got;
      editor.close();
      await visitors.leave(`storm ${round}`);
      floor.push(await visitors.join(`floor ${round}`, bare, count, { atOnce: true }));
      await visitors.leave(`floor ${round}`);
    }
  } finally {
    await relay.close();
    await bare.close();
  }
  return [
    medianRow(synced, { system: 'fieldbook', case: name, figure: 'synced_ms', durability: 'fsync' }),
    row({
      system: 'fieldbook',
      case: name,
      figure: 'rss_mb',
      value: memory === 0 ? null : memory,
      ...(memory === 0 ? { note: 'this system does not say' } : {}),
    }),
    medianRow(floor, { system: bare.system, case: name, figure: 'synced_ms', durability: 'none' }),
  ];
}

/** A book's document in base64. */
function makeState(edits: number): string {
  const doc = new Y.Doc();
  doc.transact(() => {
    // Ids that the editor's later ones do not meet.
    for (let edit = 0; edit < edits; edit++) new Book(doc).addEdit(makeTestEdit({ id: testEditId(1e6 + edit) }));
  });
  return Buffer.from(Y.encodeStateAsUpdate(doc)).toString('base64');
}

export default bench;
