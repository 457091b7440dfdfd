export type { CaptureRecord, FileRecord, ObjectFile, ObjectRecord } from './attachments.ts';
export { captureOf, CONSOLE_FLAGS, CONSOLE_STREAMS, fileOf, objectOf } from './attachments.ts';
export { crc32 } from './crc32.ts';
export type { JournalHeader } from './format.ts';
export { decodeHeader, encodeHeader, JOURNAL } from './format.ts';
export { PointColumns } from './points.ts';
export type { JournalEnd, JournalPosition, JournalSink, JournalState } from './reader.ts';
export { JournalReader } from './reader.ts';
export type {
  AttributeChange,
  CloseRecord,
  GapRecord,
  JournalMeta,
  JournalRecord,
  Json,
  JsonObject,
  RecordBody,
  TagChange,
} from './records.ts';
export { attributesOf, closeOf, gapOf, metaOf, tagsOf } from './records.ts';
export type { Salvage } from './salvage.ts';
export { salvage } from './salvage.ts';
export { JournalWriter } from './writer.ts';
