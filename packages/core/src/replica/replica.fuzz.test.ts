import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName, RunId } from '../ids.ts';
import type { RestoreGuard } from '../store/index.ts';
import {
  afterPowerCut,
  codeOf,
  editsOf,
  makeCard,
  makeTestEdit,
  memoryStorage,
  openTestReplica,
  SeededRandom,
} from '../testing/index.ts';
import type { FaultStorage } from '../testing/index.ts';
import type { Replica } from './replica.ts';

const NAMES = ['book/a/2026-11', 'book/b/2026-11'] as DocumentName[];

/** How often the interesting things happened. */
interface Tally {
  acknowledged: number;
  failed: number;
  surfaced: number;
  powerCuts: number;
  restores: number;
  compactions: number;
  leaked: number;
}

/** Everything that ever left the machine: what a clock of a client was said to hold must never change. */
class Outside {
  readonly docs = new Map(NAMES.map((name) => [name, new Y.Doc()]));
  readonly #said = new Map<string, string>();

  hears(name: DocumentName, update: Uint8Array): void {
    for (const struct of Y.decodeUpdate(update).structs) {
      if (!(struct instanceof Y.Item) || !(struct.content instanceof Y.ContentBinary)) continue;
      const clock = `${name} ${struct.id.client} ${struct.id.clock}`;
      const content = struct.content.content.join();
      if ((this.#said.get(clock) ?? content) !== content) throw new Error(`${clock} left with two contents`);
      this.#said.set(clock, content);
    }
    Y.applyUpdate(this.docs.get(name)!, update);
  }
}

/** One machine, its disk, and what it was told and has acknowledged. */
class Machine {
  readonly outside = new Outside();
  readonly #random: SeededRandom;
  readonly #tally: Tally;
  /** Ids of acknowledged pairs of edits. */
  acknowledged = new Map<string, DocumentName>();
  /** Pairs whose outcome is unknown: there whole, or not at all. */
  readonly attempted = new Map<string, [string, string]>();
  storage!: FaultStorage;
  replica!: Replica;
  #counter = 0;
  #backup: { storage: FaultStorage; acknowledged: Map<string, DocumentName> } | undefined;
  #underWay: Promise<unknown>[] = [];

  constructor(random: SeededRandom, tally: Tally) {
    this.#random = random;
    this.#tally = tally;
  }

  async open(storage: FaultStorage): Promise<void> {
    this.storage = storage;
    const guard: RestoreGuard = {
      fingerprint: 'here',
      readCounter: () => Promise.resolve(this.#counter),
      writeCounter: (count) => Promise.resolve(void (this.#counter = count)),
    };
    const replica = await openTestReplica(storage, { random: this.#random, guard, cacheBytes: 3_000 });
    this.replica = replica;
    replica.onCommit(({ name, update, origin }) => {
      // What a machine without power says to itself, nobody hears.
      if (storage !== this.storage) return;
      if (origin === 'surfaced') this.#tally.surfaced += 1;
      this.outside.hears(name, update);
    });
  }

  async step(): Promise<void> {
    const random = this.#random;
    const name = random.pick(NAMES);
    const { replica, storage } = this;
    const choice = random.int(100);
    if (choice < 35) this.#do(this.#addPair(name));
    else if (choice < 45) this.#do(codeOf(replica.transact(name, (doc) => new Book(doc).putCard(this.#card()))));
    else if (choice < 58) this.#do(this.#hear(name));
    else if (choice < 66) this.#do(this.#say(name));
    else if (choice < 74) {
      this.#do(codeOf(replica.compact(name)));
      this.#tally.compactions += 1;
    } else if (choice < 80) {
      const error = new FieldbookError(random.pick(['disk_full', 'storage_failed']), 'the disk failed');
      storage.failNextBatches(1 + random.int(3), error, random.chance(0.4), 1 + random.int(3));
    } else if (choice < 84) storage.hold();
    else if (choice < 92) storage.release();
    else if (choice < 95) await this.#powerCut();
    else if (choice < 96) await this.#restore();
    else await this.#settle();
    for (let turn = random.int(30); turn > 0; turn--) await Promise.resolve();
  }

  async check(): Promise<void> {
    await this.#settle();
    const here = new Map<string, DocumentName>();
    for (const name of NAMES) for (const id of await editsOf(this.replica, name)) here.set(id, name);
    for (const [first, name] of this.acknowledged) {
      const [, second] = this.attempted.get(first)!;
      if (here.get(first) !== name || here.get(second) !== name) throw new Error(`acknowledged ${first} is not there`);
    }
    for (const [first, second] of this.attempted.values()) {
      if (here.has(first) !== here.has(second)) throw new Error(`${first} is there in part`);
    }
    for await (const info of this.replica.list()) if (info.quarantined) throw new Error(`${info.name} is quarantined`);
    for (const name of NAMES) await this.#say(name);
  }

  /** Everything that left comes back: both must then hold the same. */
  async converge(): Promise<void> {
    this.storage.heal();
    await this.check();
    // Any write makes sure of what failed before.
    await this.replica.putPrivate([['end', new Uint8Array(1)]]);
    for (const [name, doc] of this.outside.docs) {
      await this.replica.apply(name, Y.encodeStateAsUpdate(doc), 'outside');
      await this.#say(name);
      if (!same(recordsOf(doc), await this.replica.read(name, recordsOf))) throw new Error(`${name} differs outside`);
    }
    const reopened = await openTestReplica(await afterPowerCut(this.storage));
    for (const [name, doc] of this.outside.docs) {
      if (!same(recordsOf(doc), await reopened.read(name, recordsOf))) throw new Error(`${name} differs on disk`);
    }
  }

  #do(work: Promise<unknown>): void {
    this.#underWay.push(work);
  }

  #card(): ReturnType<typeof makeCard> {
    return makeCard({ run: `run-${this.#random.int(3)}` as RunId, ordinal: this.#random.int(1000) });
  }

  async #addPair(name: DocumentName): Promise<void> {
    const [first, second] = [makeTestEdit(), makeTestEdit()];
    this.attempted.set(first.id, [first.id, second.id]);
    const { storage } = this;
    const code = await codeOf(
      this.replica.transact(name, (doc) => {
        new Book(doc).addEdit(first);
        new Book(doc).addEdit(second);
      }),
    );
    if (storage !== this.storage) return;
    if (code === undefined) this.acknowledged.set(first.id, name);
    this.#tally[code === undefined ? 'acknowledged' : 'failed'] += 1;
  }

  async #hear(name: DocumentName): Promise<void> {
    const { replica } = this;
    const doc = this.outside.docs.get(name)!;
    new Book(doc).putCard(this.#card());
    const vector = this.#random.chance(0.5) ? undefined : await replica.stateVector(name).catch(() => undefined);
    const update = Y.encodeStateAsUpdate(doc, vector?.stateVector);
    const code = String(await codeOf(replica.apply(name, update, 'outside')));
    if (!/^(disk_full|storage_failed|undefined)$/.test(code)) throw new Error(`refused with ${code}`);
  }

  async #say(name: DocumentName): Promise<void> {
    const { storage } = this;
    const { update } = await this.replica.encodeState(name);
    if (storage !== this.storage) return;
    this.outside.hears(name, update);
    this.#tally.leaked += 1;
  }

  async #settle(): Promise<void> {
    this.storage.release();
    await Promise.all(this.#underWay.splice(0));
  }

  async #powerCut(): Promise<void> {
    this.#tally.powerCuts += 1;
    const next = await afterPowerCut(this.storage);
    this.#abandon();
    await this.open(next);
    if (this.#random.chance(0.3)) {
      this.#backup = { storage: await afterPowerCut(next), acknowledged: new Map(this.acknowledged) };
    }
  }

  /** An older state of the disk is put back. What was acknowledged since is elsewhere, if anywhere. */
  async #restore(): Promise<void> {
    if (this.#backup === undefined) return;
    this.#tally.restores += 1;
    this.#abandon();
    this.acknowledged = new Map(this.#backup.acknowledged);
    await this.open(await afterPowerCut(this.#backup.storage));
  }

  #abandon(): void {
    this.#underWay = [];
    this.storage = undefined!;
  }
}

function recordsOf(doc: Y.Doc): unknown {
  return ['cards', 'edits'].map((map) =>
    [...doc.getMap<Uint8Array>(map).entries()]
      .map(([key, value]) => [key, value.join()] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

async function play(seed: number, steps: number, tally: Tally): Promise<void> {
  const random = new SeededRandom(seed);
  const machine = new Machine(random, tally);
  await machine.open(await memoryStorage());
  for (let step = 0; step < steps; step++) {
    try {
      await machine.step();
      if (step % 20 === 19) await machine.check();
    } catch (error) {
      throw new Error(`seed ${seed}, step ${step}: ${String(error)}`, { cause: error });
    }
  }
  await machine.converge().catch((error: unknown) => {
    throw new Error(`seed ${seed}, at the end: ${String(error)}`, { cause: error });
  });
}

const long = process.env['FIELDBOOK_LONG'] === '1';

describe('a replica on a disk that fails', () => {
  it('[STO-13] [REP-10] loses nothing acknowledged, stores nothing in part and says nothing twice', async () => {
    const tally = { acknowledged: 0, failed: 0, surfaced: 0, powerCuts: 0, restores: 0, compactions: 0, leaked: 0 };
    for (let seed = 1; seed <= (long ? 3_000 : 60); seed++) await play(seed, 200, tally);
    // Not vacuous.
    for (const [what, count] of Object.entries(tally)) expect(count, what).toBeGreaterThan(20);
  });
});
