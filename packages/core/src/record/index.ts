export * from './card.ts';
export * from './digest.ts';
export * from './directory.ts';
export * from './edit.ts';
export * from './entry.ts';
export * from './file-entry.ts';
export * from './object-entry.ts';
export * from './value.ts';
