export * from './clock.ts';
export * from './random.ts';
export * from './records.ts';
export * from './memory-blob-store.ts';
export * from './storage-contract.ts';
export * from './blob-store-contract.ts';
export * from './clock-contract.ts';
export * from './fault-storage.ts';
