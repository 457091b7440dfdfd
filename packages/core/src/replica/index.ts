export * from './admission.ts';
export * from './open.ts';
export { OpenDocument } from './open-document.ts';
export * from './replica.ts';
