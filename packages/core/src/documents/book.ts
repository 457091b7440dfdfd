import * as Y from 'yjs';
import type { Card, Edit } from '../record/index.ts';
import { cardKey, encodeCard, encodeEdit } from '../record/index.ts';

export interface BookChange {
  cards: ReadonlySet<string>;
  edits: ReadonlySet<string>;
}

/** Typed access to a book document: two flat maps of records. Values read are the document's own bytes: never change them. */
export class Book {
  readonly #doc: Y.Doc;
  readonly #cards: Y.Map<Uint8Array>;
  readonly #edits: Y.Map<Uint8Array>;

  constructor(doc: Y.Doc) {
    this.#doc = doc;
    this.#cards = doc.getMap<Uint8Array>('cards');
    this.#edits = doc.getMap<Uint8Array>('edits');
  }

  cards(): IterableIterator<[key: string, bytes: Uint8Array]> {
    return this.#cards.entries() as IterableIterator<[string, Uint8Array]>;
  }

  edits(): IterableIterator<[key: string, bytes: Uint8Array]> {
    return this.#edits.entries() as IterableIterator<[string, Uint8Array]>;
  }

  /**
   * Keys whose record was written, rewritten or taken away after a state vector: what a reader of then has to read
   * again. All of them without one. Lazily, since a book has many.
   */
  *changedSince(stateVector: Uint8Array | null): Generator<{ kind: 'card' | 'edit'; key: string }> {
    const seen = stateVector === null ? new Map<number, number>() : Y.decodeStateVector(stateVector);
    for (const [kind, map] of [
      ['card', this.#cards],
      ['edit', this.#edits],
    ] as const) {
      for (const [key, { id, deleted }] of map._map)
        // Nothing dates a deletion: a record that is gone always counts.
        if (deleted || id.clock >= (seen.get(id.client) ?? 0)) yield { kind, key };
    }
  }

  card(key: string): Uint8Array | undefined {
    return this.#cards.get(key);
  }

  edit(key: string): Uint8Array | undefined {
    return this.#edits.get(key);
  }

  /** Writes or rewrites a card. Throws `record_too_large`. */
  putCard(card: Card): void {
    this.#cards.set(cardKey(card), encodeCard(card));
  }

  /** Adds an edit; an id that is already there is left as it is. Throws `invalid_value`, `record_too_large`. */
  addEdit(edit: Edit): void {
    if (!this.#edits.has(edit.id)) this.#edits.set(edit.id, encodeEdit(edit));
  }

  /** Calls `listener` once per transaction with the keys that it changed; returns the way to stop. */
  observe(listener: (change: BookChange) => void): () => void {
    const after = (transaction: Y.Transaction): void => {
      const cards = keysOf(transaction, this.#cards);
      const edits = keysOf(transaction, this.#edits);
      if (cards.size > 0 || edits.size > 0) listener({ cards, edits });
    };
    this.#doc.on('afterTransaction', after);
    return () => this.#doc.off('afterTransaction', after);
  }
}

function keysOf(transaction: Y.Transaction, map: Y.Map<Uint8Array>): ReadonlySet<string> {
  const keys = transaction.changed.get(map as never);
  return keys === undefined ? new Set() : new Set([...keys].filter((key) => key !== null));
}
