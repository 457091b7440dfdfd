export * from './book.ts';
export * from './note.ts';
export * from './captures.ts';
export * from './run-document.ts';
export * from './workspace.ts';
