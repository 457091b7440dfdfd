export * from './document-store.ts';
export * from './level-storage.ts';
