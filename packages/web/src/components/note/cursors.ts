import type * as Y from 'yjs';
import { colourOf } from '../../state/presence.svelte.ts';
import type { NoteCursor, NoteWriter } from '../../worker/notes-api.ts';

type Listener = (change: { added: number[]; updated: number[]; removed: number[] }) => void;
type State = Record<string, unknown>;

/**
 * Others' cursors in the form that y-codemirror.next asks of an awareness. Colours are made here of names: what others
 * send as theirs would be put into a style.
 */
export class Cursors {
  readonly doc: Y.Doc;
  readonly #onPoint: (cursor: NoteCursor | null) => void;
  readonly #states = new Map<number, State>();
  readonly #listeners = new Set<Listener>();
  #own: State = {};

  constructor(doc: Y.Doc, onPoint: (cursor: NoteCursor | null) => void) {
    this.doc = doc;
    this.#onPoint = onPoint;
  }

  show(people: readonly NoteWriter[]): void {
    const before = [...this.#states.keys()];
    this.#states.clear();
    for (const { client, name, cursor } of people) {
      const colour = `var(--run-${colourOf(name)})`;
      const user = { name, color: colour, colorLight: `color-mix(in srgb, ${colour} 20%, transparent)` };
      this.#states.set(client, { user, cursor });
    }
    const now = [...this.#states.keys()];
    const removed = before.filter((client) => !this.#states.has(client));
    for (const listener of this.#listeners) listener({ added: [], updated: now, removed });
  }

  getStates(): ReadonlyMap<number, State> {
    return this.#states;
  }

  getLocalState(): State {
    return this.#own;
  }

  setLocalStateField(field: string, value: unknown): void {
    this.#own = { ...this.#own, [field]: value };
    if (field === 'cursor') this.#onPoint(JSON.parse(JSON.stringify(value)) as NoteCursor | null);
  }

  on(_event: 'change', listener: Listener): void {
    this.#listeners.add(listener);
  }

  off(_event: 'change', listener: Listener): void {
    this.#listeners.delete(listener);
  }
}
