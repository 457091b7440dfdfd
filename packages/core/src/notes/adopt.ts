import { sha256 } from '@noble/hashes/sha2.js';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { NOTE_TEXT } from '../documents/note.ts';
import { utf8 } from '../ids.ts';
import type { EditId } from '../ids.ts';
import type { Edit } from '../record/index.ts';
import type { Characters } from './characters.ts';
import { charactersOf, covers, EMPTY_STATE, NO_CHARACTERS, union } from './characters.ts';
import type { Hunk } from './diff.ts';
import { diffTexts } from './diff.ts';
import type { TextState } from './mark.ts';
import { isOfText, stateOf } from './mark.ts';

/** What is known of a run's notes besides their text. */
export interface NoteHistory {
  /** What scripts say. */
  scripted: string;
  /** All edits of the notes, in any order. */
  edits: readonly Edit[];
}

export interface Adoption {
  /** What the document lacked, oldest first, as updates. */
  updates: Uint8Array[];
  /** Edits that build on text or edits which have not arrived yet. */
  waiting: EditId[];
  /** Edits of which it cannot be said what they changed in the text: what they build on was too long to be described. */
  stranded: EditId[];
}

/** An edit as a change of the text. */
interface Placed {
  text: string;
  state: TextState;
}

type Outcome = Placed | 'waiting' | 'stranded';

/**
 * Takes into a note's text what was said of the notes elsewhere: by scripts, on the command line, over the API, by
 * programs that know no text. Each such edit is the difference to what its author saw, as a change of exactly the
 * characters that its author saw: computed from immutable records and from the order of characters, never from the text as
 * it happens to be here. So replicas that take in the same edit, at any time and without knowing of each other, make the
 * same change, byte for byte, and make it once.
 */
export function adoptNotes(doc: Y.Doc, history: NoteHistory, origin?: unknown): Adoption {
  return new Adopter(doc, history, origin).run();
}

class Adopter {
  readonly #doc: Y.Doc;
  readonly #origin: unknown;
  readonly #scripted: string;
  readonly #edits = new Map<string, Edit>();
  readonly #outcomes = new Map<string, Outcome>();
  readonly #updates: Uint8Array[] = [];
  /** For each edit that the document has taken in: the client id that its characters have. */
  readonly #taken = new Map<number, number>();

  constructor(doc: Y.Doc, { scripted, edits }: NoteHistory, origin: unknown) {
    this.#doc = doc;
    this.#origin = origin;
    this.#scripted = scripted;
    for (const edit of edits) if (edit.field === 'notes') this.#edits.set(edit.id, edit);
    for (const client of doc.store.clients.keys())
      if (client >= FIRST_ADOPTED) this.#taken.set(Math.floor(client / CONTENTS), client);
  }

  run(): Adoption {
    const listen = (update: Uint8Array): void => void this.#updates.push(update);
    this.#doc.on('update', listen);
    try {
      if (this.#edits.size === 0) this.#place(SCRIPTED);
      for (const id of this.#edits.keys()) this.#place(id);
    } finally {
      this.#doc.off('update', listen);
    }
    const which = (outcome: Outcome): Edit[] =>
      [...this.#outcomes].flatMap(([id, each]) => (each === outcome ? (this.#edits.get(id) ?? []) : []));
    const idsOf = (edits: readonly Edit[]): EditId[] => edits.map(({ id }) => id);
    // What was written in the text is in it, or will be, whether or not anybody can build on it.
    const stranded = which('stranded').filter((edit) => !isOfText(edit));
    return { updates: this.#updates, waiting: idsOf(which('waiting')), stranded: idsOf(stranded) };
  }

  /** An edit and, before it, all that it builds on: without recursion, for a history may be long. */
  #place(id: string): Outcome {
    const stack = [id];
    const open = new Set<string>();
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const missing = this.#outcomes.has(top) ? [] : this.#basesOf(top).filter((base) => !this.#outcomes.has(base));
      // Only forged edits build on each other in a circle.
      const next = missing.filter((base) => this.#isKnown(base) && !open.has(base));
      if (next.length > 0) {
        open.add(top);
        stack.push(...next);
        continue;
      }
      stack.pop();
      if (!this.#outcomes.has(top))
        this.#outcomes.set(top, missing.some((base) => open.has(base)) ? 'stranded' : this.#outcomeOf(top));
    }
    return this.#outcomes.get(id)!;
  }

  #isKnown(id: string): boolean {
    return id === SCRIPTED || this.#edits.has(id);
  }

  /** What an edit was made on top of. One that knew no other was made on what scripts said. */
  #basesOf(id: string): readonly string[] {
    const edit = this.#edits.get(id);
    if (edit === undefined || isOfText(edit)) return [];
    const bases = edit.base.filter((base) => base !== id && !base.startsWith('@'));
    return bases.length === 0 && this.#scripted !== '' ? [SCRIPTED] : bases;
  }

  #outcomeOf(id: string): Outcome {
    const edit = this.#edits.get(id);
    if (edit !== undefined && isOfText(edit)) return this.#read(edit);
    const after = (typeof edit?.value === 'string' && edit.value !== '' ? edit.value : this.#scripted) || '';
    const bases: Placed[] = [];
    for (const base of this.#basesOf(id)) {
      // What has not arrived yet may arrive.
      const outcome = this.#outcomes.get(base) ?? 'waiting';
      if (typeof outcome === 'string') return outcome;
      bases.push(outcome);
    }
    return this.#change(id, after, bases);
  }

  /** An edit that says what the text was: nothing to take in, but others may build on it. */
  #read(edit: Edit): Outcome {
    const state = stateOf(edit);
    if (state === undefined) return 'stranded';
    return covers(this.#doc, state) ? { text: typeof edit.value === 'string' ? edit.value : '', state } : 'waiting';
  }

  #change(id: string, after: string, bases: readonly Placed[]): Outcome {
    const before = this.#charactersOf(bases);
    if (before === undefined) return 'stranded';
    const base = bases.length === 0 ? EMPTY_STATE : union(bases.map(({ state }) => state));
    const change = encodeChange(id, before.characters, diffTexts(before.text, after));
    const taken = this.#taken.get(Math.floor(change.client / CONTENTS));
    // A script that says something else since: what was taken in stays as it is.
    const client = change.length === 0 ? undefined : (taken ?? change.client);
    if (taken === undefined || taken === change.client || change.length === 0)
      Y.applyUpdate(this.#doc, change.update, this.#origin);
    const own = new Map(client === undefined ? [] : [[client, Y.getState(this.#doc.store, client)]]);
    const changed = Y.createSnapshot(change.deleted, own);
    return { text: after, state: union([base, changed]) };
  }

  /** The characters that somebody saw who saw all of `bases`, and what they say. */
  #charactersOf(bases: readonly Placed[]): { characters: Characters; text: string } | undefined {
    if (bases.length === 0) return { characters: NO_CHARACTERS, text: '' };
    const whole: (Characters & { text: string })[] = [];
    for (const { text, state } of bases) {
      const characters = charactersOf(this.#doc, state);
      if (characters.length !== text.length) return undefined;
      whole.push({ ...characters, text });
    }
    if (whole.length === 1) return { characters: whole[0]!, text: whole[0]!.text };
    const units = new Map<number, Map<number, number>>();
    for (const { length, clients, clocks, text } of whole) {
      for (let index = 0; index < length; index++) {
        const of = units.get(clients[index]!) ?? new Map<number, number>();
        units.set(clients[index]!, of.set(clocks[index]!, text.charCodeAt(index)));
      }
    }
    const characters = charactersOf(this.#doc, union(bases.map(({ state }) => state)));
    const text: string[] = [];
    for (let index = 0; index < characters.length; index++)
      text.push(String.fromCharCode(units.get(characters.clients[index]!)?.get(characters.clocks[index]!) ?? 0xfffd));
    return { characters, text: text.join('') };
  }
}

/** Stands for what scripts say, of which there is no edit. */
const SCRIPTED = '@';
/** Client ids of adopted changes: 52 bits from here on, of which the last 16 are those of the content. Yjs itself makes none beyond 32 bits. */
const FIRST_ADOPTED = 2 ** 52;
const CONTENTS = 2 ** 16;

interface Change {
  update: Uint8Array;
  client: number;
  /** Characters inserted. */
  length: number;
  deleted: Y.Snapshot['ds'];
}

/** Hunks on characters as an update (V1 of Yjs 13), made of nothing but what is given. */
function encodeChange(id: string, before: Characters, hunks: readonly Hunk[]): Change {
  const body = encoding.createEncoder();
  let structs = 0;
  let length = 0;
  const deleted = new Map<number, { clock: number; len: number }[]>();
  for (const { at, removed, inserted } of hunks) {
    for (let index = at; index < at + removed; index++) {
      const client = before.clients[index]!;
      const clock = before.clocks[index]!;
      const ranges = deleted.get(client) ?? [];
      const last = ranges.at(-1);
      if (last !== undefined && last.clock + last.len === clock) last.len += 1;
      else ranges.push({ clock, len: 1 });
      deleted.set(client, ranges);
    }
    if (inserted === '') continue;
    structs += 1;
    length += inserted.length;
    encodeText(body, before, at, inserted);
  }
  const ds = Y.mergeDeleteSets([{ clients: deleted } as Y.Snapshot['ds']]);
  const content = encoding.toUint8Array(body);
  const client = clientOf(id, content);
  const update = encoding.createEncoder();
  encoding.writeVarUint(update, structs === 0 ? 0 : 1);
  if (structs > 0) {
    encoding.writeVarUint(update, structs);
    encoding.writeVarUint(update, client);
    encoding.writeVarUint(update, 0);
    encoding.writeUint8Array(update, content);
  }
  const clients = [...ds.clients].sort(([a], [b]) => b - a);
  encoding.writeVarUint(update, clients.length);
  for (const [of, ranges] of clients) {
    encoding.writeVarUint(update, of);
    encoding.writeVarUint(update, ranges.length);
    for (const { clock, len } of ranges) {
      encoding.writeVarUint(update, clock);
      encoding.writeVarUint(update, len);
    }
  }
  return { update: encoding.toUint8Array(update), client, length, deleted: ds };
}

/**
 * One struct, behind the character that its author saw before it. Its other neighbour is what came next of all that the
 * author's text held, deleted or not: only of neighbours does Yjs promise the same order everywhere.
 */
function encodeText(body: encoding.Encoder, before: Characters, at: number, text: string): void {
  const left = at === 0 ? undefined : { client: before.clients[at - 1]!, clock: before.clocks[at - 1]! };
  const right = before.next[at];
  encoding.writeUint8(body, 4 | (left === undefined ? 0 : 128) | (right === undefined ? 0 : 64));
  for (const neighbour of [left, right]) {
    if (neighbour === undefined) continue;
    encoding.writeVarUint(body, neighbour.client);
    encoding.writeVarUint(body, neighbour.clock);
  }
  if (left === undefined && right === undefined) {
    encoding.writeVarUint(body, 1);
    encoding.writeVarString(body, NOTE_TEXT);
  }
  encoding.writeVarString(body, text);
}

function clientOf(id: string, content: Uint8Array): number {
  const edit = number(sha256(utf8(`note ${id}`)), 5) % 2 ** 36;
  return FIRST_ADOPTED + edit * CONTENTS + number(sha256(content), 2);
}

function number(bytes: Uint8Array, length: number): number {
  let value = 0;
  for (const byte of bytes.subarray(0, length)) value = value * 256 + byte;
  return value;
}
