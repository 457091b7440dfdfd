export * from './card.ts';
export * from './directory.ts';
export * from './edit.ts';
export * from './entry.ts';
export * from './value.ts';
