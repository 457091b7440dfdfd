export * from './clock.ts';
export * from './random.ts';
export * from './records.ts';
export * from './memory-blob-store.ts';
