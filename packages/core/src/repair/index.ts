export * from './carry-over.ts';
export * from './generation.ts';
export * from './rebuild.ts';
export * from './command.ts';
export * from './elsewhere.ts';
