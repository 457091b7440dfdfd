export * from './admission.ts';
export * from './open.ts';
export * from './replica.ts';
