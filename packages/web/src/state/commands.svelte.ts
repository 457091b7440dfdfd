import { untrack } from 'svelte';

/** What the palette offers besides going places: each page adds its own while it is shown. */
export interface Command {
  label: string;
  /** A key that does the same. */
  key?: string;
  run: () => void;
}

class Commands {
  #lists = $state.raw<readonly (() => readonly Command[])[]>([]);
  paletteOpen = $state(false);
  keysOpen = $state(false);

  get all(): readonly Command[] {
    return this.#lists.flatMap((list) => list());
  }

  /** Adds commands until the returned function is called. */
  offer(list: () => readonly Command[]): () => void {
    // Offered from effects: they must not run again because others offer too.
    untrack(() => (this.#lists = [...this.#lists, list]));
    return () => untrack(() => (this.#lists = this.#lists.filter((each) => each !== list)));
  }
}

export const commands = new Commands();
