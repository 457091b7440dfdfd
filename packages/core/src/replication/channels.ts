import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { Frame } from './protocol.ts';

/** A document as the other side numbered it. */
export interface Channel {
  name: DocumentName;
  generation: number;
}

/** Channels kept open without anything under way, so that a document that changes often is named once. */
const IDLE_MAX = 64;
/** More than this many at once is nobody who follows the rules. */
const THEIRS_MAX = 8_192;

interface OwnChannel extends Channel {
  number: number;
  /** Messages sent in it that were neither acknowledged, answered nor refused. */
  busy: number;
}

/**
 * The numbers that stand for documents on one connection. Each side numbers what it sends; a number is never used
 * twice, and a channel is closed only when nothing sent in it waits for an answer.
 */
export class Channels {
  readonly #send: (frame: Frame) => void;
  /** Ours, least recently used first. */
  readonly #own = new Map<DocumentName, OwnChannel>();
  readonly #byNumber = new Map<number, OwnChannel>();
  readonly #theirs = new Map<number, Channel>();
  #next = 1;

  constructor(send: (frame: Frame) => void) {
    this.#send = send;
  }

  /** The number to send in, opened when there is none; pair with `idle` when the answer is there. */
  busy(name: DocumentName, generation: number): number {
    let channel = this.#own.get(name);
    if (channel !== undefined && channel.generation !== generation) {
      this.#own.delete(name);
      channel = undefined;
    }
    if (channel === undefined) {
      channel = { name, generation, number: this.#next++, busy: 0 };
      this.#byNumber.set(channel.number, channel);
      this.#send({ kind: 'open', channel: channel.number, name, generation });
    }
    this.#own.delete(name);
    this.#own.set(name, channel);
    channel.busy += 1;
    return channel.number;
  }

  /** Something sent in a channel is answered. */
  idle(number: number): void {
    const channel = this.#byNumber.get(number);
    if (channel === undefined) return;
    channel.busy = Math.max(0, channel.busy - 1);
    if (this.#own.get(channel.name) !== channel && channel.busy === 0) this.#close(channel);
    if (this.#own.size <= IDLE_MAX) return;
    for (const candidate of this.#own.values()) {
      if (candidate.busy > 0) continue;
      this.#own.delete(candidate.name);
      this.#close(candidate);
      if (this.#own.size <= IDLE_MAX) return;
    }
  }

  /** A document that something was sent of, and may wait for an answer. */
  names(name: DocumentName): boolean {
    return this.#own.has(name);
  }

  /** The same for a refusal, which names the document. */
  answered(name: DocumentName): void {
    const channel = this.#own.get(name);
    if (channel !== undefined) this.idle(channel.number);
  }

  /** The document behind a number of ours. */
  own(number: number): DocumentName | undefined {
    return this.#byNumber.get(number)?.name;
  }

  opened(number: number, channel: Channel): void {
    if (this.#theirs.has(number)) throw new FieldbookError('protocol_violation', `Channel ${number} is open already.`);
    if (this.#theirs.size >= THEIRS_MAX) throw new FieldbookError('protocol_violation', 'Too many channels are open.');
    this.#theirs.set(number, channel);
  }

  closed(number: number): void {
    this.#theirs.delete(number);
  }

  /** The document behind a number of theirs. Throws `protocol_violation`. */
  theirs(number: number): Channel {
    const channel = this.#theirs.get(number);
    if (channel === undefined) throw new FieldbookError('protocol_violation', `Channel ${number} is not open.`);
    return channel;
  }

  #close(channel: OwnChannel): void {
    this.#byNumber.delete(channel.number);
    this.#send({ kind: 'close', channel: channel.number });
  }
}
