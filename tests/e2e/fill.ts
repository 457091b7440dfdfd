import type { AttributePath, BookMonth, DeviceId, ProjectId, RunId, WriterId } from '@fieldbook/core';
import { base32, mintId, monthOf } from '@fieldbook/core';
import { Book, Workspace } from '@fieldbook/core/documents';
import type { AttributeValue, Card, MetricSummary } from '@fieldbook/core/record';
import { SeededRandom } from '@fieldbook/core/testing';
import * as decoding from 'lib0/decoding';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const DAY = 86_400_000;
/** Cards in one update: about 2 MB. */
const BATCH = 2_000;
const MESSAGE_ACK = 100;

export interface Filling {
  project: string;
  runs: number;
  /** When the newest run began, ms since the epoch. */
  newest: number;
  seed?: number;
  attributes?: number;
}

/**
 * Puts made-up runs into an agent or relay, as a machine of the workspace would: cards through the rooms. Resolves
 * when the server has all of them on disk. For tables of a size that nobody trains for a test.
 */
export async function fill(url: string, token: string, filling: Filling): Promise<void> {
  const { project, runs, newest, seed = 1, attributes = 20 } = filling;
  const random = new SeededRandom(seed);
  const device = `d${base32(random.bytes(15))}` as DeviceId;
  const cards = Array.from({ length: runs }, (_, index) =>
    cardOf(random, device, project as ProjectId, newest - Math.floor((index * 20 * DAY) / runs), index, attributes),
  );
  const months = new Map<BookMonth, Card[]>();
  for (const card of cards) months.set(monthOf(card.created), [...(months.get(monthOf(card.created)) ?? []), card]);
  await write(url, token, 'workspace', (doc) => {
    for (const month of months.keys()) new Workspace(doc).ensureBook(project as ProjectId, month, project, newest);
  });
  for (const [month, list] of months) {
    for (let at = 0; at < list.length; at += BATCH) {
      await write(url, token, `book/${project}/${month}`, (doc) =>
        list.slice(at, at + BATCH).forEach((card) => new Book(doc).putCard(card)),
      );
    }
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

/** One change of one document, acknowledged. */
async function write(url: string, token: string, name: string, change: (doc: Y.Doc) => void): Promise<void> {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`${url.replace(/^http/, 'ws')}/rooms`, name, doc, {
    connect: false,
    disableBc: true,
    protocols: ['fieldbook.ack', `fieldbook.token.${token}`],
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
  });
  const written = new Promise<void>((resolve, reject) => {
    provider.on('closed', ({ code, reason }) => reject(new Error(`${name} was closed with ${code}: ${reason}`)));
    // The answer to the server's first question is content 1; the change is content 2.
    provider.messageHandlers[MESSAGE_ACK] = (_encoder, decoder) => decoding.readVarUint(decoder) >= 2 && resolve();
  });
  // After the answer has left: the server asks before it answers, but y-websocket says so only now.
  provider.on('sync', () => setImmediate(() => doc.transact(() => change(doc))));
  provider.connect();
  try {
    await written;
  } finally {
    provider.destroy();
    doc.destroy();
  }
}
