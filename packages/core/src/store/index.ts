export type { Aside } from './asides.ts';
export * from './document-store.ts';
export type { RestoreGuard } from './head.ts';
export type { CommitSource, HistoryOptions, HistoryStats, LoggedCommit } from './history.ts';
export * from './level-storage.ts';
export type { DocumentMeta } from './meta.ts';
export type { ArchivedCommit } from './replay.ts';
export { feedSeqOf, replayCommits } from './replay.ts';
export { readStored } from './parts.ts';
