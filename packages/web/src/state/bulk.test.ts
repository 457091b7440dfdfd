import type { EditId, RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { EditReceipt } from '../worker/api.ts';
import type { Step, Turned } from './bulk.ts';
import { bulkStep, inParts } from './bulk.ts';

type Edits = EditReceipt['edits'];

const edit = (run: number, id = `edit-${run}`): Edits[number] => ({ run: `run-${run}` as RunId, id: id as EditId });
const runs = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const words = (count: number): string => `Archived ${count} runs`;
const FULL = new Error('the disk is full');

/** A step over ten runs in parts of four; `ends` says what happens before a part: a stop, or an error in it. */
function stepOf(ends: (part: number) => 'stop' | 'fail' | 'go'): { step: Step; turned: RunId[] } {
  const turned: RunId[] = [];
  let parts = 0;
  const step = bulkStep({
    what: words(10),
    words,
    undone: '',
    edits: runs(10).map((run) => edit(run)),
    turn: (_what, edits) =>
      inParts(
        edits,
        4,
        async (part) => {
          if (ends(parts) === 'fail') {
            parts += 1;
            throw FULL;
          }
          parts += 1;
          turned.push(...part.map(({ run }) => run));
          return { edits: part.map(({ run, id }) => ({ run, id: `${id}-back` as EditId })) };
        },
        () => ends(parts) !== 'stop',
      ),
  });
  return { step, turned };
}

describe('a change of many runs', () => {
  it('[WEB-45] knows what was written when it is stopped, when a part fails, and when it comes to its end', async () => {
    const write = async (part: number[]) => ({ edits: part.map((run) => edit(run)) });
    const whole = await inParts(runs(10), 4, write);
    expect([whole.edits.length, whole.rest, whole.error]).toEqual([10, [], null]);

    const stopped = await inParts(runs(10), 4, write, (done) => done < 4);
    expect(stopped.edits.map(({ run }) => run)).toEqual(['run-0', 'run-1', 'run-2', 'run-3']);
    expect([stopped.rest, stopped.error]).toEqual([[4, 5, 6, 7, 8, 9], null]);

    const failed = await inParts(runs(10), 4, async (part) => {
      if (part.includes(8)) throw FULL;
      return write(part);
    });
    expect(failed.edits).toHaveLength(8);
    expect([failed.rest, failed.error]).toEqual([[8, 9], FULL]);

    // One that says nothing new is the same only when nothing else was written.
    const half = await inParts(runs(8), 4, async (part) =>
      part.includes(0) ? { edits: [], same: true } : write(part),
    );
    expect([half.same, half.edits.length]).toEqual([false, 4]);
    expect((await inParts(runs(8), 4, async () => ({ edits: [], same: true }))).same).toBe(true);
  });

  it.each(['stop', 'fail'] as const)(
    '[WEB-45] whose undoing ends halfway (%s) is two steps: what was undone, to be redone, and the rest, to be undone',
    async (end) => {
      const { step, turned } = stepOf((part) => (part === 1 && turned.length === 4 ? end : 'go'));
      const first = (await step.undo()) as Turned;
      expect(turned).toHaveLength(4);
      expect(first.error).toBe(end === 'fail' ? FULL : null);
      expect([first.outcome, first.done?.what]).toEqual([true, 'Archived 4 runs']);
      expect([first.rest?.what, first.rest?.runs]).toEqual(['Archived 6 runs', 6]);

      turned.push('mark' as RunId);
      const second = (await first.rest!.undo()) as Turned;
      expect(turned.slice(5)).toEqual(
        runs(10)
          .slice(4)
          .map((run) => `run-${run}`),
      );
      expect([second.rest, second.done?.what]).toEqual([null, 'Archived 6 runs']);

      turned.length = 0;
      await second.done!.redo();
      await first.done!.redo();
      expect(new Set(turned)).toEqual(new Set(runs(10).map((run) => `run-${run}`)));
      expect(turned).toHaveLength(10);
    },
  );

  it('[WEB-45] is told in its own words when its undoing comes to the end', async () => {
    const { step } = stepOf(() => 'go');
    const turned = (await step.undo()) as Turned;
    expect([turned.rest, turned.done?.what]).toEqual([null, 'Archived 10 runs']);
  });
});
