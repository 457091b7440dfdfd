export type { Ingest, IngestOptions, IngestStatus, LiveMetrics } from './ingest.ts';
export { startIngest } from './ingest.ts';
export type { JournalProblem } from './writer-feed.ts';
