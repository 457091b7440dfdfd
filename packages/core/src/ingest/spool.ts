import type { ProjectId, RunId, WriterId } from '../ids.ts';
import type { ObjectFile } from '../journal/index.ts';

/** Whose spool folder is meant. */
export interface SpoolOwner {
  project: ProjectId;
  run: RunId;
  writer: WriterId;
}

/**
 * What intake needs of whoever stores spooled files. None of these rejects or waits for a disk that is full: rows and entries are
 * taken in whatever becomes of the bytes, and a file that could not be stored stays in its spool folder and is tried again.
 */
export interface Spool {
  /**
   * Stores the files of object rows as blobs, before the rows are committed: small ones, one blob each. Resolves when those
   * that can be stored are durable.
   */
  storeObjects(owner: SpoolOwner, files: readonly ObjectFile[]): Promise<void>;
  /** The rows that name these files are durable: they may go from the spool folder once their blobs are. */
  objectsCommitted(owner: SpoolOwner, files: readonly ObjectFile[]): void;
  /** Entries of files that wait for their bytes (`spool` not null, `digest` null) have been committed. */
  filesPending(owner: SpoolOwner): void;
}
