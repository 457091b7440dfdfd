import type { ProjectId, RunId } from '@fieldbook/core';
import type { Change } from '@fieldbook/core/fold';
import type { EditReceipt } from '../worker/api.ts';
import { VIEWER_WORDS } from '../app/words.ts';
import type { Outcome, Parts, Step, Turned } from './bulk.ts';
import { bulkStep, inParts, runsOf } from './bulk.ts';
import { client } from './client.svelte.ts';
import { withStep } from './steps.ts';

export interface Notice {
  id: number;
  text: string;
  /** What a button beside it does. */
  action: { label: string; run: () => void } | null;
  grave: boolean;
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
  #asking: Promise<boolean> | null = null;
  #notice = 0;

  /**
   * Changes runs; `what` says it done: "Tagged 3 runs", of as many as it is asked about where it can stop halfway. `undone` is what
   * to know once it is taken back. Resolves false when nothing was changed.
   */
  async change(
    what: string | ((runs: number) => string),
    project: ProjectId,
    runs: readonly RunId[],
    changes: readonly Change[],
    undone = '',
  ): Promise<boolean> {
    if (runs.length === 0 || changes.length === 0) return false;
    if (!(await this.#hasName())) return false;
    const words = typeof what === 'string' ? () => what : what;
    const all = words(runs.length);
    const { edits, rest, error } = await this.#inParts(all, runs, (part) => client.worker.edit(project, part, changes));
    if (error !== null) this.fail(error);
    if (edits.length === 0) {
      if (rest.length > 0 && error === null) this.say('Stopped; nothing was changed.');
      return false;
    }
    const step = bulkStep({
      what: rest.length === 0 ? all : words(runsOf(edits)),
      words,
      edits,
      undone,
      turn: (label, list) => this.#inParts(label, list, (part) => client.worker.undo({ project, edits: part })),
    });
    const said = `${step.what}${left(rest.length)}`;
    // Whoever has the bytes may be sending them already, and a purge holds: nothing takes these back.
    if (changes.every(({ field }) => field === 'request' || field === 'purge')) this.say(`${said}.`);
    else this.#done(step, said);
    return true;
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
    this.#push({ what, undo: async () => (undo(), true), redo: async () => (redo(), true), kind, at });
  }

  undo(): Promise<void> {
    return this.#next(async () => {
      const last = this.#undo.pop();
      if (last === undefined) {
        this.say('There is nothing to undo.');
        return;
      }
      const { outcome, done, rest } = this.#heard(last, await last.undo());
      if (rest !== null) this.#undo.push(rest);
      if (outcome === 'same' && rest === null) {
        this.say(`There is nothing to take back of “${last.what}”: it says what it said before.${after(last)}`);
        return;
      }
      if (done === null) {
        if (rest === null) this.say('Somebody has changed that since; nothing was undone.');
        return;
      }
      this.#redo.push(done);
      this.say(`Undone: ${done.what}${left(rest?.runs)}${last.undone ? '.' : ''}${after(last)}`, {
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
      const { done, rest } = this.#heard(last, await last.redo());
      if (rest !== null) this.#redo.push(rest);
      if (done === null) {
        if (rest === null) this.say('Somebody has changed that since; nothing was done again.');
        return;
      }
      this.#undo.push({ ...done, kind: null });
      this.say(`Done again: ${done.what}${left(rest?.runs)}`, { label: 'Undo', run: () => void this.undo() });
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

  /** How far a step was turned; says what ended it early. */
  #heard(step: Step, answer: Outcome | Turned): Turned {
    if (typeof answer !== 'object')
      return { outcome: answer, done: answer === true ? step : null, rest: null, error: null };
    if (answer.error !== null) this.fail(answer.error);
    else if (answer.done === null && answer.rest !== null) this.say('Stopped before anything was done.');
    return answer;
  }

  #done(step: Step, said = step.what): void {
    this.#push(step);
    this.say(said, { label: 'Undo', run: () => void this.undo() });
  }

  #push(step: Step): void {
    this.#undo = withStep(this.#undo, step);
    this.#redo = [];
  }

  async #next(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => this.fail(error));
    return this.#turn;
  }

  /** What was stopped halfway is done as far as it came, and one step to undo. */
  async #inParts<T>(what: string, list: readonly T[], work: (part: T[]) => Promise<EditReceipt>): Promise<Parts<T>> {
    const all = list.length;
    let stopped = false;
    try {
      return await inParts(list, AT_ONCE, work, (done) => {
        if (all > AT_ONCE) this.progress = { what, done, all, stop: () => (stopped = true) };
        return !stopped;
      });
    } finally {
      this.progress = null;
    }
  }

  async #hasName(): Promise<boolean> {
    await serverSpoke();
    if (client.isViewer) {
      this.say(VIEWER_WORDS, null, true);
      return false;
    }
    if (client.session?.person != null) return true;
    this.asksName = true;
    // Whoever edits twice before the answer is asked once.
    this.#asking ??= new Promise<boolean>((resolve) => (this.#answer = resolve)).finally(() => (this.#asking = null));
    return this.#asking;
  }
}

export const actions = new Actions();

/** Said of what a stop or an error has left undone. */
function left(runs = 0): string {
  return runs === 0 ? '' : `; stopped before the other ${runs.toLocaleString('en')}`;
}

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
