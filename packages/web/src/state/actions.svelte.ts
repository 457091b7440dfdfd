import type { ProjectId, RunId } from '@fieldbook/core';
import type { Change } from '@fieldbook/core/fold';
import type { EditReceipt } from '../worker/api.ts';
import { VIEWER_WORDS } from '../app/words.ts';
import { client } from './client.svelte.ts';

export interface Notice {
  id: number;
  text: string;
  /** What a button beside it does. */
  action: { label: string; run: () => void } | null;
  grave: boolean;
}

/** Whether something was done; `same`: no, for it is so already. */
type Outcome = boolean | 'same';

/** Something that can be taken back, and done again. */
interface Step {
  /** What was done, in words. */
  what: string;
  undo: () => Promise<Outcome>;
  redo: () => Promise<Outcome>;
  /** Quick steps of one kind in a row are one: a word that is typed, a width that is dragged. */
  kind: string | null;
  at: number;
  /** Said with its undoing. */
  undone?: string;
}

/** A change of what is shown, as opposed to what is recorded: taken back without anybody else noticing. */
export interface ViewStep {
  what: string;
  /** Steps of the same kind in quick succession become one. */
  kind?: string;
  undo: () => void;
  redo: () => void;
}

const NOTICE_MS = 6_000;
/** How long an edit right after the page opens waits for the agent to say whose machine this is. */
const INTRODUCTION_MS = 2_000;
const LOOK_MS = 50;
const UNDO_STEPS = 100;
/** How soon a step of a kind must follow the one before to be part of it. */
const TOGETHER_MS = 3_000;
/** Runs changed in one message to the worker: between two of them it answers others, and the change can be stopped. */
const AT_ONCE = 1_000;

/** Everything a person changes goes through here: it asks once who they are, can be undone, and says what happened. */
class Actions {
  notices = $state.raw<readonly Notice[]>([]);
  /** Set while somebody has to say who they are; the dialog calls `answer`. */
  asksName = $state(false);
  /** A change of many runs that is under way. */
  progress = $state.raw<{ what: string; done: number; all: number; stop: () => void } | null>(null);
  #undo: Step[] = [];
  #redo: Step[] = [];
  /** What the last step of writing has written. */
  #sitting: EditReceipt | null = null;
  /** Undo and redo one after the other, however fast the keys. */
  #turn: Promise<void> = Promise.resolve();
  #answer: ((given: boolean) => void) | null = null;
  #notice = 0;

  /** Changes runs; `what` completes "…": "Tagged 3 runs". `undone` is what to know once it is taken back. Resolves false when nothing was changed. */
  async change(
    what: string,
    project: ProjectId,
    runs: readonly RunId[],
    changes: readonly Change[],
    undone = '',
  ): Promise<boolean> {
    if (runs.length === 0 || changes.length === 0) return false;
    if (!(await this.#hasName())) return false;
    try {
      let receipt = await this.#inParts(what, project, runs, (part) => client.worker.edit(project, part, changes));
      if (receipt.edits.length === 0) return false;
      // Whoever has the bytes may be sending them already; nothing takes that back.
      if (changes.every(({ field }) => field === 'request')) {
        this.say(`${what}.`);
        return true;
      }
      const turn = async (words: string): Promise<Outcome> => {
        const turned = await this.#inParts(words, project, receipt.edits, (edits) =>
          client.worker.undo({ project, edits }),
        );
        if (turned.same === true) return 'same';
        receipt = turned;
        return receipt.edits.length > 0;
      };
      this.#done({ what, undo: () => turn(`Undoing: ${what}`), redo: () => turn(what), kind: null, at: 0, undone });
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /** Writes something that is no edit of a run and that another record takes back, as a saved view. */
  async write(what: string, redo: () => Promise<unknown>, undo: () => Promise<unknown>): Promise<boolean> {
    if (!(await this.#hasName())) return false;
    try {
      await redo();
      const worked = async (work: () => Promise<unknown>): Promise<boolean> => {
        await work();
        return true;
      };
      this.#done({ what, undo: () => worked(undo), redo: () => worked(redo), kind: null, at: 0 });
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /** Takes note of an edit that the worker made of what was written; those of one sitting are undone together. */
  wrote(what: string, { project, edits }: EditReceipt, sitting: string): void {
    const kind = `wrote ${sitting}`;
    if (this.#undo.at(-1)?.kind === kind && this.#sitting !== null) {
      this.#sitting.edits = [...this.#sitting.edits, ...edits];
      return;
    }
    const receipt = { project, edits };
    this.#sitting = receipt;
    const turn = async (): Promise<boolean> => {
      receipt.edits = (await client.worker.undo({ ...receipt })).edits;
      return receipt.edits.length > 0;
    };
    this.#push({ what, undo: turn, redo: turn, kind, at: 0 });
  }

  /** Asks who this is unless it is known. Resolves false when nobody says. */
  introduced(): Promise<boolean> {
    return this.#hasName();
  }

  /** Takes note of a change of what is shown, already made. It is seen, so it is not said. */
  did({ what, kind = null, undo, redo }: Omit<ViewStep, 'kind'> & { kind?: string | null }): void {
    const at = performance.now();
    const last = this.#undo.at(-1);
    const one = last !== undefined && kind !== null && last.kind === kind && at - last.at < TOGETHER_MS ? last : null;
    const step: Step = {
      what,
      undo: one?.undo ?? (async () => (undo(), true)),
      redo: async () => (redo(), true),
      kind,
      at,
    };
    if (one !== null) this.#undo.pop();
    this.#push(step);
  }

  undo(): Promise<void> {
    return this.#next(async () => {
      const last = this.#undo.pop();
      if (last === undefined) {
        this.say('There is nothing to undo.');
        return;
      }
      const outcome = await last.undo();
      if (outcome === 'same') {
        this.say(`There is nothing to take back of “${last.what}”: it says what it said before.${after(last)}`);
        return;
      }
      if (!outcome) {
        this.say('Somebody has changed that since; nothing was undone.');
        return;
      }
      this.#redo.push(last);
      this.say(`Undone: ${last.what}${last.undone ? '.' : ''}${after(last)}`, {
        label: 'Redo',
        run: () => void this.redo(),
      });
    });
  }

  redo(): Promise<void> {
    return this.#next(async () => {
      const last = this.#redo.pop();
      if (last === undefined) {
        this.say('There is nothing to redo.');
        return;
      }
      if ((await last.redo()) !== true) {
        this.say('Somebody has changed that since; nothing was done again.');
        return;
      }
      this.#undo.push({ ...last, kind: null });
      this.say(`Done again: ${last.what}`, { label: 'Undo', run: () => void this.undo() });
    });
  }

  async answer(name: string | null): Promise<void> {
    if (name !== null) await client.worker.setPerson(name);
    this.asksName = false;
    this.#answer?.(name !== null);
    this.#answer = null;
  }

  say(text: string, action: Notice['action'] = null, grave = false): void {
    const id = (this.#notice += 1);
    this.notices = [...this.notices.slice(-2), { id, text, action, grave }];
    setTimeout(() => this.dismiss(id), grave ? 2 * NOTICE_MS : NOTICE_MS);
  }

  fail(error: unknown): void {
    this.say(error instanceof Error ? error.message : String(error), null, true);
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  #done(step: Step): void {
    this.#push(step);
    this.say(step.what, { label: 'Undo', run: () => void this.undo() });
  }

  #push(step: Step): void {
    this.#undo = [...this.#undo.slice(-UNDO_STEPS + 1), step];
    this.#redo = [];
  }

  async #next(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => this.fail(error));
    return this.#turn;
  }

  /** What was stopped halfway is done as far as it came, and one step to undo. */
  async #inParts<T>(
    what: string,
    project: ProjectId,
    list: readonly T[],
    work: (part: T[]) => Promise<EditReceipt>,
  ): Promise<EditReceipt> {
    const edits: EditReceipt['edits'] = [];
    let same = false;
    let stopped = false;
    try {
      for (let from = 0; from < list.length && !stopped; from += AT_ONCE) {
        if (list.length > AT_ONCE) this.progress = { what, done: from, all: list.length, stop: () => (stopped = true) };
        const done = await work(list.slice(from, from + AT_ONCE));
        edits.push(...done.edits);
        same ||= done.same === true;
      }
    } finally {
      this.progress = null;
    }
    return edits.length === 0 && same ? { project, edits, same } : { project, edits };
  }

  async #hasName(): Promise<boolean> {
    await serverSpoke();
    if (client.isViewer) {
      this.say(VIEWER_WORDS, null, true);
      return false;
    }
    if (client.session?.person != null) return true;
    this.asksName = true;
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }
}

export const actions = new Actions();

function after({ undone = '' }: Step): string {
  return undone === '' ? '' : ` ${undone}`;
}

/**
 * Resolves when the server has said what it is, or does not answer. An agent knows its owner and says so a moment after
 * the page opens; asking for the name in that moment would swallow the key that made the edit.
 */
async function serverSpoke(): Promise<void> {
  for (let waited = 0; waited < INTRODUCTION_MS; waited += LOOK_MS) {
    const { session } = client;
    if (session !== null && (session.person !== null || session.server !== null)) return;
    const state = session?.connection.state;
    if (state === 'offline' || state === 'refused') return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
