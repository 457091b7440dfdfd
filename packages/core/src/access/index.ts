export * from './contribution.ts';
export * from './device-key.ts';
export * from './gate.ts';
export * from '../grant.ts';
export * from './run-index.ts';
