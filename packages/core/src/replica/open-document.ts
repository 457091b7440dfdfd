import * as Y from 'yjs';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { DocumentMeta } from '../store/index.ts';
import type { Sender } from './admission.ts';
import { factsOf, inspectTransaction, inspectUpdate } from './admission.ts';

/** Yjs observes a change in one transaction with this origin: it is ours to judge. */
const JUDGED = Symbol('judged');
/** The same for a whole document that is to replace another. */
const WHOLE = Symbol('whole');

/**
 * One Yjs document in memory. It may be ahead of the disk by what is under way (`pending`), and by nothing else: after
 * a change that was refused, threw or could not be stored it must be thrown away, which the `Refused` error or the
 * caller's own knowledge says.
 */
export class OpenDocument {
  readonly name: DocumentName;
  readonly doc: Y.Doc;
  /** The last commit under way, if any; settles when all before it have, too. */
  pending: Promise<DocumentMeta> | undefined;
  underWay = 0;
  /** Bytes on disk that whoever holds the document in memory takes it for. */
  counted = 0;
  /** Epoch of the store for which `doc.clientID` was chosen. */
  epoch: number;
  /** True from when memory must not be believed any more. */
  spoilt = false;
  #produced: Uint8Array | undefined;
  #refusal: FieldbookError | undefined;
  /** Who sent what is being applied. */
  #sender: Sender | undefined;

  /** Throws when `parts` do not make a whole document. */
  constructor(name: DocumentName, parts: readonly Uint8Array[], epoch: number) {
    this.name = name;
    // Without one Yjs makes a UUID, of 31 calls to the system's random numbers: more than loading most documents.
    this.doc = new Y.Doc({ guid: name });
    this.epoch = epoch;
    load(this.doc, parts);
    if (this.#hasPending()) throw new FieldbookError('store_corrupt', 'A stored update is missing.');
    this.doc.on('afterTransaction', (transaction: Y.Transaction) => {
      if (transaction.origin !== JUDGED && transaction.origin !== WHOLE) return;
      try {
        inspectTransaction(name, this.doc, transaction, transaction.origin === WHOLE);
        this.#sender?.judge?.(factsOf(name, this.doc, transaction));
      } catch (error) {
        this.#refusal = asFieldbookError(error, 'update_malformed');
      }
    });
    this.doc.on('update', (update: Uint8Array) => {
      this.#produced = this.#produced === undefined ? update : Y.mergeUpdates([this.#produced, update]);
    });
  }

  /** The clock that `client` uses next. */
  stateOf(client: number): number {
    return Y.getState(this.doc.store, client);
  }

  /**
   * Makes a local change; gives the update, undefined when nothing changed. With `judged` it must pass what remote ones
   * must: a document that everybody else refuses would never leave this machine. Spoils the document if it throws after
   * it has changed something.
   */
  change(change: (doc: Y.Doc) => void, judged: boolean): Uint8Array | undefined {
    return this.#judge(() => this.doc.transact(() => change(this.doc), judged ? JUDGED : null));
  }

  /** Applies a remote update; gives what of it was new. Throws the codes of admission. `renew` gives another client id; `whole`: as `inspectTransaction` has it. */
  apply(update: Uint8Array, renew: () => number, whole = false, sender?: Sender): Uint8Array | undefined {
    const { spans } = inspectUpdate(this.name, update, (client) => this.stateOf(client), this.doc.store.clients.size);
    const own = this.doc.clientID;
    // Somebody has seen our client id go further than we have: this store was restored or copied. Take what they know
    // and write under another id. (Yjs would do the same after the fact, and say so on the console.)
    if ((spans.get(own)?.end ?? 0) > this.stateOf(own)) this.doc.clientID = renew();
    return this.#judge(() => {
      try {
        this.#sender = sender;
        Y.applyUpdate(this.doc, update, whole ? WHOLE : JUDGED);
      } catch (error) {
        throw new FieldbookError('update_malformed', `An update of ${this.name} cannot be applied.`, { cause: error });
      }
      if (this.#refusal === undefined && this.#hasPending()) {
        const message = `An update of ${this.name} needs changes that have not arrived.`;
        throw new FieldbookError('missing_dependency', message);
      }
    });
  }

  destroy(): void {
    this.spoilt = true;
    this.doc.destroy();
  }

  /** True when something changed the document outside of `change` and `apply`. */
  wasTouched(): boolean {
    return this.#produced !== undefined;
  }

  #judge(work: () => void): Uint8Array | undefined {
    this.#produced = undefined;
    this.#refusal = undefined;
    try {
      work();
      if (this.#refusal !== undefined) throw this.#refusal;
      return this.#produced;
    } catch (error) {
      // Yjs keeps what was done before the throw.
      this.spoilt = this.#produced !== undefined || this.#hasPending();
      throw error;
    } finally {
      this.#sender = undefined;
      this.#produced = undefined;
    }
  }

  #hasPending(): boolean {
    return this.doc.store.pendingStructs !== null || this.doc.store.pendingDs !== null;
  }
}

/**
 * One transaction for all of them: merging is super-linear, and one by one costs a transaction each. A function of its
 * own, because closures of one scope share what they capture: the listeners would keep every stored byte alive.
 */
function load(doc: Y.Doc, parts: readonly Uint8Array[]): void {
  doc.transact(() => {
    for (const part of parts) Y.applyUpdate(doc, part);
  }, 'load');
}
