import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { noteText } from '../documents/index.ts';
import { Author, foldRun } from '../fold/index.ts';
import type { RunState } from '../fold/index.ts';
import { HybridClock } from '../hlc.ts';
import type { ProjectId, RunId } from '../ids.ts';
import { noteDocumentName } from '../ids.ts';
import type { Card, Edit } from '../record/index.ts';
import { decodeEdit, encodeEdit } from '../record/index.ts';
import { inspectUpdate } from '../replica/admission.ts';
import { FakeClock, makeCard, SeededRandom, testDevice } from '../testing/index.ts';
import { adoptNotes, markOf } from './index.ts';

const run = 'run-1' as RunId;
const project = 'mnist' as ProjectId;
const name = noteDocumentName(run);

interface Tally {
  typed: number;
  published: number;
  elsewhere: number;
  conflicts: number;
  settled: number;
  waited: number;
  adoptedTwice: number;
  /** Words that nobody removed. */
  followed: number;
}

/** A replica with an editor: a text, the edits that arrived, and what the page adds of its own accord. */
class Member {
  readonly doc = new Y.Doc();
  readonly edits = new Map<string, Edit>();
  readonly author: Author;
  readonly #cards: readonly Card[];
  readonly #random: SeededRandom;
  /** An old program, or a command line: knows edits only. */
  readonly writes: boolean;
  #typed = false;

  constructor(random: SeededRandom, cards: readonly Card[], clock: FakeClock, writes: boolean) {
    this.#random = random;
    this.#cards = cards;
    this.writes = writes;
    this.doc.clientID = random.uint32();
    const device = testDevice(random);
    this.author = new Author({ device, by: device.slice(0, 4), hybrid: new HybridClock(clock), clock, random });
  }

  get state(): RunState {
    return foldRun(run, project, this.#cards, [...this.edits.values()]);
  }

  get text(): string {
    return noteText(this.doc).toJSON();
  }

  adopt(): ReturnType<typeof adoptNotes> {
    const scripted = foldRun(run, project, this.#cards, []).notes;
    const edits = this.#random.shuffle([...this.edits.values()]);
    const adoption = adoptNotes(this.doc, { scripted, edits });
    // What it made must be what others take in.
    for (const update of adoption.updates) inspectUpdate(name, update, () => Infinity);
    return adoption;
  }

  /** Types a word between others, or over one. */
  type(word: string, removes: (text: string) => void): void {
    this.adopt();
    const text = noteText(this.doc);
    const parts = [...this.text];
    const place = this.#random.int(parts.length + 1);
    const at = parts.slice(0, place).join('').length;
    const over = this.#random.chance(0.2) ? parts.slice(place, place + 3).join('') : '';
    removes(over);
    text.delete(at, over.length);
    text.insert(at, word);
    this.#typed = true;
  }

  publish(): boolean {
    if (!this.#typed) return false;
    const { waiting, stranded } = this.adopt();
    if (waiting.length + stranded.length > 0) return false;
    this.#typed = false;
    return this.add({ field: 'notes', op: 'set', value: this.text, mark: markOf(this.doc) });
  }

  add(change: Parameters<Author['edit']>[1]): boolean {
    for (const { at } of this.edits.values()) this.author.hybrid.observe(at);
    const made = this.author.edit(this.state, change);
    // As it comes back from a book.
    if (made !== null) this.edits.set(made.id, decodeEdit(encodeEdit(made))!);
    return made !== null;
  }
}

function sendText(from: Member, to: Member): void {
  const update = Y.encodeStateAsUpdate(from.doc, Y.encodeStateVector(to.doc));
  inspectUpdate(name, update, (client) => Y.getState(to.doc.store, client));
  Y.applyUpdate(to.doc, update);
}

function play(seed: number, tally: Tally): void {
  const random = new SeededRandom(seed);
  const clock = new FakeClock(1_768_478_400_000);
  const cards = [makeCard({ notes: random.chance(0.6) ? '♠♣♥♦' : null })];
  const members = Array.from({ length: 4 }, (_, index) => new Member(random, cards, clock, index < 3));
  const words: string[] = [];
  /** Words that somebody removed. */
  const doubtful = new Set<string>();
  const removes = (text: string): void => {
    for (const word of words) if (text.includes(word)) doubtful.add(word);
  };
  const fresh = (): string => {
    // One letter that is a word by itself and that no other is: what becomes of it is easily told.
    const word = String.fromCharCode(0x2700 + words.length);
    words.push(word);
    return word;
  };
  for (let step = 0; step < 60; step++) {
    clock.advance(random.int(5_000));
    const member = random.pick(members);
    const other = random.pick(members);
    const what = random.float();
    if (what < 0.35 && member.writes) {
      member.type(fresh(), removes);
      tally.typed += 1;
    } else if (what < 0.5 && member.writes) tally.published += Number(member.publish());
    else if (what < 0.65) {
      const { notes, conflicts } = member.state;
      tally.conflicts += conflicts.length;
      const parts = [...notes];
      const place = random.int(parts.length + 1);
      const gone = random.chance(0.2) ? parts.splice(place, 3).join('') : '';
      removes(gone);
      parts.splice(place, 0, fresh());
      const value = parts.join('');
      if (conflicts.length > 0) {
        for (const side of conflicts[0]!.sides) removes(JSON.stringify(side.value));
        tally.settled += 1;
      }
      // Whoever overwrites what several say removes what is not in the first.
      for (const each of member.state.heads.notes ?? []) removes(JSON.stringify(member.edits.get(each)?.value ?? ''));
      member.add({ field: 'notes', op: 'set', value });
      tally.elsewhere += 1;
    } else if (what < 0.8) sendText(member, other);
    else if (what < 0.95) for (const [id, edit] of member.edits) other.edits.set(id, edit);
    else if (member.writes) tally.waited += Number(member.adopt().waiting.length > 0);
  }
  for (const member of members)
    for (const other of members) for (const [id, edit] of member.edits) other.edits.set(id, edit);
  for (const from of members) for (const to of members) sendText(from, to);
  const texts = members.map((member) => {
    const { waiting, stranded, updates } = member.adopt();
    expect([waiting, stranded], `seed ${seed}`).toEqual([[], []]);
    expect(member.adopt().updates, `seed ${seed}: taken in twice`).toEqual([]);
    tally.adoptedTwice += Number(updates.length > 0);
    return member.text;
  });
  expect(new Set(texts).size, `seed ${seed}: ${JSON.stringify(texts)}`).toBe(1);
  // Each took them in by itself; together that is still the same text.
  for (const from of members) for (const to of members) sendText(from, to);
  for (const member of members) expect(member.text, `seed ${seed}: doubled`).toBe(texts[0]);
  for (const word of words) {
    // What one removes and two bring back, each for himself, is there twice.
    if (doubtful.has(word)) continue;
    tally.followed += 1;
    expect(texts[0]!.split(word).length - 1, `seed ${seed}: ${word} in ${texts[0]}`).toBe(1);
  }
  // One of them says what the text is: everybody agrees.
  const [first] = members;
  noteText(first!.doc).insert(0, '.');
  first!.add({ field: 'notes', op: 'set', value: first!.text, mark: markOf(first!.doc) });
  for (const [id, edit] of first!.edits) for (const member of members) member.edits.set(id, edit);
  for (const member of members) {
    expect(member.state.notes).toBe(first!.text);
    expect(member.state.conflicts).toEqual([]);
  }
}

describe('notes written in many places', () => {
  const rounds = process.env['FIELDBOOK_LONG'] === '1' ? 20_000 : 300;

  it(`[NOTE-1] [NOTE-2] converge letter by letter, nothing doubled and nothing lost (seeds 1 to ${rounds})`, () => {
    const tally: Tally = {
      typed: 0,
      published: 0,
      elsewhere: 0,
      conflicts: 0,
      settled: 0,
      waited: 0,
      adoptedTwice: 0,
      followed: 0,
    };
    for (let seed = 1; seed <= rounds; seed++) play(seed, tally);
    for (const [what, times] of Object.entries(tally)) expect(times, what).toBeGreaterThan(rounds / 20);
  });
});
