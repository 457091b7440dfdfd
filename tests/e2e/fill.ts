import type { AttributePath, DeviceId, DocumentName, ProjectId, RunId, WriterId } from '@fieldbook/core';
import { base32, bookName, mintId, monthOf, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { Book, Workspace } from '@fieldbook/core/documents';
import type { AttributeValue, Card, MetricSummary } from '@fieldbook/core/record';
import { SeededRandom } from '@fieldbook/core/testing';
import * as decoding from 'lib0/decoding';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const DAY = 86_400_000;
/** Cards in one update: about 2 MB with 20 attributes. */
const BATCH = 1_000;
const MESSAGE_ACK = 100;

export interface Filling {
  project: string;
  runs: number;
  /** When the newest run began, ms since the epoch. */
  newest: number;
  seed?: number;
  attributes?: number;
}

/** Changes of documents, in their order, that make up the runs of a filling: one document's come one after the other. */
export interface Change {
  document: DocumentName;
  change: (doc: Y.Doc) => void;
}

/** Made-up runs as a machine of the workspace would write them: newest first, so month by month. */
export function* changesOf({ project, runs, newest, seed = 1, attributes = 20 }: Filling): Generator<Change> {
  const random = new SeededRandom(seed);
  const device = `d${base32(random.bytes(15))}` as DeviceId;
  const createdOf = (index: number): number => newest - Math.floor((index * 20 * DAY) / runs);
  const months = new Set(Array.from({ length: runs }, (_, index) => monthOf(createdOf(index))));
  yield {
    document: WORKSPACE_DOCUMENT,
    change: (doc) => {
      for (const month of months) new Workspace(doc).ensureBook(project as ProjectId, month, project, newest);
    },
  };
  let index = 0;
  for (const month of months) {
    // A batch at a time, since nobody has room for all cards of 100,000 runs.
    while (index < runs && monthOf(createdOf(index)) === month) {
      yield {
        document: bookName(project as ProjectId, month),
        change: (doc) => {
          for (let count = 0; count < BATCH && index < runs && monthOf(createdOf(index)) === month; count++, index++)
            new Book(doc).putCard(cardOf(random, device, project as ProjectId, createdOf(index), index, attributes));
        },
      };
    }
  }
}

/**
 * Puts made-up runs into an agent or relay: cards through the rooms. Resolves when the server has all of them on disk.
 * For tables of a size that nobody trains for a test.
 */
export async function fill(url: string, token: string, filling: Filling): Promise<void> {
  const open = new Map<DocumentName, Room>();
  const close = async (): Promise<void> => {
    for (const each of open.values()) await each[Symbol.asyncDispose]();
    open.clear();
  };
  try {
    for (const { document, change } of changesOf(filling)) {
      let there = open.get(document);
      if (there === undefined) {
        await close();
        there = await room(url, token, document);
        open.set(document, there);
      }
      await there.change(change);
    }
  } finally {
    await close();
  }
}

const WORDS = [
  'amber',
  'birch',
  'cedar',
  'delta',
  'ember',
  'fjord',
  'grove',
  'heath',
  'inlet',
  'juniper',
  'kelp',
  'larch',
  'moss',
  'north',
  'otter',
  'pine',
  'quartz',
  'reed',
  'slate',
  'thorn',
];

function cardOf(
  random: SeededRandom,
  device: DeviceId,
  project: ProjectId,
  created: number,
  index: number,
  attributes: number,
): Card {
  const ids = { now: () => created };
  const duration = 60_000 + random.int(6 * 3_600_000);
  const status = index < 3 ? 'running' : random.chance(0.05) ? 'failed' : random.chance(0.03) ? 'crashed' : 'finished';
  const lr = 10 ** -(1 + random.int(4));
  const loss = 0.05 + random.float() * 0.6 + lr;
  const values = new Map<AttributePath, AttributeValue>([
    ['params/lr' as AttributePath, lr],
    ['params/batch_size' as AttributePath, 2 ** (4 + random.int(5))],
    ['params/optimizer' as AttributePath, random.pick(['adam', 'adamw', 'sgd'])],
    ['params/seed' as AttributePath, random.int(10)],
    ['params/model' as AttributePath, random.pick(['resnet18', 'resnet50', 'vit-s', 'mlp'])],
  ]);
  for (let extra = values.size; extra < attributes; extra++)
    values.set(`params/extra/p${String(extra).padStart(2, '0')}` as AttributePath, random.int(5));
  const metric = (last: number, min: number, max: number): MetricSummary => ({
    count: 1_000,
    last,
    lastStep: 999,
    min,
    minStep: 940,
    max,
    maxStep: 10,
    nonFinite: 0,
  });
  return {
    run: mintId(ids, random) as RunId,
    writer: mintId(ids, random) as WriterId,
    device,
    project,
    ordinal: 1_000,
    created,
    updated: status === 'running' ? Date.now() : created + duration,
    ended: status === 'running' ? null : created + duration,
    status,
    name: `${random.pick(WORDS)}-${random.pick(WORDS)}-${index}`,
    group: null,
    notes: null,
    tags: [
      ...(random.chance(0.2) ? ['baseline'] : []),
      ...(random.chance(0.1) ? ['ablation'] : []),
      ...(random.chance(0.03) ? ['paper'] : []),
    ],
    user: random.pick(['ada', 'grace', 'emmy']),
    host: random.pick(['gpu-1', 'gpu-2', 'workstation']),
    attributes: values,
    metrics: new Map([
      ['val/loss' as AttributePath, metric(loss, loss * 0.95, 2.3)],
      ['val/acc' as AttributePath, metric(1 - loss / 2, 0.1, 1 - loss / 2.1)],
      ['train/loss' as AttributePath, metric(loss * 0.8, loss * 0.7, 2.4)],
    ]),
    role: null,
    removed: [],
    extra: {},
  };
}

interface Room extends AsyncDisposable {
  /** Resolves when the server has the change on disk. */
  change(change: (doc: Y.Doc) => void): Promise<void>;
}

/** A document of a server, for changes that it acknowledges one by one. */
export async function room(url: string, token: string, name: string): Promise<Room> {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`${url.replace(/^http/, 'ws')}/rooms`, name, doc, {
    connect: false,
    disableBc: true,
    protocols: ['fieldbook.ack', `fieldbook.token.${token}`],
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
  });
  let acknowledged = 0;
  let waiting: { count: number; resolve: () => void; reject: (error: Error) => void } | null = null;
  provider.on('closed', ({ code, reason }) => waiting?.reject(new Error(`${name} was closed with ${code}: ${reason}`)));
  provider.messageHandlers[MESSAGE_ACK] = (_encoder, decoder) => {
    acknowledged = decoding.readVarUint(decoder);
    if (waiting !== null && acknowledged >= waiting.count) waiting.resolve();
  };
  const until = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting = { count, resolve, reject };
      if (acknowledged >= count) resolve();
    });
  // After the answer has left: the server asks before it answers, but y-websocket says so only now.
  const synced = new Promise((resolve) => provider.on('sync', () => setImmediate(resolve)));
  provider.connect();
  await Promise.all([synced, until(1)]);
  // The answer to the server's first question is content 1; each change is one more.
  let sent = 1;
  return {
    change: (change) => {
      doc.transact(() => change(doc));
      return until((sent += 1));
    },
    [Symbol.asyncDispose]: async () => {
      provider.destroy();
      doc.destroy();
    },
  };
}
