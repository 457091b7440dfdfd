export * from './errors.ts';
export * from './hlc.ts';
export * from './ids.ts';
export * from './limits.ts';
export * from './ports.ts';
