export * from './document-store.ts';
export type { RestoreGuard } from './head.ts';
export * from './level-storage.ts';
export type { DocumentMeta } from './meta.ts';
