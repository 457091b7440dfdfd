import type { ProjectId, RunId } from '@fieldbook/core';
import type { Change } from '@fieldbook/core/fold';
import type { EditReceipt } from '../worker/api.ts';
import { client } from './client.svelte.ts';

export interface Notice {
  id: number;
  text: string;
  /** What a button beside it does. */
  action: { label: string; run: () => void } | null;
  grave: boolean;
}

interface Done {
  what: string;
  receipt: EditReceipt;
}

const NOTICE_MS = 6_000;
/** How long an edit right after the page opens waits for the agent to say whose machine this is. */
const INTRODUCTION_MS = 2_000;
const LOOK_MS = 50;
const UNDO_STEPS = 100;

/** Everything a person changes goes through here: it asks once who they are, can be undone, and says what happened. */
class Actions {
  notices = $state.raw<readonly Notice[]>([]);
  /** Set while somebody has to say who they are; the dialog calls `answer`. */
  asksName = $state(false);
  #undo: Done[] = [];
  #redo: Done[] = [];
  #answer: ((given: boolean) => void) | null = null;
  #notice = 0;

  /** Changes runs; `what` completes "…": "Tagged 3 runs". Resolves false when nothing was changed. */
  async change(what: string, project: ProjectId, runs: readonly RunId[], changes: readonly Change[]): Promise<boolean> {
    if (runs.length === 0 || changes.length === 0) return false;
    if (!(await this.#hasName())) return false;
    try {
      const receipt = await client.worker.edit(project, runs, changes);
      if (receipt.edits.length === 0) return false;
      this.#undo = [...this.#undo.slice(-UNDO_STEPS + 1), { what, receipt }];
      this.#redo = [];
      this.say(what, { label: 'Undo', run: () => void this.undo() });
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  async undo(): Promise<void> {
    const last = this.#undo.pop();
    if (last === undefined) {
      this.say('There is nothing to undo.');
      return;
    }
    const receipt = await client.worker.undo(last.receipt);
    if (receipt.edits.length === 0) {
      this.say('Somebody has changed that since; nothing was undone.');
      return;
    }
    this.#redo.push({ what: last.what, receipt });
    this.say(`Undone: ${last.what}`, { label: 'Redo', run: () => void this.redo() });
  }

  async redo(): Promise<void> {
    const last = this.#redo.pop();
    if (last === undefined) return;
    const receipt = await client.worker.undo(last.receipt);
    this.#undo.push({ what: last.what, receipt });
    this.say(last.what, { label: 'Undo', run: () => void this.undo() });
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

  async #hasName(): Promise<boolean> {
    await serverSpoke();
    if (client.session?.person != null) return true;
    this.asksName = true;
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }
}

export const actions = new Actions();

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
