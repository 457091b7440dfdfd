import { Book, RunDocument } from '../documents/index.ts';
import type { DeviceId, DocumentName, RunId, WriterId } from '../ids.ts';
import type { IntakeContext, Spool, WriterIntake } from '../ingest/index.ts';
import type { JsonObject } from '../journal/index.ts';
import { JournalWriter } from '../journal/index.ts';
import { ObjectReader } from '../objects/index.ts';
import type { BlobDigest } from '../ports.ts';
import type { Card, Entry, ObjectRow } from '../record/index.ts';
import { decodeCard } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { FakeClock } from './clock.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { SeededRandom } from './random.ts';
import { memoryStorage } from './stores.ts';

export const T0 = 1_768_478_400_000;
export const WRITER = '01kf0000000000000000000001' as WriterId;
export const DEVICE = 'd000000000000000000000001' as DeviceId;
export const RUN = 'run-1' as RunId;
export const NAME = `run/${RUN}` as DocumentName;
export const META: JsonObject = { project: 'MNIST', run: RUN, writer: WRITER, created: T0 };
export const DIGEST = 'ab'.repeat(32) as BlobDigest;

/** A replica into which one writer's journal is taken, and what readers find in it. */
export class ObjectWorld {
  readonly clock = new FakeClock(T0);
  readonly blobs = new MemoryBlobStore();
  readonly told: string[] = [];
  readonly context: IntakeContext;
  readonly replica: Replica;

  constructor(replica: Replica, device = DEVICE) {
    this.replica = replica;
    const spool: Spool = {
      storeObjects: async (owner, files) => {
        for (const { digest } of files) this.told.push(`store ${owner.writer} ${digest}`);
      },
      objectsCommitted: (_, files) => void this.told.push(...files.map(({ spool: name }) => `committed ${name}`)),
      filesPending: (owner) => void this.told.push(`pending ${owner.project}/${owner.run}/${owner.writer}`),
    };
    this.context = {
      replica,
      blobs: this.blobs,
      device,
      clock: this.clock,
      isPurged: () => Promise.resolve(false),
      spool,
      listed: new Set(),
    };
  }

  static async open(device = DEVICE): Promise<ObjectWorld> {
    const storage = await memoryStorage();
    return new ObjectWorld(await openReplica({ storage, device, random: new SeededRandom(1) }), device);
  }

  async entries(): Promise<Entry[]> {
    return await this.replica.read(NAME, (doc) => [...new RunDocument(doc).entries()].map(([, entry]) => entry));
  }

  async of<K extends Entry['kind']>(kind: K): Promise<Extract<Entry, { kind: K }>[]> {
    return (await this.entries()).filter((entry) => entry.kind === kind) as Extract<Entry, { kind: K }>[];
  }

  /** The cards of the book that runs of `META` are in. */
  async cards(): Promise<Card[]> {
    return await this.replica.read('book/mnist/2026-01' as DocumentName, (doc) =>
      [...new Book(doc).cards()].map(([, bytes]) => decodeCard(bytes)!),
    );
  }

  async card(): Promise<Card> {
    const [card] = await this.cards();
    if (card === undefined) throw new Error('there is no card');
    return card;
  }

  /** Everything that a reader finds, as path → rows. */
  async rows(): Promise<Map<string, ObjectRow[]>> {
    const reader = new ObjectReader(this.blobs);
    const entries = await this.entries();
    const found = new Map<string, ObjectRow[]>();
    for (const { path, rows: count } of await reader.list(entries)) {
      const { rows, next } = await reader.read({ entries, path, limit: 10_000 });
      if (next !== null || rows.length !== count) throw new Error(`${path} has ${rows.length} rows of ${count}`);
      found.set(path, rows);
    }
    return found;
  }

  async texts(path: string): Promise<string[]> {
    return ((await this.rows()).get(path) ?? []).map(({ text }) => text);
  }
}

/** A journal that has begun. */
export function objectJournal(): JournalWriter {
  const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16).fill(7) });
  writer.json('META', META);
  return writer;
}

/** Takes in what `writer` has beyond the intake's place, in pieces of random size. */
export async function feedIntake(
  intake: WriterIntake,
  writer: JournalWriter,
  random = new SeededRandom(3),
): Promise<void> {
  const bytes = writer.bytes();
  if (intake.reader === null) await intake.openFile(0, bytes.subarray(0, 4096));
  for (let at = intake.place.offset; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + random.int(4096));
    intake.push(bytes.subarray(at, end));
    at = end;
  }
}

/** The file of an OBJECT. */
export const imageFile = (spool: string): JsonObject => ({
  spool,
  name: spool,
  size: 9,
  mime: 'image/png',
  sha256: DIGEST,
});
