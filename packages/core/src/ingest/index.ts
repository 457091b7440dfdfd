export * from './card.ts';
export * from './intake.ts';
export * from './metric-table.ts';
export * from './policy.ts';
export * from './purged-runs.ts';
export type * from './spool.ts';
export { decodeProgress, encodeProgress, PROGRESS_PREFIX, progressKey } from './saved.ts';
export type { Progress } from './saved.ts';
export * from './writer-state.ts';
