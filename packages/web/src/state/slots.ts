/** What a slot of a recycling list shows. */
export interface Slot {
  slot: number;
  /** The line of the table. */
  index: number;
  /** Who is on it: a run, a group, or a place of which nothing is known yet. */
  key: string;
  /** The element showed the same before: when its line is another one now, data moved it, and that can be seen. */
  stays: boolean;
}

/**
 * Gives the lines that are visible to the elements that there are. Who stays visible keeps their element wherever the
 * data moves them, so that a field that somebody types in, the focus and a hover stay where they are, and a move can be
 * seen as one; scrolling by a line rewrites one element.
 */
export class Slots {
  #slots: Slot[] = [];
  #of: unknown = undefined;

  /**
   * `keyOf` names who is on a line; undefined while that is not known. With another `of` than before the lines are of
   * another question: they are laid out anew from top to bottom, which is how a screen reader reads them.
   */
  show(first: number, count: number, keyOf: (index: number) => string | undefined, of?: unknown): readonly Slot[] {
    if (of !== this.#of) this.#slots = [];
    this.#of = of;
    const wanted = new Map<string, number>();
    for (let index = first; index < first + count; index++) {
      const key = keyOf(index) ?? `#${index}`;
      // One run on two lines cannot be; of a wrong answer each line still shows.
      wanted.set(wanted.has(key) ? `#${index}` : key, index);
    }
    const next: (Slot | undefined)[] = Array.from({ length: count });
    const free: number[] = [];
    for (let slot = 0; slot < count; slot++) {
      const before = this.#slots[slot];
      const index = before === undefined ? undefined : wanted.get(before.key);
      if (before === undefined || index === undefined) {
        free.push(slot);
        continue;
      }
      wanted.delete(before.key);
      next[slot] = { slot, index, key: before.key, stays: true };
    }
    // An element whose line is only now known keeps it: what was blank is filled in place.
    const byLine = new Map([...wanted].map(([key, index]) => [index, key]));
    const still: number[] = [];
    for (const slot of free) {
      const index = this.#slots[slot]?.index;
      const key = index === undefined ? undefined : byLine.get(index);
      if (index === undefined || key === undefined) still.push(slot);
      else {
        byLine.delete(index);
        next[slot] = { slot, index, key, stays: false };
      }
    }
    for (const [index, key] of byLine) next[still.shift()!] = { slot: 0, index, key, stays: false };
    this.#slots = next.map((each, slot) => {
      const before = this.#slots[slot];
      // The same object again is an element that nobody has to look at.
      if (before?.index === each!.index && before.key === each!.key && before.stays === each!.stays) return before;
      return { ...each!, slot };
    });
    return this.#slots;
  }
}
