export * from './file-blob-store.ts';
export * from './removals.ts';
