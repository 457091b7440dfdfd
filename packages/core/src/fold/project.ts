import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { isFieldbookError } from '../errors.ts';
import { hlcMs } from '../hlc.ts';
import type { ProjectId, RunId } from '../ids.ts';
import { utf8 } from '../ids.ts';
import type { Card, Edit } from '../record/index.ts';
import { cardKey, decodeCard, decodeEdit, parseCardKey } from '../record/index.ts';
import type { NoteHistory } from '../notes/adopt.ts';
import { canonicalState } from './canonical.ts';
import { compareEdits } from './register.ts';
import { foldRun } from './run.ts';
import type { RunState } from './state.ts';

/** One card as a document holds it. The source keeps equal keys of two months apart. */
interface CardRecord {
  source: string;
  key: string;
  bytes: Uint8Array;
}

/** Most runs have one card and no edit: a list and nothing, where two maps a run would be 300 bytes more. */
interface RunRecords {
  cards: CardRecord[];
  edits: Map<string, Uint8Array> | null;
}

/**
 * All records of one project, from all its books, indexed by run. Keeps the records' bytes as the documents hold
 * them and decodes on demand: 100,000 runs cost their bytes and an index, not a forest of objects.
 */
export class ProjectFold {
  readonly project: ProjectId;
  readonly #runs = new Map<RunId, RunRecords>();
  #malformed = 0;

  constructor(project: ProjectId) {
    this.project = project;
  }

  /** Records that could not be read and are left out of every fold; admission should make this 0. */
  get malformed(): number {
    return this.#malformed;
  }

  /** Runs with any record, in no order, purged ones and ones without a card included. */
  ids(): IterableIterator<RunId> {
    return this.#runs.keys();
  }

  get size(): number {
    return this.#runs.size;
  }

  /** Takes in a card (undefined: it is gone). Returns the run it belongs to, or undefined for a key that is not a card's. */
  setCard(source: string, key: string, bytes: Uint8Array | undefined): RunId | undefined {
    const parsed = parseCardKey(key);
    if (parsed === undefined) return undefined;
    const records = this.#records(parsed.run);
    const others = records.cards.filter((card) => card.key !== key || card.source !== source);
    records.cards = bytes === undefined ? others : [...others, { source, key, bytes }];
    return parsed.run;
  }

  /** Takes in an edit. Returns the run it changes, or undefined when this program cannot read it. */
  addEdit(key: string, bytes: Uint8Array): RunId | undefined {
    const edit = this.#decode(bytes, decodeEdit);
    if (edit === undefined || edit.id !== key) return undefined;
    const records = this.#records(edit.run);
    (records.edits ??= new Map()).set(key, bytes);
    return edit.run;
  }

  /** Whether `run` would give a state. */
  has(id: RunId): boolean {
    return this.#runs.has(id);
  }

  /** The run's state; undefined when nothing of it is here. */
  run(id: RunId): RunState | undefined {
    const records = this.#runs.get(id);
    if (records === undefined) return undefined;
    return foldRun(id, this.project, this.#cards(records), this.#edits(records));
  }

  /** The run as it was at a time (ms since the epoch): the same fold over the edits made until then. */
  runAt(id: RunId, timeMs: number): RunState | undefined {
    const records = this.#runs.get(id);
    if (records === undefined) return undefined;
    return foldRun(
      id,
      this.project,
      this.#cards(records).filter((card) => card.created <= timeMs),
      this.#edits(records).filter((edit) => hlcMs(edit.at) <= timeMs),
    );
  }

  /** What was said of a run's notes: by its scripts, and by people. */
  notes(id: RunId): NoteHistory {
    const records = this.#runs.get(id);
    if (records === undefined) return { scripted: '', edits: [] };
    return {
      scripted: foldRun(id, this.project, this.#cards(records), []).notes,
      edits: this.#edits(records).filter(({ field }) => field === 'notes'),
    };
  }

  /** All edits of a run, oldest first. */
  history(id: RunId): Edit[] {
    const records = this.#runs.get(id);
    return records === undefined ? [] : this.#edits(records).sort(compareEdits);
  }

  /** The canonical text of every run's state, one line each, in id order: equal replicas give equal texts. */
  canonical(): string {
    return [...this.#runs.keys()]
      .sort()
      .map((id) => canonicalState(this.run(id)!))
      .join('\n');
  }

  /** Lower-case hex SHA-256 of `canonical()`. */
  digest(): string {
    return bytesToHex(sha256(utf8(this.canonical())));
  }

  #cards(records: RunRecords): Card[] {
    const cards: Card[] = [];
    for (const { key, bytes } of records.cards) {
      const card = this.#decode(bytes, decodeCard);
      if (card !== undefined && card.project === this.project && cardKey(card) === key) cards.push(card);
    }
    return cards;
  }

  #edits(records: RunRecords): Edit[] {
    const edits: Edit[] = [];
    for (const bytes of records.edits?.values() ?? []) {
      const edit = this.#decode(bytes, decodeEdit);
      if (edit !== undefined) edits.push(edit);
    }
    return edits;
  }

  #records(run: RunId): RunRecords {
    let records = this.#runs.get(run);
    if (records === undefined) {
      records = { cards: [], edits: null };
      this.#runs.set(run, records);
    }
    return records;
  }

  #decode<T>(bytes: Uint8Array, decode: (bytes: Uint8Array) => T | undefined): T | undefined {
    try {
      return decode(bytes);
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
      this.#malformed += 1;
      return undefined;
    }
  }
}
