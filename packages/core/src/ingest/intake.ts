import { RunDocument } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import type { RunId, WriterId } from '../ids.ts';
import { runDocumentName, utf8 } from '../ids.ts';
import type { JournalEnd, JournalState, Salvage } from '../journal/index.ts';
import { decodeHeader, JournalReader } from '../journal/index.ts';
import { tailKey } from '../record/index.ts';
import { CardKeeper } from './card-keeper.ts';
import { writerEntryOf } from './card.ts';
import { endedMark } from './compaction.ts';
import type { IntakeContext } from './intake-context.ts';
import type { LiveValue } from './live.ts';
import { newestValues } from './live.ts';
import { ObjectKeeper } from './object-keeper.ts';
import { isDue, POLICY, widened } from './policy.ts';
import { Sealed } from './sealing.ts';
import type { SavedWriter } from './saved.ts';
import { cardMarkKey, decodeSaved, encodeProgress, encodeSaved, progressKey, putPrivate, stateKey } from './saved.ts';
import type { SpoolOwner } from './spool.ts';
import { pushTail, tailOf } from './tail.ts';
import type { FilePosition } from './writer-state.ts';
import { WriterState } from './writer-state.ts';

/**
 * Takes one writer's journal into the replica. The caller brings bytes; this decides what is written when, and writes
 * it so that a crash at any point loses nothing and doubles nothing:
 *
 * - The position in the journal is saved in the batch that makes everything before it durable, never earlier or later.
 * - A segment's bytes are durable before its entry is; the entry comes in the transaction that removes the tail it covers.
 * - Points, object rows, files and captures before a position are in entries of the transaction that saves it, each in its way.
 * - The card follows in its own transaction: it can be made again from the saved state at any time.
 *
 * After any call rejected the object is of no more use: open it again, and it goes on from what is durable.
 */
export class WriterIntake {
  readonly writer: WriterId;
  readonly state: WriterState;
  purged = false;
  #context: IntakeContext;
  #reader: JournalReader | null = null;
  #file = -1;
  /** The durable position; null before the first commit. */
  #position: FilePosition | null;
  /** Where the file before the open one was left. */
  #left: FilePosition | null = null;
  #tailSlots: number;
  /** How many of `state.points` are in tail entries. */
  #tailed: number;
  #committedNext: number;
  #committedEntry: number;
  #committedStatus: string | null;
  #tailAt = 0;
  #tailWait: number = POLICY.tailFirst;
  #sealedAt: number;
  /** There is more than one segment, as far as is known: worth merging. */
  #merges: boolean;
  readonly #card: CardKeeper;
  readonly #objects: ObjectKeeper;
  #liveNext = 0;
  #done = false;

  private constructor(context: IntakeContext, writer: WriterId, saved?: SavedWriter) {
    this.#context = context;
    this.writer = writer;
    this.state = saved?.state ?? new WriterState(writer);
    this.#position = saved?.position ?? null;
    this.#tailSlots = saved?.tailSlots ?? 0;
    this.#tailed = 0;
    this.#committedNext = this.state.next;
    this.#committedEntry = this.state.entryChanges;
    this.#committedStatus = saved === undefined ? null : this.state.status;
    this.#card = new CardKeeper(context, writer);
    const mark = saved?.objects ?? { slots: 0, rows: 0, open: false };
    this.#objects = new ObjectKeeper(context, writer, mark, context.clock.now());
    this.#sealedAt = context.clock.now();
    this.#merges = this.state.coverFrom > 0;
    this.#liveNext = this.state.next;
  }

  /** Goes on where the last durable commit left the writer, or begins. */
  static async open(context: IntakeContext, writer: WriterId): Promise<WriterIntake> {
    const { replica } = context;
    const bytes = await replica.getPrivate(stateKey(writer));
    if (bytes === undefined) return new WriterIntake(context, writer);
    const saved = decodeSaved(bytes);
    const intake = new WriterIntake(context, writer, saved);
    await intake.#card.load();
    const { run, project } = saved.state;
    if (run === null || project === null) return intake;
    intake.purged = await context.isPurged(run, project);
    if (intake.purged) return intake;
    const [points, rows] = [await intake.#loadTail(run), await intake.#loadObjects(run)];
    if (points === saved.tailPoints && rows === saved.objects.rows) return intake;
    // Tail entries are ours alone, but a document can be emptied from outside. The points are in the journal or nowhere, so begin
    // again from its first file; what is sealed twice is read once.
    await replica.transact(
      runDocumentName(run),
      (doc) => {
        const document = new RunDocument(doc);
        for (let slot = 0; slot < saved.tailSlots; slot++) document.remove(tailKey(writer, context.device, slot));
        intake.#objects.removeTails(document);
      },
      [{ type: 'del', key: utf8(`x/${stateKey(writer)}`) }],
    );
    return new WriterIntake(context, writer);
  }

  /** The file to read and where in it: a rotation number, -1 before the first. */
  get place(): { file: number; offset: number } {
    if (this.#reader !== null) return { file: this.#file, offset: this.#reader.next };
    return this.#position === null
      ? { file: -1, offset: 0 }
      : { file: this.#position.file, offset: this.#position.offset };
  }

  /** What is durably taken in. */
  get durable(): { file: number; offset: number; next: number } {
    return { file: this.#position?.file ?? -1, offset: this.#position?.offset ?? 0, next: this.#committedNext };
  }

  get reader(): JournalReader | null {
    return this.#reader;
  }

  /** True when nothing is left to do until a file grows. */
  get done(): boolean {
    return this.#done;
  }

  /** Bytes that unsealed points and object rows hold in memory. */
  get bytes(): number {
    return this.state.points.bytes + this.state.objects.bytes;
  }

  /**
   * Turns to a file. `head` are its first bytes (4 kB, or all there are); false while they are not a whole header. Throws
   * `journal_corrupt` or `journal_version` when it is no journal of this writer, or not the file of the saved position any more.
   */
  async openFile(number: number, head: Uint8Array): Promise<boolean> {
    const header = decodeHeader(head);
    if (header === undefined) return false;
    const { state } = this;
    const position = this.#position;
    if (header.writer !== this.writer) {
      throw new FieldbookError(
        'journal_corrupt',
        `A journal named after ${this.writer} is of the writer ${header.writer}.`,
      );
    }
    if (this.#reader === null && position !== null && position.file === number) {
      this.#reader = JournalReader.resume(head, position);
      state.startFile(position.names);
    } else {
      if (header.first > state.next) {
        if (state.next > 0) state.note(`${header.first - state.next} records before file ${number} are missing.`);
        // Coverage must not span what is missing: another device may have it.
        await this.#sealAll();
        state.next = header.first;
        state.coverFrom = header.first;
        state.objectsFrom = header.first;
      }
      this.#left = this.#readerPosition() ?? this.#left;
      this.#reader = new JournalReader();
      state.startFile();
    }
    this.#file = number;
    return true;
  }

  /** Takes in the bytes at `place`. */
  push(chunk: Uint8Array): JournalState {
    const reader = this.#reader!;
    const before = this.state.next;
    const result = reader.push(chunk, this.state);
    if (reader.header !== undefined) this.state.next = Math.max(before, reader.sequence);
    if (this.state.next > before) {
      this.#done = false;
      // It lives, whatever was thought of it.
      this.state.judge('running', this.#context.clock.now());
    }
    return result;
  }

  /** The verdict on the open file when no more will come. */
  finishFile(): JournalEnd {
    return this.#reader!.finish();
  }

  /** Goes on behind damage. Coverage must not span it, so what is before is made durable first. */
  async skip(found: Salvage): Promise<void> {
    this.state.note(`${found.lost} damaged records before byte ${found.offset} of file ${this.#file} are lost.`);
    await this.#sealAll();
    this.#reader!.skipTo(found);
    this.state.next = Math.max(this.state.next, found.sequence);
    this.state.coverFrom = Math.max(this.state.coverFrom, found.sequence);
    this.state.objectsFrom = Math.max(this.state.objectsFrom, found.sequence);
  }

  /** Takes a look from outside into account. */
  judge(verdict: 'running' | 'crashed' | 'lost'): void {
    if (this.state.judge(verdict, this.#context.clock.now())) this.#done = false;
  }

  /**
   * Writes what is due. `more`: bytes are waiting to be read, so points are gathered for large segments. `force`: everything
   * taken in is durable and on the card when this resolves. `seal`: unsealed points are sealed, to free their memory.
   */
  async commit(options: { more?: boolean; force?: boolean; seal?: boolean } = {}): Promise<void> {
    const { state } = this;
    const { more = false, force = false, seal = false } = options;
    if (this.purged || state.run === null || state.project === null) return;
    if (await this.#context.isPurged(state.run, state.project)) return await this.#forget();
    const now = this.#context.clock.now();
    const unsealed = state.points.length;
    const ended = state.status !== 'running';
    if (seal) await this.#sealAll();
    else if (unsealed >= POLICY.backlogPoints || this.#isBacklogFull()) await this.#seal();
    else if (more) return;
    else if (
      unsealed >= Math.max(POLICY.sealPoints, POLICY.sealPointsPerMetric * state.metrics.size) ||
      (unsealed > 0 && (ended || isDue(this.#sealedAt, POLICY.sealAge, now)))
    ) {
      await this.#seal();
    } else if (this.#objects.isDue(state, now) || (this.#isDirty() && (force || this.#isTailDue(now)))) {
      await this.#writeTail(now);
    }
    if (!more) await this.#writeCard(now, force);
  }

  /** The newest value of each metric since the last call; undefined when there is none or the writer has ended. */
  live(): Map<string, LiveValue> | undefined {
    const { state } = this;
    if (state.status !== 'running' || state.next === this.#liveNext) return undefined;
    const values = newestValues(state, this.#liveNext);
    this.#liveNext = state.next;
    return values.size === 0 ? undefined : values;
  }

  #isBacklogFull(): boolean {
    return this.#objects.isFull(this.state) || this.state.attachments.length >= POLICY.backlogEntries;
  }

  /** Points and object rows, to the last one. */
  async #sealAll(): Promise<void> {
    this.#objects.sealNext = this.state.objects.length > 0;
    await this.#seal();
  }

  /** Nothing more is to be expected of the writer. */
  get #hasEnded(): boolean {
    return this.state.closed || this.state.status === 'crashed' || this.state.status === 'preempted';
  }

  #isDirty(): boolean {
    const { state } = this;
    return (
      state.next !== this.#committedNext ||
      state.status !== this.#committedStatus ||
      state.entryChanges !== this.#committedEntry
    );
  }

  #isTailDue(now: number): boolean {
    return (
      this.#position === null || this.state.status !== this.#committedStatus || isDue(this.#tailAt, this.#tailWait, now)
    );
  }

  async #writeTail(now: number): Promise<void> {
    const { state } = this;
    const fresh = state.points.from(this.#tailed);
    if (fresh.metric.length === 0) {
      await this.#commitRun(() => {}, this.#tailSlots);
    } else {
      const first = this.#tailed === 0 ? state.coverFrom : state.points.ordinal[this.#tailed - 1]! + 1;
      const cover = { writer: this.writer, device: this.#context.device, first, last: state.next - 1 };
      const tail = tailOf(cover, fresh, state.metrics.names);
      if (tail === undefined) {
        await this.#seal();
        this.#tailWritten(now);
        return;
      }
      const slot = this.#tailSlots;
      await this.#commitRun((document) => document.putTail(tail, slot), slot + 1);
    }
    this.#tailed = state.points.length;
    this.#tailWritten(now);
  }

  #tailWritten(now: number): void {
    this.#tailAt = now;
    this.#tailWait = widened(this.#tailWait, POLICY.tailGrowth, POLICY.tailLast);
  }

  async #seal(): Promise<void> {
    const { state } = this;
    const { clock, compactor } = this.#context;
    if (state.points.length === 0) {
      if (this.#isDirty() || this.#objects.sealNext) await this.#commitRun(() => {}, this.#tailSlots);
      return;
    }
    const sealed = await Sealed.make(this.#context, state.run!, state);
    const slots = this.#tailSlots;
    const first = state.coverFrom;
    state.coverFrom = state.next;
    state.points.clear();
    this.#tailed = 0;
    // The only segment has no neighbours.
    this.#merges ||= first > 0;
    await this.#commitRun((document) => sealed.apply(document, slots), 0);
    this.#sealedAt = clock.now();
    if (this.#merges) compactor?.note(state.run!, this.writer, this.#hasEnded);
  }

  /** One transaction of the run document, and with it the state that belongs to it. */
  async #commitRun(change: (document: RunDocument) => void, tailSlots: number): Promise<void> {
    const { state } = this;
    const { device, clock, spool, compactor } = this.#context;
    const owner: SpoolOwner = { project: state.project!, run: state.run!, writer: this.writer };
    const objects = await this.#objects.change(state, owner, clock.now());
    const attachments = state.attachments.take(device);
    const ends = compactor !== undefined && this.#merges && this.#hasEnded && state.status !== this.#committedStatus;
    const position = this.#currentPosition();
    const { file, offset } = position;
    const entry = state.entryChanges === this.#committedEntry ? undefined : writerEntryOf(state, device);
    const tailPoints = tailSlots === 0 ? 0 : state.points.length;
    const saved = encodeSaved({ state, position, tailSlots, tailPoints, objects: objects.mark });
    await this.#context.replica.transact(
      runDocumentName(owner.run),
      (doc) => {
        const document = new RunDocument(doc);
        change(document);
        objects.apply(document);
        attachments.apply(document);
        if (entry !== undefined) document.putWriter(entry);
      },
      [
        putPrivate(stateKey(this.writer), saved),
        putPrivate(progressKey(this.writer), encodeProgress({ file, offset, done: false, purged: false })),
        ...(ends ? [endedMark(owner.run, this.writer)] : []),
      ],
    );
    this.#position = position;
    this.#tailSlots = tailSlots;
    this.#committedNext = state.next;
    this.#committedStatus = state.status;
    this.#committedEntry = state.entryChanges;
    if (ends) compactor.note(owner.run, this.writer, true);
    objects.committed();
    if (attachments.hasPending) spool?.filesPending(owner);
  }

  async #writeCard(now: number, force: boolean): Promise<void> {
    // A card never speaks of what is not durable: after a crash it would be ahead of the points.
    if (this.#isDirty() || this.#position === null) return;
    const { file, offset } = this.#position;
    this.#done = await this.#card.write(this.state, { file, offset }, now, force);
  }

  /** A purged run is not taken in any more: what it left in its document goes, the journal stays as it is. */
  async #forget(): Promise<void> {
    const { replica } = this.#context;
    const { file, offset } = this.place;
    await replica.putPrivate([
      [stateKey(this.writer), null],
      [cardMarkKey(this.writer), null],
      [progressKey(this.writer), encodeProgress({ file, offset, done: true, purged: true })],
    ]);
    this.purged = true;
    this.#done = true;
    this.state.points.clear();
    this.state.objects.clear();
  }

  #currentPosition(): FilePosition {
    const position = this.#readerPosition() ?? this.#left ?? this.#position;
    if (position === null) throw new FieldbookError('internal', 'A journal was committed before it was read.');
    return position;
  }

  #readerPosition(): FilePosition | null {
    const position = this.#reader?.position;
    return position === undefined ? null : { file: this.#file, ...position };
  }

  async #loadObjects(run: RunId): Promise<number> {
    return await this.#context.replica.read(runDocumentName(run), (doc) =>
      this.#objects.load(new RunDocument(doc), this.state),
    );
  }

  /** Brings the points of our tail entries back; how many there were. */
  async #loadTail(run: RunId): Promise<number> {
    const { state } = this;
    const { replica, device } = this.#context;
    await replica.read(runDocumentName(run), (doc) => {
      const document = new RunDocument(doc);
      for (let slot = 0; slot < this.#tailSlots; slot++) {
        const tail = document.get(tailKey(this.writer, device, slot));
        if (tail?.kind !== 'tail' || tail.first < state.coverFrom) continue;
        pushTail(state, tail);
      }
    });
    this.#tailed = state.points.length;
    return state.points.length;
  }
}
