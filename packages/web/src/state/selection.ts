const NONE: ReadonlySet<string> = new Set();

/**
 * Which runs are selected and in what order they were: the order decides who keeps its colour. Immutable; ranges
 * are resolved by the caller, who knows the order of the table.
 */
export class Selection {
  static readonly none = new Selection([], null);
  readonly ids: readonly string[];
  /** Where a range starts when shift is held. */
  readonly anchor: string | null;
  /** It was made by selecting all that match: what an address can say without naming them. */
  readonly everything: boolean;
  readonly #set: ReadonlySet<string>;
  /** What the last range added: the next one from the same anchor takes its place. */
  readonly #ranged: ReadonlySet<string>;

  constructor(
    ids: readonly string[],
    anchor: string | null = ids.at(-1) ?? null,
    everything = false,
    ranged: ReadonlySet<string> = NONE,
  ) {
    this.ids = ids;
    this.anchor = anchor;
    this.everything = everything;
    this.#set = new Set(ids);
    this.#ranged = ranged;
  }

  get size(): number {
    return this.ids.length;
  }

  has(id: string): boolean {
    return this.#set.has(id);
  }

  only(id: string): Selection {
    return new Selection([id], id);
  }

  toggle(id: string): Selection {
    return this.has(id)
      ? new Selection(
          this.ids.filter((each) => each !== id),
          id,
        )
      : new Selection([...this.ids, id], id);
  }

  /** Adds a range of the table in place of the last one, the anchor staying where it was: a shorter range gives back what it leaves. */
  extend(range: readonly string[]): Selection {
    const wanted = new Set(range);
    // Those of both keep their places, and so their colours.
    const stay = this.ids.filter((id) => !this.#ranged.has(id) || wanted.has(id));
    const added = range.filter((id) => !this.has(id));
    const ranged = new Set([...added, ...stay.filter((id) => this.#ranged.has(id))]);
    return new Selection([...stay, ...added], this.anchor ?? range[0] ?? null, false, ranged);
  }

  /** With more runs; the last range stays the last. */
  add(runs: readonly string[]): Selection {
    return new Selection(
      [...this.ids, ...runs.filter((id) => !this.has(id))],
      this.anchor,
      this.everything,
      this.#ranged,
    );
  }

  /** All of some runs, or none of them when all are selected. */
  toggleAll(runs: readonly string[], anchor: string): Selection {
    if (!runs.every((id) => this.has(id)))
      return new Selection([...this.ids, ...runs.filter((id) => !this.has(id))], anchor);
    const gone = new Set(runs);
    return new Selection(
      this.ids.filter((id) => !gone.has(id)),
      anchor,
    );
  }

  /** Without runs that are not there any more. */
  keep(there: (id: string) => boolean): Selection {
    const ids = this.ids.filter(there);
    if (ids.length === this.ids.length) return this;
    const anchor = this.anchor !== null && there(this.anchor) ? this.anchor : null;
    return new Selection(ids, anchor, this.everything, this.#ranged);
  }
}
