import * as Y from 'yjs';
import { noteText } from '../documents/note.ts';
import type { TextState } from './mark.ts';

/** One character (UTF-16 unit): who typed it, and as that client's how-many-th. */
export interface Character {
  client: number;
  clock: number;
}

/** The characters of a text in order. */
export interface Characters {
  readonly length: number;
  readonly clients: Float64Array;
  readonly clocks: Float64Array;
  /** What comes next to the beginning, and to each character, of all that was known: also what was deleted by then. */
  readonly next: readonly (Character | undefined)[];
}

export const NO_CHARACTERS: Characters = {
  length: 0,
  clients: new Float64Array(),
  clocks: new Float64Array(),
  next: [undefined],
};
export const EMPTY_STATE: TextState = Y.emptySnapshot;

/** Whether the document has all that a state knows. */
export function covers(doc: Y.Doc, state: TextState): boolean {
  for (const [client, clock] of state.sv) if (Y.getState(doc.store, client) < clock) return false;
  return true;
}

/** The characters that a state has, in the document's order; their texts may be deleted and gone since. */
export function charactersOf(doc: Y.Doc, state: TextState): Characters {
  const clients: number[] = [];
  const clocks: number[] = [];
  const next: (Character | undefined)[] = [undefined];
  let isOpen = true;
  const close = (client: number, clock: number): void => {
    if (isOpen) next[next.length - 1] = { client, clock };
    isOpen = false;
  };
  for (let item = noteText(doc)._start; item !== null; item = item.right) {
    const { client, clock } = item.id;
    const end = Math.min(clock + item.length, state.sv.get(client) ?? 0);
    if (clock < end) close(client, clock);
    const deleted = state.ds.clients.get(client) ?? [];
    let range = firstBehind(deleted, clock);
    for (let at = clock; at < end;) {
      const gone = deleted[range];
      if (gone !== undefined && gone.clock <= at) {
        close(client, at);
        at = Math.max(at, gone.clock + gone.len);
        range += 1;
        continue;
      }
      const stop = Math.min(end, gone?.clock ?? end);
      for (; at < stop; at++) {
        close(client, at);
        clients.push(client);
        clocks.push(at);
        next.push(undefined);
        isOpen = true;
      }
    }
  }
  return { length: clients.length, clients: Float64Array.from(clients), clocks: Float64Array.from(clocks), next };
}

/** Index of the first range that ends behind `clock`; ranges are sorted and apart. */
function firstBehind(ranges: readonly { clock: number; len: number }[], clock: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.clock + ranges[middle]!.len <= clock) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What several states know together: what any has typed, without what any has deleted. */
export function union(states: readonly TextState[]): TextState {
  const sv = new Map<number, number>();
  for (const state of states)
    for (const [client, clock] of state.sv) sv.set(client, Math.max(clock, sv.get(client) ?? 0));
  return Y.createSnapshot(Y.mergeDeleteSets(states.map(({ ds }) => ds)), sv);
}
