export * from './book.ts';
export * from './note.ts';
export * from './captures.ts';
export * from './run-document.ts';
export type { SavedView } from './views.ts';
export * from './workspace.ts';
