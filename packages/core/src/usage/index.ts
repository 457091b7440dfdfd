export * from './folders.ts';
export * from './lines.ts';
export type { BlobKind } from './names.ts';
export { BLOB_KINDS, namedByRuns } from './names.ts';
export * from './orphans.ts';
export * from './report.ts';
export type { Amount, StoreKind } from './store-usage.ts';
