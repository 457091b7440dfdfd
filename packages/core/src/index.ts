export * from './api-prefix.ts';
export * from './errors.ts';
export * from './grant.ts';
export * from './hlc.ts';
export * from './ids.ts';
export * from './limits.ts';
export * from './ports.ts';
