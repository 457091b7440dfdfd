export * from './book.ts';
export * from './run-document.ts';
export * from './workspace.ts';
