export * from './clock.ts';
export * from './fault-storage.ts';
export * from './links.ts';
export * from './memory-blob-store.ts';
export * from './random.ts';
export * from './records.ts';
export * from './timers.ts';
