export * from './close-codes.ts';
export * from './socket-link.ts';
