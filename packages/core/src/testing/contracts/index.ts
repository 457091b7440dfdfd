// Apart from the rest of testing because it imports vitest, which benchmarks and demos cannot.
export * from './blob-store.ts';
export * from './clock.ts';
export * from './link.ts';
export * from './query-engine.ts';
export * from './storage.ts';
export * from './timers.ts';
