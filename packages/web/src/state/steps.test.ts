import { describe, expect, it } from 'vitest';
import type { Step } from './bulk.ts';
import { withStep } from './steps.ts';

/** What undoing the steps from the last to the first takes back. */
async function undone(made: readonly { kind: string | null; at: number }[]): Promise<number[]> {
  const back: number[] = [];
  const step = ({ kind, at }: { kind: string | null; at: number }): Step => ({
    what: 'Moved it',
    kind,
    at,
    undo: async () => (back.push(at), true),
    redo: async () => true,
  });
  let steps: Step[] = [];
  for (const each of made) steps = withStep(steps, step(each));
  for (const { undo } of steps.toReversed()) await undo();
  return back;
}

const every = (apart: number, kind: string | null): { kind: string | null; at: number }[] =>
  Array.from({ length: 10 }, (_, place) => ({ kind, at: 100 + place * apart }));

describe('steps to undo', () => {
  it('[WEB-45] of one gesture are one, back to where it began', async () => {
    expect(await undone(every(100, 'zoom'))).toEqual([100]);
  });

  it('[WEB-45] do not grow for ever while changes go on', async () => {
    expect(await undone(every(2_000, 'zoom'))).toEqual([16_100, 12_100, 8_100, 4_100, 100]);
  });

  it('[WEB-45] of another kind, and of none, stand alone however soon they come', async () => {
    expect(await undone(every(1, null))).toHaveLength(10);
    const turns = every(1, 'zoom').map(({ at }, place) => ({ at, kind: place % 2 === 0 ? 'zoom' : 'words' }));
    expect(await undone(turns)).toHaveLength(10);
  });
});
