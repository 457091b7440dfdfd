export * from './reader.ts';
export * from './segment.ts';
