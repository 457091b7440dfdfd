import { Book, RunDocument, Workspace } from '../documents/index.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import { bookName, monthOf, runDocumentName, WORKSPACE_DOCUMENT } from '../ids.ts';
import type { BatchOperation } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import { cardOf, hasCard, hasSystemMetrics, writerEntryOf } from './card.ts';
import { isDue, POLICY, widened } from './policy.ts';
import type { CardMark } from './saved.ts';
import { cardMarkKey, decodeCardMark, encodeCardMark, encodeProgress, progressKey, putPrivate } from './saved.ts';
import type { WriterState } from './writer-state.ts';

export interface CardContext {
  replica: Pick<Replica, 'transact' | 'getPrivate'>;
  device: DeviceId;
  /** Books that the workspace is known to list; shared by all writers of a replica. */
  listed: Set<string>;
}

/**
 * Writes one writer's card when it is due. The card is a summary of durable state and can be made again at any time; what is kept
 * beside it, in the same batch, is when it was written and what it said, so that intervals go on widening over restarts.
 */
export class CardKeeper {
  readonly #context: CardContext;
  readonly #writer: WriterId;
  #mark: CardMark | undefined;

  constructor(context: CardContext, writer: WriterId) {
    this.#context = context;
    this.#writer = writer;
  }

  async load(): Promise<void> {
    const bytes = await this.#context.replica.getPrivate(cardMarkKey(this.#writer));
    this.#mark = bytes === undefined ? undefined : decodeCardMark(bytes);
  }

  /**
   * Writes the card if it is due, or says something new and `force` is set. True when the writer has ended and its card says
   * all of it. `place` is the durable position.
   */
  async write(
    state: WriterState,
    place: { file: number; offset: number },
    now: number,
    force: boolean,
  ): Promise<boolean> {
    const ended = state.status !== 'running';
    const ordinal = Math.max(0, state.next - 1);
    if (!this.#isDue(state, ordinal, now, force)) return ended && this.#mark?.ordinal === ordinal;
    const next = this.#next(state, ordinal, now);
    const kept = [
      putPrivate(cardMarkKey(this.#writer), encodeCardMark(next)),
      putPrivate(progressKey(this.#writer), encodeProgress({ ...place, done: ended, purged: false })),
    ];
    const isCarded = hasCard(state);
    if (!isCarded || hasSystemMetrics(state)) {
      const entry = writerEntryOf(state, this.#context.device);
      await this.#context.replica.transact(
        runDocumentName(state.run!),
        (doc) => new RunDocument(doc).putWriter(entry),
        isCarded ? [] : kept,
      );
    }
    if (isCarded) await this.#writeCard(state, kept);
    this.#mark = next;
    return ended;
  }

  async #writeCard(state: WriterState, kept: readonly BatchOperation[]): Promise<void> {
    const project = state.project!;
    const month = monthOf(state.created);
    const name = bookName(project, month);
    const { replica, listed, device } = this.#context;
    if (!listed.has(name)) {
      const { title, created } = state;
      await replica.transact(
        WORKSPACE_DOCUMENT,
        (doc) => void new Workspace(doc).ensureBook(project, month, title, created),
      );
      listed.add(name);
    }
    const card = cardOf(state, device);
    await replica.transact(name, (doc) => new Book(doc).putCard(card), kept);
  }

  #isDue(state: WriterState, ordinal: number, now: number, force: boolean): boolean {
    const mark = this.#mark;
    if (mark === undefined || mark.status !== state.status) return true;
    if (ordinal !== mark.ordinal && (force || state.status !== 'running' || isDue(mark.at, mark.wait, now)))
      return true;
    return mark.details !== state.details && (force || isDue(mark.at, mark.detailWait, now));
  }

  #next(state: WriterState, ordinal: number, now: number): CardMark {
    const said = { at: now, ordinal, status: state.status, details: state.details };
    const mark = this.#mark;
    if (mark === undefined) return { ...said, wait: POLICY.cardFirst, detailWait: POLICY.detailFirst };
    const wider = (wait: number): number => widened(wait, POLICY.cardGrowth, POLICY.cardLast);
    const detailWait = mark.details === state.details ? mark.detailWait : wider(mark.detailWait);
    return { ...said, wait: wider(mark.wait), detailWait };
  }
}
