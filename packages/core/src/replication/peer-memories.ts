import type { DeviceId } from '../ids.ts';
import type { Replica } from '../replica/replica.ts';
import type { Meeting } from './peer-memory.ts';
import { memoryKey, ownerOf, passedIn, PeerMemory, readMeeting, REFUSALS_MAX } from './peer-memory.ts';

const DAY_MS = 24 * 60 * 60_000;
/** So long what is known of a replica is kept that does not come any more; of one that proved no device, shorter. */
const KEPT_MS = 400 * DAY_MS;
const UNPROVEN_KEPT_MS = 30 * DAY_MS;
/** Replicas that one token may make us remember. Keys and replica ids cost whoever has the token nothing. */
const PER_TOKEN_MAX = 2_000;
/** Names that are removed with a memory, in one batch. */
const FORGET_BATCH = 1_000;

/**
 * The memories of all peers of one replica: one object each while it is used, so that two connections of a peer agree. A replica id
 * is a word that anybody can say; so what is remembered is of an id *and* the device that proved to be there, and whoever proves
 * another device has another memory, which begins with nothing; whoever proves none shares one with those of the same token only.
 *
 * Forgetting one costs its peer that everything is listed once more. It happens to those that are not connected: after a year and a
 * month without them (a month when they proved no device), and to those that were away longest when one token has brought too many.
 */
export class PeerMemories {
  readonly #replica: Replica;
  readonly #refusals: number;
  readonly #perToken: number;
  readonly #open = new Map<string, Promise<PeerMemory>>();
  /** All that are written down with when they were met; those of older versions are not. */
  #known: Promise<Map<string, Meeting>> | undefined;
  #turn: Promise<void> = Promise.resolve();

  /** `refusals`: how many refused documents each remembers by name. `perToken`: how many are remembered of one token. */
  constructor(replica: Replica, refusals = REFUSALS_MAX, perToken = PER_TOKEN_MAX) {
    this.#replica = replica;
    this.#refusals = refusals;
    this.#perToken = perToken;
  }

  /**
   * What is known of a replica whose device proved itself (null: did not), kept as one object until `leave`. `met`: it is there now, ms
   * since the epoch, let in by the token of that id; null when we dialled it.
   */
  async of(id: string, device: DeviceId | null = null, met?: { from: string | null; at: number }): Promise<PeerMemory> {
    const memory = await this.#use(id, ownerOf(device, met?.from ?? null));
    if (met !== undefined) await this.#meet(memory, met);
    return memory;
  }

  async #use(id: string, owner: string): Promise<PeerMemory> {
    const key = memoryKey(id, owner);
    let opening = this.#open.get(key);
    if (opening === undefined) {
      const onSaved = (saved: PeerMemory): void => void this.#saved(saved).catch(() => undefined);
      const fresh = new PeerMemory(id, this.#replica, { owner, refusals: this.#refusals, onSaved });
      // One that is just being forgotten is forgotten first.
      opening = this.#turn.then(() => fresh.load((work) => this.#inTurn(work))).then(() => fresh);
      opening.catch(() => this.#open.delete(key));
      this.#open.set(key, opening);
    }
    const memory = await opening;
    memory.users += 1;
    return memory;
  }

  /** One more user of what `of` gave. */
  keep(memory: PeerMemory): void {
    memory.users += 1;
  }

  /** The opposite of `of`, `keep` and `recall`. */
  leave(memory: PeerMemory): void {
    memory.users -= 1;
    void memory.whenIdle().then(() => this.#closeUnused(memory));
  }

  async #closeUnused(memory: PeerMemory): Promise<void> {
    const opening = this.#open.get(memory.key);
    if (
      memory.users === 0 &&
      (await opening) === memory &&
      memory.users === 0 &&
      this.#open.get(memory.key) === opening
    )
      this.#open.delete(memory.key);
  }

  /** What is known under the `key` of a memory, or under the replica id that an older version wrote down in its place. */
  async recall(key: string): Promise<PeerMemory> {
    const [owner, id] = splitKey(key);
    if (id !== undefined) return this.#use(id, owner);
    const unbound = new PeerMemory(key, this.#replica, { refusals: this.#refusals, unbound: true });
    await unbound.load((work) => this.#inTurn(work));
    return unbound;
  }

  /** What is known of a replica by its id alone: of the device that proved to be there first. Undefined when nothing is. */
  async find(id: string): Promise<PeerMemory | undefined> {
    let first: [key: string, since: number] | undefined;
    for (const [key, { since }] of await this.#all()) {
      const [owner, other] = splitKey(key);
      if (other !== id || owner.startsWith('-')) continue;
      if (first === undefined || since < first[1]) first = [key, since];
    }
    if (first !== undefined) return this.recall(first[0]);
    const unproven = memoryKey(id, ownerOf(null, null));
    if ((await this.#replica.getPrivate(`peers/${unproven}`)) !== undefined) return this.recall(unproven);
    return (await this.#replica.getPrivate(`peer/${id}`)) === undefined ? undefined : this.recall(id);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #all(): Promise<Map<string, Meeting>> {
    this.#known ??= this.#readAll().catch((error: unknown) => {
      this.#known = undefined;
      throw error;
    });
    return this.#known;
  }

  async #readAll(): Promise<Map<string, Meeting>> {
    const known = new Map<string, Meeting>();
    for await (const [key, value] of this.#replica.listPrivate('met/'))
      known.set(key.slice('met/'.length), readMeeting(value));
    return known;
  }

  async #meet(memory: PeerMemory, { from, at }: { from: string | null; at: number }): Promise<void> {
    const known = await this.#all();
    const before = memory.met ?? known.get(memory.key);
    // Whom we ever dialled we want to remember, though it dials us as well.
    const isSame = before !== undefined && (before.from === null || before.from === from);
    if (isSame && Math.abs(at - before.last) < DAY_MS) return;
    const since = before?.since ?? at;
    memory.meet({ since, last: at, from: before?.from === null ? null : from }, known.has(memory.key));
  }

  /** A memory was written, with when it was met: the first time others may have to go for it. */
  async #saved({ key, met }: PeerMemory): Promise<void> {
    if (met === undefined) return;
    const known = await this.#all();
    const isNew = !known.has(key);
    known.set(key, met);
    if (isNew) await this.#inTurn(() => this.#forgetSome(known, met));
  }

  async #forgetSome(known: Map<string, Meeting>, { from, last: now }: Meeting): Promise<void> {
    const kept = (key: string): number => (key.startsWith('-') ? UNPROVEN_KEPT_MS : KEPT_MS);
    const idle = [...known].filter(([key, met]) => met.from !== null && !this.#open.has(key));
    const old = idle.filter(([key, { last }]) => now - last > kept(key)).map(([key]) => key);
    for (const key of old) await this.#forget(known, key);
    if (from === null) return;
    const sameToken = [...known.values()].filter((met) => met.from === from).length;
    const first = idle
      .filter(([key, met]) => met.from === from && known.has(key))
      .sort(([a, { last: x }], [b, { last: y }]) => Number(b.startsWith('-')) - Number(a.startsWith('-')) || x - y);
    for (const [key] of first.slice(0, Math.max(0, sameToken - this.#perToken))) await this.#forget(known, key);
  }

  async #forget(known: Map<string, Meeting>, key: string): Promise<void> {
    // Met again meanwhile.
    if (this.#open.has(key)) return;
    const record = await this.#replica.getPrivate(`peers/${key}`);
    let names: [string, null][] = [];
    // The names go first: without its record nobody would look for them.
    for await (const [name] of this.#replica.listPrivate(passedIn(key, record))) {
      names.push([name, null]);
      if (names.length < FORGET_BATCH) continue;
      await this.#replica.putPrivate(names);
      names = [];
    }
    await this.#replica.putPrivate([...names, [`peers/${key}`, null], [`met/${key}`, null]]);
    known.delete(key);
  }
}

function splitKey(key: string): [owner: string, id: string | undefined] {
  const at = key.indexOf('/');
  return at < 0 ? ['', undefined] : [key.slice(0, at), decodeURIComponent(key.slice(at + 1))];
}
