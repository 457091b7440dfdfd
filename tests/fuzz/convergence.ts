import type { Doc } from 'yjs';
import type { Replica } from '@fieldbook/core/replica';
import type { AttributeValue, Card, Edit } from '@fieldbook/core/record';
import type { DeviceId, DocumentName, ProjectId, RunId, WriterId } from '@fieldbook/core';
import { bookName, HybridClock, isFieldbookError, mintRunId, mintWriterId, monthOf, parsePath } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import type { RunState } from '@fieldbook/core/fold';
import { Author, canonicalState, changeOf, ProjectFold } from '@fieldbook/core/fold';
import { Library } from '@fieldbook/core/library';
import { cardKey, decodeCard, encodeCard, encodeEdit, encodeRecord } from '@fieldbook/core/record';
import { PeerMemories } from '@fieldbook/core/replication';
import type { FakeClock, SeededRandom } from '@fieldbook/core/testing';
import { randomCard } from '@fieldbook/core/testing';
import { exchange } from './exchange.ts';

export const PROJECT = 'mnist' as ProjectId;

/** Paths that people edit: one that random cards have too, and one that nobody has said anything of. */
const PATHS = ['lr', 'verdict'].map(parsePath);
const VALUES: readonly AttributeValue[] = [1, Number.NaN, -0, 'text', true, null, { time: 5 }, ['a', 'b']];

/** One machine of the fuzz: something that can be opened, closed and opened again on what its disk holds. */
export interface Machine {
  device: DeviceId;
  clock: FakeClock;
  /** Opens the replica on what the disk holds now. */
  open(): Promise<Replica>;
  /** Loses everything since the last fsync, as a power cut does; the replica must not be used after. */
  powerCut(): Promise<void>;
  /** Keeps a copy of what is on the disk now, of a store that is open or closed. */
  backUp(): Promise<void>;
  /**
   * Puts the disk back to the last copy. What stands beside the store and tells a copy from the original stays as it is,
   * or, `unnoticed`, is put back with it. False when there is no copy. The replica must be closed.
   */
  restore(unnoticed: boolean): Promise<boolean>;
  /** Another machine with a copy of this one's disk, as when a virtual machine is cloned. */
  clone(): Promise<Machine>;
}

/** Records by document and key; what a replica must hold, kept the naive way. */
type Records = Map<DocumentName, { cards: Map<string, Uint8Array>; edits: Map<string, Uint8Array> }>;

interface Member {
  machine: Machine;
  replica: Replica;
  library: Library;
  author: Author;
  memories: PeerMemories;
  model: Records;
  /** Journals that this member takes in. */
  writers: Map<WriterId, { run: RunId; ordinal: number }>;
  /** What it had acknowledged when its disk was copied. */
  copied: Records | undefined;
}

interface Letter {
  document: DocumentName;
  update: Uint8Array;
  record: { kind: 'cards' | 'edits'; key: string; bytes: Uint8Array };
}

/** How often the interesting things happened, so that a fuzz that tests nothing is noticed. Nothing is counted twice. */
export const NOTHING = {
  edits: 0,
  cards: 0,
  /** Sets of heads with different values that some replica showed. */
  conflicts: 0,
  /** Of these, attributes. */
  attributeConflicts: 0,
  attributeEdits: 0,
  /** Edits that named several heads. */
  settled: 0,
  /** Tags that hold at the end though a remove that knew one of their adds came later than another. */
  addsOverRemoves: 0,
  purges: 0,
  /** Cards and edits of a run that somebody else had purged before. */
  afterPurge: 0,
  restarts: 0,
  powerCuts: 0,
  partitions: 0,
  syncs: 0,
  /** Updates that reached a replica which did not have them, after younger ones had been made. */
  lateLetters: 0,
  /** Updates and whole states that reached a replica which had them. */
  repeats: 0,
  /** Updates that came before what they build on. */
  refusedGaps: 0,
  /** Schedules that wrote into more than one month. */
  severalMonths: 0,
  /** Exchanges of whole sessions over a connection that held, and over one that was cut. */
  sessions: 0,
  cutSessions: 0,
  /** Stores that were put back to an earlier copy, and of these, those where nothing but a peer could tell. */
  restores: 0,
  unnoticed: 0,
  /** Restored stores that had acknowledged what their copy lacked. */
  forgotten: 0,
  clones: 0,
  /** Jumps of a clock by months, either way. */
  clockJumps: 0,
  /** Records of kinds and with fields that only newer versions know. */
  newer: 0,
};

export type Tally = { -readonly [What in keyof typeof NOTHING]: number };

/**
 * Plays one seeded schedule on 2 to 5 machines and checks the invariants after every step. Throws with the step's
 * number when one is broken; the seed is in the test's title.
 */
export async function playSchedule(
  random: SeededRandom,
  machines: readonly Machine[],
  steps: number,
  tally: Tally,
): Promise<void> {
  const members: Member[] = [];
  for (const machine of machines) members.push(await start(machine, random, new Map(), new Map()));
  const runs: RunId[] = [];
  const letters: Letter[] = [];
  let partition = members.map(() => 0);
  const months = new Set<string>();
  const conflicts = new Set<string>();
  const purged = new Set<RunId>();
  /** Everything that was ever written, by device; also what a restore has lost since. */
  const written = new Map<DeviceId, Pick<Letter, 'document' | 'record'>[]>();

  const record = (
    member: Member,
    document: DocumentName,
    kind: 'cards' | 'edits',
    key: string,
    bytes: Uint8Array,
  ): boolean => {
    const records = member.model.get(document) ?? { cards: new Map(), edits: new Map() };
    member.model.set(document, records);
    if (kind === 'cards' ? !newer(bytes, records.cards.get(key)) : records.edits.has(key)) return false;
    records[kind].set(key, bytes);
    return true;
  };

  const book = (member: Member): DocumentName => bookName(PROJECT, monthOf(member.machine.clock.now()));

  const commit = async (
    member: Member,
    kind: 'cards' | 'edits',
    key: string,
    bytes: Uint8Array,
    change: (book: Book, doc: Doc) => void,
  ): Promise<void> => {
    const document = book(member);
    months.add(document);
    const done = await member.replica.transact(document, (doc) => change(new Book(doc), doc));
    if (done === undefined) throw new Error(`a new record under ${kind}/${key} changed nothing`);
    record(member, document, kind, key, bytes);
    const letter = { document, update: done.update, record: { kind, key, bytes } };
    written.set(member.machine.device, [...(written.get(member.machine.device) ?? []), letter]);
    if (random.chance(0.5)) letters.push(letter);
  };

  const writeCard = async (member: Member): Promise<void> => {
    const writers = [...member.writers.keys()];
    let writer: WriterId;
    if (writers.length === 0 || random.chance(0.4)) {
      writer = mintWriterId(member.machine.clock, random);
      // Few runs, or nobody ever changes what somebody else does.
      const known = runs.length > 0 && random.chance(runs.length < 3 ? 0.4 : 0.9);
      const run = known ? random.pick(runs) : mintRunId(member.machine.clock, random);
      if (!runs.includes(run)) runs.push(run);
      member.writers.set(writer, { run, ordinal: 0 });
    } else {
      writer = random.pick(writers);
    }
    const state = member.writers.get(writer)!;
    state.ordinal += 1 + random.int(5);
    const card: Card = randomCard(random, {
      run: state.run,
      writer,
      device: member.machine.device,
      project: PROJECT,
      ordinal: state.ordinal,
    });
    tally.cards += 1;
    if (purged.has(state.run)) tally.afterPurge += 1;
    await commit(member, 'cards', cardKey(card), encodeCard(card), (at) => at.putCard(card));
  };

  const writeEdit = async (member: Member): Promise<void> => {
    const project = fold(member.model);
    // The youngest few: people who never touch the same run never disagree.
    const known = [...project.ids()].sort().slice(-3);
    if (known.length === 0) return;
    const state = project.run(random.pick(known))!;
    const [conflict] = state.conflicts;
    const edit = member.author.edit(
      state,
      random.pick([
        ...(conflict === undefined ? [] : [changeOf(conflict.field, random.pick(conflict.sides))]),
        { field: 'name', op: 'set', value: random.pick(['a', 'b', 'c', null]) },
        { field: 'name', op: 'set', value: random.pick(['d', 'e', 'f', 'g']) },
        { field: 'notes', op: 'set', value: random.pick(['looks good', 'diverged', '']) },
        { field: 'star', op: 'set', value: random.chance(0.5) },
        { field: 'trashed', op: 'set', value: random.chance(0.5) },
        { field: 'tags', op: 'add', value: random.pick(['x', 'y']) },
        { field: 'tags', op: 'remove', value: random.pick(['x', 'y']) },
        { field: 'tags', op: random.pick(['add', 'remove']), value: 'x' },
        random.chance(0.7)
          ? { field: 'attribute', op: 'set', path: random.pick(PATHS), value: random.pick(VALUES) }
          : { field: 'attribute', op: random.pick(['remove', 'clear']), path: random.pick(PATHS), value: null },
        ...(random.chance(0.05) ? ([{ field: 'purge', op: 'set', value: true }] as const) : []),
      ] as const),
    );
    if (edit === null) return;
    if (random.chance(0.1)) return writeNewer(member, edit);
    tally.edits += 1;
    if (edit.field !== 'tags' && edit.base.length > 1) tally.settled += 1;
    if (edit.field === 'attribute') tally.attributeEdits += 1;
    if (purged.has(edit.run)) tally.afterPurge += 1;
    if (edit.field === 'purge') {
      tally.purges += 1;
      purged.add(edit.run);
    }
    await commit(member, 'edits', edit.id, encodeEdit(edit), (at) => at.addEdit(edit));
  };

  /** What a newer version would write in place of `edit`: a field, an operation or a whole kind of record that nobody here knows. */
  const writeNewer = async (member: Member, edit: Edit): Promise<void> => {
    const extra = { zz: { since: 9, list: [1, 'two', null] } };
    const bytes = random.pick([
      () => encodeEdit({ ...edit, extra }),
      () => encodeRecord({ k: 'hologram', id: edit.id, of: edit.run, ...extra }),
      // A version byte of its own, and behind it whatever that version likes.
      () => Uint8Array.of(2, ...random.bytes(1 + random.int(20))),
    ] as const)();
    tally.newer += 1;
    await commit(member, 'edits', edit.id, bytes, (_book, doc) => void doc.getMap('edits').set(edit.id, bytes));
  };

  const sync = async (from: Member, to: Member): Promise<void> => {
    for (const document of from.model.keys()) {
      const { stateVector } = await to.replica.stateVector(document);
      const { update } = await from.replica.encodeState(document, random.chance(0.2) ? undefined : stateVector);
      await to.replica.apply(document, update, from);
      if (random.chance(0.2)) {
        tally.repeats += 1;
        await to.replica.apply(document, update, from);
      }
    }
    for (const [document, records] of from.model) {
      for (const [key, bytes] of records.cards) record(to, document, 'cards', key, bytes);
      for (const [key, bytes] of records.edits) record(to, document, 'edits', key, bytes);
    }
    tally.syncs += 1;
    observeAll(to);
  };

  const deliver = async (to: Member): Promise<void> => {
    if (letters.length === 0) return;
    const at = random.int(letters.length);
    const letter = letters[at]!;
    try {
      await to.replica.apply(letter.document, letter.update, letter);
    } catch (error) {
      // A letter that overtook the one before it; the state must be as if it had never come.
      if (!isFieldbookError(error, 'missing_dependency')) throw error;
      tally.refusedGaps += 1;
      return;
    }
    const { kind, key, bytes } = letter.record;
    if (!record(to, letter.document, kind, key, bytes)) tally.repeats += 1;
    else if (at < letters.length - 1) tally.lateLetters += 1;
    observeAll(to);
  };

  /** Two replicas talk as programs do, perhaps until the connection is cut. */
  const talk = async (one: Member, two: Member, mayBeCut: boolean): Promise<void> => {
    const cutAfter = mayBeCut && random.chance(0.5) ? random.int(40) : Number.POSITIVE_INFINITY;
    const whole = await exchange(one, two, random, cutAfter);
    const both = [one, two].map(({ model }) => copyOf(model));
    for (const member of [one, two]) {
      const held = await recordsOf(member.replica);
      // What came over is what the other had. What was here is still here.
      for (const [document, records] of held) {
        for (const kind of ['cards', 'edits'] as const)
          for (const [key, bytes] of records[kind]) {
            const known = both.map((model) => model.get(document)?.[kind].get(key));
            if (!known.some((each) => each !== undefined && Buffer.from(each).equals(bytes)))
              throw new Error(`${document} has a ${kind}/${key} that nobody wrote`);
            record(member, document, kind, key, bytes);
          }
      }
      if (whole)
        for (const model of both)
          for (const [document, records] of model)
            for (const kind of ['cards', 'edits'] as const)
              for (const [key, bytes] of records[kind]) record(member, document, kind, key, bytes);
      observeAll(member);
    }
    if (whole) tally.sessions += 1;
    else tally.cutSessions += 1;
  };

  const backUp = async (member: Member): Promise<void> => {
    await member.machine.backUp();
    member.copied = copyOf(member.model);
  };

  const restart = async (index: number, cut: boolean): Promise<void> => {
    const member = members[index]!;
    member.library.close();
    if (cut) await member.machine.powerCut();
    else await member.replica.close();
    // A copy of a closed store is the one that nothing but a peer can tell from the original.
    if (!cut && random.chance(0.5)) await backUp(member);
    const { copied } = member;
    members[index] = { ...(await start(member.machine, random, member.model, member.writers)), copied };
    if (cut) tally.powerCuts += 1;
    else tally.restarts += 1;
  };

  /** The disk of a member is put back to an earlier state; what it acknowledged since is nobody's duty but its peers'. */
  const restore = async (index: number): Promise<void> => {
    const member = members[index]!;
    const { copied } = member;
    if (copied === undefined) return;
    const other = members[(index + 1 + random.int(members.length - 1)) % members.length]!;
    const wanted = random.chance(0.5);
    if (wanted) await talk(member, other, false);
    // Where nothing but a peer can tell, the one that is met first has to know of everything that was written since the copy: also of
    // what an earlier restore has lost here, and what may be with others or on its way to them.
    const unnoticed =
      wanted &&
      (written.get(member.machine.device) ?? []).every(({ document, record: { kind, key, bytes } }) =>
        [copied, other.model].some((model) => {
          const known = model.get(document)?.[kind].get(key);
          return known !== undefined && (kind === 'edits' || !newer(bytes, known));
        }),
      );
    member.library.close();
    await member.replica.close();
    if (!(await member.machine.restore(unnoticed))) throw new Error('there is no copy');
    if (size(copied) < size(member.model)) tally.forgotten += 1;
    // Journals that go on are taken in by another machine: a restored one does not know how far it had said their cards.
    members[index] = { ...(await start(member.machine, random, copyOf(copied), new Map())), copied };
    tally.restores += 1;
    if (!unnoticed) return;
    tally.unnoticed += 1;
    await talk(members[index], other, false);
  };

  const clone = async (index: number): Promise<void> => {
    if (members.length > 5) return;
    const member = members[index]!;
    await member.replica.flush();
    members.push(await start(await member.machine.clone(), random, copyOf(member.model), new Map()));
    partition.push(partition[index]!);
    tally.clones += 1;
  };

  for (let step = 0; step < steps; step++) {
    const index = random.int(members.length);
    const member = members[index]!;
    member.machine.clock.advance(random.pick([0, 1, 1, 1000, -500, 86_400_000]));
    if (random.chance(0.02)) {
      member.machine.clock.advance((random.int(400) - 200) * 86_400_000);
      tally.clockJumps += 1;
    }
    const roll = random.float();
    try {
      if (roll < 0.18) await writeCard(member);
      else if (roll < 0.55) await writeEdit(member);
      else if (roll < 0.75) {
        const other = random.int(members.length);
        if (other !== index && partition[other] === partition[index])
          if (random.chance(0.3)) await talk(member, members[other]!, true);
          else await sync(member, members[other]!);
      } else if (roll < 0.87) await deliver(member);
      else if (roll < 0.93) {
        partition = members.map(() => random.int(2));
        if (new Set(partition).size > 1) tally.partitions += 1;
      } else if (roll < 0.965) await restart(index, random.chance(0.5));
      else if (roll < 0.973) await backUp(member);
      else if (roll < 0.994) await restore(index);
      else await clone(index);
      await check(members[index]!, conflicts);
    } catch (error) {
      throw new Error(`step ${step}: ${String(error)}`, { cause: error });
    }
  }
  // Heal: two rounds, once letter by letter between all pairs, once over sessions with one in the middle.
  for (const from of random.shuffle(members))
    for (const to of random.shuffle(members)) if (from !== to) await sync(from, to);
  const [middle, ...others] = random.shuffle(members);
  for (const other of [...others, ...others]) await talk(other, middle!, false);
  const healed = fold(members[0]!.model);
  const expected = healed.canonical();
  for (const member of members) {
    await check(member, conflicts);
    const actual = fold(await recordsOf(member.replica)).canonical();
    if (actual !== expected) throw new Error('after healing two replicas differ');
    member.library.close();
    await member.replica.close();
  }
  tally.conflicts += conflicts.size;
  for (const conflict of conflicts) if (conflict.includes(' attribute:')) tally.attributeConflicts += 1;
  if (months.size > 1) tally.severalMonths += 1;
  for (const id of healed.ids()) tally.addsOverRemoves += addsOverRemoves(healed.run(id)!, healed.history(id));
}

/** Tags in force by an add that a younger remove of the same tag did not know. */
function addsOverRemoves(state: RunState, history: readonly Edit[]): number {
  const removes = history.filter(({ field, op }) => field === 'tags' && op === 'remove');
  const adds = new Map(history.filter(({ op }) => op === 'add').map((edit) => [edit.id as string, edit]));
  return [...state.tagAdds].filter(([tag, live]) =>
    live.some((id) => removes.some(({ value, at }) => value === tag && at > (adds.get(id)?.at ?? at))),
  ).length;
}

async function start(
  machine: Machine,
  random: SeededRandom,
  model: Records,
  writers: Member['writers'],
): Promise<Member> {
  const replica = await machine.open();
  const author = new Author({
    device: machine.device,
    by: machine.device.slice(0, 4),
    hybrid: new HybridClock(machine.clock),
    clock: machine.clock,
    random,
  });
  const library = await Library.open(replica);
  const member: Member = {
    machine,
    replica,
    library,
    author,
    memories: new PeerMemories(replica),
    model,
    writers,
    copied: undefined,
  };
  observeAll(member);
  return member;
}

/** A device's clock follows everything the device has seen. */
function observeAll(member: Member): void {
  const project = fold(member.model);
  for (const id of project.ids()) for (const edit of project.history(id)) member.author.hybrid.observe(edit.at);
}

/** Invariants of one replica: it holds exactly the records it acknowledged, and shows exactly their fold. */
async function check(member: Member, conflicts: Set<string>): Promise<void> {
  const held = await recordsOf(member.replica);
  for (const [document, records] of member.model) {
    for (const kind of ['cards', 'edits'] as const) {
      const here = held.get(document)?.[kind] ?? new Map<string, Uint8Array>();
      if (here.size !== records[kind].size) {
        throw new Error(`${document} has ${here.size} ${kind} and acknowledged ${records[kind].size}`);
      }
      for (const [key, bytes] of records[kind]) {
        const actual = here.get(key);
        if (actual === undefined) throw new Error(`${document} lost ${kind}/${key}`);
        if (!Buffer.from(actual).equals(bytes)) throw new Error(`${document} changed ${kind}/${key}`);
      }
    }
  }
  const expected = fold(member.model);
  if (fold(held).canonical() !== expected.canonical())
    throw new Error('the fold of what is stored differs from the model');
  const digest = await member.library.digest(PROJECT);
  if (digest !== undefined && digest !== expected.digest())
    throw new Error('the library shows something else than the fold');
  for (const id of expected.ids()) {
    const state = expected.run(id)!;
    // The library keeps states and drops them when a record comes; a stale one is what people would see.
    const shown = await member.library.run(PROJECT, id);
    if (shown === undefined || canonicalState(shown) !== canonicalState(state)) {
      throw new Error(`the library shows an older state of ${id}`);
    }
    // Said here by itself, because the fold that the replica is held against is the same.
    if (
      state.purged &&
      (state.writers.length > 0 || state.attributes.size > 0 || state.tags.length > 0 || state.conflicts.length > 0)
    ) {
      throw new Error(`${id} is purged and shown`);
    }
    for (const { field, sides } of state.conflicts) {
      conflicts.add([id, field, ...sides.map(({ edit }) => edit).sort()].join(' '));
    }
    if (new Set(state.tags).size !== state.tags.length) throw new Error(`${id} shows a tag twice`);
  }
}

function copyOf(records: Records): Records {
  return new Map(
    [...records].map(([name, { cards, edits }]) => [name, { cards: new Map(cards), edits: new Map(edits) }]),
  );
}

function size(records: Records): number {
  return [...records.values()].reduce((sum, { cards, edits }) => sum + cards.size + edits.size, 0);
}

async function recordsOf(replica: Replica): Promise<Records> {
  const records: Records = new Map();
  for await (const { name } of replica.list('book/')) {
    records.set(
      name,
      await replica.read(name, (doc) => {
        const at = new Book(doc);
        return { cards: new Map(at.cards()), edits: new Map(at.edits()) };
      }),
    );
  }
  return records;
}

function fold(records: Records): ProjectFold {
  const project = new ProjectFold(PROJECT);
  for (const [document, { cards, edits }] of records) {
    for (const [key, bytes] of cards) project.setCard(document, key, bytes);
    for (const [key, bytes] of edits) project.addEdit(key, bytes);
  }
  return project;
}

/** The one register: among a card's versions the highest ordinal is the youngest. */
function newer(bytes: Uint8Array, before: Uint8Array | undefined): boolean {
  return before === undefined || decodeCard(bytes)!.ordinal > decodeCard(before)!.ordinal;
}
