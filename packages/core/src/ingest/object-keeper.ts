import type { RunDocument } from '../documents/index.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import type { ObjectFile } from '../journal/index.ts';
import { sealObjects } from '../objects/index.ts';
import type { BlobStore } from '../ports.ts';
import type { ObjectsEntry, ObjectTailEntry } from '../record/index.ts';
import { objectsKey, objectTailKey } from '../record/index.ts';
import { isDue, POLICY, widened } from './policy.ts';
import type { Spool, SpoolOwner } from './spool.ts';
import type { WriterState } from './writer-state.ts';

export interface ObjectContext {
  blobs: Pick<BlobStore, 'write'>;
  device: DeviceId;
  spool?: Spool | undefined;
  pause?: (() => Promise<void>) | undefined;
}

/** What is kept, in the batch of a run document's change, about the object rows that tail entries hold. */
export interface ObjectMark {
  /** Tail slots in use, 0 … n − 1. */
  slots: number;
  /** Rows in those slots. */
  rows: number;
  /** Whether there is an entry of unfinished lines. */
  open: boolean;
}

/** What object rows add to one transaction of the run document. */
export interface ObjectChange {
  mark: ObjectMark;
  apply(document: RunDocument): void;
  /** Call when the transaction is durable. */
  committed(): void;
}

/** The slot of unfinished lines, which cover nothing. */
const OPEN_SLOT = 'open';

/**
 * Writes one writer's object rows: new ones into tail entries, gathered ones into segments. It takes part in every transaction that
 * saves the writer's position, so that no row is behind a position without being in an entry.
 */
export class ObjectKeeper {
  readonly #context: ObjectContext;
  readonly #writer: WriterId;
  #mark: ObjectMark;
  /** How many of the buffer's items are in tail entries. */
  #tailed = 0;
  #sealedAt: number;
  #sealWait: number = POLICY.sealAge;
  #openSaid = '';
  /** Seal at the next change, whatever is due. */
  sealNext = false;

  constructor(context: ObjectContext, writer: WriterId, mark: ObjectMark, now: number) {
    this.#context = context;
    this.#writer = writer;
    this.#mark = mark;
    this.#sealedAt = now;
  }

  get mark(): ObjectMark {
    return this.#mark;
  }

  /** Brings the rows of our tail entries back; how many there were. */
  load(document: RunDocument, state: WriterState): number {
    for (let slot = 0; slot < this.#mark.slots; slot++) {
      const tail = document.get(objectTailKey(this.#writer, this.#context.device, slot));
      if (tail?.kind !== 'objecttail' || tail.first < state.objectsFrom) continue;
      for (const row of tail.rows) state.objects.pushRow(row);
    }
    const open = this.#mark.open ? document.get(this.#openKey) : undefined;
    if (open?.kind === 'objecttail') for (const row of open.rows) state.openLines.set(row.path, row);
    this.#openSaid = said(state);
    this.#tailed = state.objects.length;
    return state.objects.rows;
  }

  /** Removes every entry that `mark` speaks of. */
  removeTails(document: RunDocument): void {
    for (let slot = 0; slot < this.#mark.slots; slot++) {
      document.remove(objectTailKey(this.#writer, this.#context.device, slot));
    }
    document.remove(this.#openKey);
  }

  /** True when a backlog has gathered as much as memory should hold. */
  isFull(state: WriterState): boolean {
    const { objects } = state;
    return objects.rows >= POLICY.backlogRows || objects.characters >= POLICY.backlogCharacters;
  }

  /** True when what is gathered is worth a segment, is old, or is all there will be. */
  isDue(state: WriterState, now: number): boolean {
    const { objects } = state;
    if (objects.length === 0) return false;
    return (
      this.sealNext ||
      state.status !== 'running' ||
      objects.rows >= POLICY.sealRows ||
      objects.characters >= POLICY.sealCharacters ||
      isDue(this.#sealedAt, this.#sealWait, now)
    );
  }

  /** Stores what new rows name and makes the change that has them. Blobs of files and segments are durable when it resolves. */
  async change(state: WriterState, owner: SpoolOwner, now: number): Promise<ObjectChange> {
    const { objects } = state;
    const fresh = objects.filesOf(this.#tailed, objects.length);
    if (fresh.length > 0) await this.#context.spool?.storeObjects(owner, fresh);
    const seal = this.isDue(state, now) || this.isFull(state) || !this.#fitsTail(state);
    const change = seal ? await this.#seal(state, owner, now) : this.#tail(state);
    this.sealNext = false;
    const openSaid = said(state);
    const open = state.openLines.size > 0;
    return {
      mark: { ...change.mark, open },
      apply: (document) => {
        change.apply(document);
        if (openSaid === this.#openSaid) return;
        if (open) document.putObjectTail(this.#openEntry(state), OPEN_SLOT);
        else document.remove(this.#openKey);
      },
      committed: () => {
        change.committed();
        this.#mark = { ...change.mark, open };
        this.#openSaid = openSaid;
        this.#tell(owner, fresh);
      },
    };
  }

  #fitsTail({ objects }: WriterState): boolean {
    const [rows, items] = [objects.count(this.#tailed, objects.length), objects.length - this.#tailed];
    if (rows > POLICY.tailRows || items === 0) return items === 0;
    let characters = 0;
    for (const { text, meta, path } of objects.rowsOf(this.#tailed, objects.length)) {
      characters += text.length + meta.length + path.length + 200;
    }
    return characters <= POLICY.tailCharacters;
  }

  #tail(state: WriterState): ObjectChange {
    const { objects } = state;
    const { mark } = this;
    const [from, to] = [this.#tailed, objects.length];
    if (from === to) return { mark, apply: () => {}, committed: () => {} };
    const entry: ObjectTailEntry = {
      kind: 'objecttail',
      writer: this.#writer,
      device: this.#context.device,
      first: from === 0 ? state.objectsFrom : objects.ordinal(from - 1) + 1,
      last: state.next - 1,
      rows: [...objects.rowsOf(from, to)],
      extra: {},
    };
    return {
      mark: { slots: mark.slots + 1, rows: objects.rows, open: mark.open },
      apply: (document) => document.putObjectTail(entry, mark.slots),
      committed: () => (this.#tailed = to),
    };
  }

  async #seal(state: WriterState, owner: SpoolOwner, now: number): Promise<ObjectChange> {
    const { blobs, device, pause } = this.#context;
    const { objects } = state;
    const { slots } = this.#mark;
    const entries: ObjectsEntry[] = [];
    let first = state.objectsFrom;
    for (const { from, to } of this.#parts(state)) {
      const last = to === objects.length ? state.next - 1 : objects.ordinal(to) - 1;
      const header = { run: owner.run, writer: this.#writer, first, last };
      const { bytes, ...sealed } = await sealObjects(header, [...objects.rowsOf(from, to)], pause);
      const digest = await blobs.write(bytes);
      const { run: _, ...cover } = header;
      entries.push({ kind: 'objects', ...cover, device, digest, size: bytes.length, ...sealed, extra: {} });
      first = last + 1;
    }
    state.objectsFrom = first;
    objects.clear();
    this.#tailed = 0;
    return {
      mark: { slots: 0, rows: 0, open: this.#mark.open },
      apply: (document) => {
        for (const entry of entries) {
          const known = document.get(objectsKey(entry));
          // When a journal is taken in again, what was sealed before may cover more: it stays.
          if (known?.kind !== 'objects' || known.last <= entry.last) document.putObjects(entry);
        }
        for (let slot = 0; slot < slots; slot++) document.remove(objectTailKey(this.#writer, device, slot));
      },
      committed: () => {
        this.#sealedAt = now;
        this.#sealWait = widened(this.#sealWait, POLICY.objectsGrowth, POLICY.objectsLast);
      },
    };
  }

  /** Items per segment: an entry names the paths and files of its segment and has a limit. Records are never divided. */
  *#parts({ objects }: WriterState): Generator<{ from: number; to: number }> {
    let from = 0;
    let paths = new Set<string>();
    let named = 0;
    for (let index = 0; index < objects.length; index++) {
      const { path, kind, digest } = objects.headOf(index);
      const key = `${path}\n${kind}`;
      if (!paths.has(key)) named += key.length * 3 + 24;
      paths.add(key);
      if (digest !== '') named += 32;
      if (named < POLICY.segmentNameBytes || index + 1 === objects.length) continue;
      if (objects.ordinal(index + 1) === objects.ordinal(index)) continue;
      yield { from, to: index + 1 };
      from = index + 1;
      paths = new Set();
      named = 0;
    }
    if (from < objects.length) yield { from, to: objects.length };
  }

  #openEntry(state: WriterState): ObjectTailEntry {
    const rows = [...state.openLines.values()];
    const ordinals = rows.map(({ ordinal }) => ordinal);
    return {
      kind: 'objecttail',
      writer: this.#writer,
      device: this.#context.device,
      first: Math.min(...ordinals),
      last: Math.max(...ordinals),
      rows,
      extra: {},
    };
  }

  get #openKey(): string {
    return objectTailKey(this.#writer, this.#context.device, OPEN_SLOT);
  }

  #tell(owner: SpoolOwner, files: readonly ObjectFile[]): void {
    if (files.length > 0) this.#context.spool?.objectsCommitted(owner, files);
  }
}

function said(state: WriterState): string {
  return [...state.openLines.values()].map(({ ordinal, path }) => `${ordinal} ${path}`).join('\n');
}
