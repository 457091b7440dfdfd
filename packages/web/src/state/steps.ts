import type { Step } from './bulk.ts';

/** As many steps are kept. */
const UNDO_STEPS = 100;
/** How soon after the first step of a kind another one is part of it: whatever goes on for ever is no one gesture. */
const TOGETHER_MS = 3_000;

/** Steps with one more at their end, which is part of the last one when it is of its kind and comes soon after that one began. */
export function withStep(steps: readonly Step[], step: Step): Step[] {
  const last = steps.at(-1);
  if (last === undefined || step.kind === null || last.kind !== step.kind || step.at - last.at >= TOGETHER_MS)
    return [...steps.slice(-UNDO_STEPS + 1), step];
  return [...steps.slice(0, -1), { ...step, undo: last.undo, at: last.at }];
}
