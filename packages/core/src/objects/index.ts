export * from './console.ts';
export * from './reader.ts';
export * from './segment.ts';
