export * from './buckets.ts';
export * from './coverage.ts';
export * from './points.ts';
export * from './segment.ts';
export * from './series.ts';
