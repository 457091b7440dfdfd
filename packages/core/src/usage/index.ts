export * from './folders.ts';
export * from './lines.ts';
export * from './orphans.ts';
export * from './report.ts';
export type { Amount, StoreKind } from './store-usage.ts';
