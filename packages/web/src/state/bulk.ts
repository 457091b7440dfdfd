import type { RunId } from '@fieldbook/core';
import type { EditReceipt } from '../worker/api.ts';

/** Whether something was done; `same`: no, for it is so already. */
export type Outcome = boolean | 'same';

/** How far the undoing, or the redoing, of a step came. */
export interface Turned {
  outcome: Outcome;
  /** What was turned, as a step that turns it back; null when nothing was. */
  done: Step | null;
  /** What is left, after a stop or an error. */
  rest: (Step & { runs: number }) | null;
  /** What ended it before its end; null for a stop. */
  error: unknown;
}

/** Something that can be taken back, and done again. */
export interface Step {
  /** What was done, in words. */
  what: string;
  undo: () => Promise<Outcome | Turned>;
  redo: () => Promise<Outcome | Turned>;
  /** Quick steps of one kind in a row are one: a word that is typed, a width that is dragged. */
  kind: string | null;
  at: number;
  /** Said with its undoing. */
  undone?: string;
}

/** What a change of many runs has written, part by part. */
export interface Parts<T> {
  edits: EditReceipt['edits'];
  /** Nothing was written, for it is so already. */
  same: boolean;
  /** What no part has come to, or whose part failed. */
  rest: readonly T[];
  /** What the part that failed threw; null without. */
  error: unknown;
}

/** Works on a list part by part until its end, a part that fails, or until `goesOn`, asked before each part, says no. Never rejects. */
export async function inParts<T>(
  list: readonly T[],
  atOnce: number,
  work: (part: T[]) => Promise<Pick<EditReceipt, 'edits' | 'same'>>,
  goesOn: (done: number) => boolean = () => true,
): Promise<Parts<T>> {
  const edits: EditReceipt['edits'] = [];
  let same = false;
  let error: unknown = null;
  let done = 0;
  while (done < list.length && goesOn(done)) {
    try {
      const written = await work(list.slice(done, done + atOnce));
      edits.push(...written.edits);
      same ||= written.same === true;
    } catch (problem) {
      error = problem ?? new Error('It failed.');
      break;
    }
    done += atOnce;
  }
  return { edits, same: same && edits.length === 0, rest: list.slice(done), error };
}

type Edits = EditReceipt['edits'];

interface Bulk {
  what: string;
  /** What was done, in words, to so many runs. */
  words: (runs: number) => string;
  edits: Edits;
  /** Said with its undoing; empty for nothing. */
  undone: string;
  /** Takes edits back by new ones, which it returns; `what` is what it is said to do meanwhile. */
  turn: (what: string, edits: Edits) => Promise<Parts<Edits[number]>>;
}

/** A change of runs as a step: where its undoing ends halfway, what was undone and what was not are steps of their own. */
export function bulkStep(bulk: Bulk): Step {
  const { what, words, edits, undone, turn } = bulk;
  const turned = async (label: string): Promise<Turned> => {
    const parts = await turn(label, edits);
    const { rest, error } = parts;
    const part = (some: Edits): string => (rest.length === 0 ? what : words(runsOf(some)));
    return {
      outcome: parts.same ? 'same' : parts.edits.length > 0,
      done: parts.edits.length === 0 ? null : bulkStep({ ...bulk, what: part(parts.edits), edits: parts.edits }),
      rest:
        rest.length === 0
          ? null
          : { ...bulkStep({ ...bulk, what: part([...rest]), edits: [...rest] }), runs: runsOf([...rest]) },
      error,
    };
  };
  return { what, undo: () => turned(`Undoing: ${what}`), redo: () => turned(what), kind: null, at: 0, undone };
}

/** How many runs these edits are of. */
export function runsOf(edits: readonly { run: RunId }[]): number {
  return new Set(edits.map(({ run }) => run)).size;
}
