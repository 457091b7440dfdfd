export * from './buckets.ts';
export * from './compression.ts';
export * from './coverage.ts';
export * from './merge-segments.ts';
export type { SegmentFile } from './parquet-reader.ts';
export * from './points.ts';
export * from './segment.ts';
export * from './segment-reader.ts';
export * from './series.ts';
