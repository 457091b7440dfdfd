export * from './adopt.ts';
export * from './diff.ts';
export { isOfText, marked, markOf } from './mark.ts';
