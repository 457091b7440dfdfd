import { SvelteMap } from 'svelte/reactivity';
import type { RunId } from '@fieldbook/core';
import type { NoteWriter } from '../worker/notes-api.ts';

/** Somebody who typed this recently is writing. */
const WRITING_MS = 6_000;

export interface Present {
  name: string;
  writes: boolean;
  /** Of their cursor: 0 to 9. */
  colour: number;
}

/** Who else is where this page is, as they say themselves in the rooms of documents: true now, stored by nobody. */
class Presence {
  readonly #notes = new SvelteMap<RunId, readonly NoteWriter[]>();
  /** Visits that typed a moment ago. By our own watch: others' clocks say other times. */
  readonly #writing = new SvelteMap<number, ReturnType<typeof setTimeout>>();

  /** Others who have a run's notes open in front of them; each person once, however many windows. */
  of(run: RunId): Present[] {
    const people = new Map<string, Present>();
    for (const { client, name } of this.#notes.get(run) ?? []) {
      const writes = this.#writing.has(client) || people.get(name)?.writes === true;
      people.set(name, { name, writes, colour: colourOf(name) });
    }
    return [...people.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  arrive(run: RunId, people: readonly NoteWriter[]): void {
    const before = new Map((this.#notes.get(run) ?? []).map(({ client, typed }) => [client, typed]));
    this.#notes.set(run, people);
    for (const { client, typed } of people) {
      const last = before.get(client);
      if (last === undefined || typed === last) continue;
      clearTimeout(this.#writing.get(client));
      this.#writing.set(
        client,
        setTimeout(() => this.#writing.delete(client), WRITING_MS),
      );
    }
  }

  leave(run: RunId): void {
    this.#notes.delete(run);
  }
}

export const presence = new Presence();

/** Which of the run colours a person's cursor has: the same in every browser. */
export function colourOf(name: string): number {
  let hash = 0;
  for (let index = 0; index < name.length; index++) hash = (hash * 31 + name.charCodeAt(index)) >>> 0;
  return hash % 10;
}
