export * from './data-diff.ts';
export * from './data-list.ts';
