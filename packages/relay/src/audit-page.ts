import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import type { AuditEntry, AuditEvent } from './audit.ts';
import { auditFiles, parseAuditLine } from './audit.ts';

export interface AuditPageRequest {
  /** Entries at most. */
  limit: number;
  /** `next` of the page before; null for the newest. */
  before: string | null;
  /** Only these; null for all. */
  events: ReadonlySet<AuditEvent> | null;
}

export interface AuditPage {
  /** Newest first. Fewer than asked for also where the rest would have to be looked for further back. */
  entries: AuditEntry[];
  /** Where older ones begin; null when there are none. */
  next: string | null;
}

/** What is read of the log for one page: one that finds nothing must not read a hundred megabytes. */
const PAGE_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** Nothing of ours is longer. */
const LINE_BYTES = 1024 * 1024;
/** Files may become full while they are listed, but not so often. */
const LISTS = 3;
const NEWLINE = 10;
/** A full file is named by the time of its end; the one that is written, which has none yet, by the file before it. */
const CURSOR = /^(\d{1,12})-(in|after)-([0-9T.Z-]{0,40})$/;

/**
 * A page of the log of `path`, newest first. A cursor stays true while lines are appended and files become full. Throws
 * `invalid_argument` for one that is none.
 */
export async function readAuditPage(path: string, request: AuditPageRequest): Promise<AuditPage> {
  const { limit, before, events } = request;
  const from = before === null ? null : parseCursor(before);
  const { files, newest } = await openNewest(path);
  const page: AuditPage = { entries: [], next: null };
  let left = PAGE_BYTES;
  try {
    const first = from === null ? files.length - 1 : placeOf(files, from);
    for (let index = first; index >= 0; index--) {
      const isNewest = index === files.length - 1;
      const file = isNewest ? newest : await openIfThere(files[index]!);
      if (file === undefined) continue;
      try {
        const end = Math.min((await file.stat()).size, from !== null && index === first ? from.offset : Infinity);
        for await (const { offset, text } of linesBackwards(file, end)) {
          left -= Buffer.byteLength(text);
          const entry = parseAuditLine(text);
          if (entry !== undefined && (events === null || events.has(entry.event))) page.entries.push(entry);
          if (page.entries.length < limit && left > 0) continue;
          if (offset > 0 || index > 0) page.next = cursorOf(files, index, offset);
          return page;
        }
      } finally {
        if (!isNewest) await file.close();
      }
    }
    return page;
  } finally {
    await newest?.close();
  }
}

interface Cursor {
  offset: number;
  isAfter: boolean;
  stamp: string;
}

function parseCursor(text: string): Cursor {
  const [, offset, how, stamp] = CURSOR.exec(text) ?? [];
  if (offset === undefined)
    throw new FieldbookError(
      'invalid_argument',
      'before: must be the "next" of an answer; leave it out to begin anew.',
    );
  return { offset: Number(offset), isAfter: how === 'after', stamp: stamp! };
}

function cursorOf(files: readonly string[], index: number, offset: number): string {
  if (index < files.length - 1) return `${offset}-in-${stampOf(files[index]!)}`;
  return `${offset}-after-${index === 0 ? '' : stampOf(files[index - 1]!)}`;
}

/** The place of a cursor's file; -1 when it was removed, and with it all that are older. */
function placeOf(files: readonly string[], { isAfter, stamp }: Cursor): number {
  if (isAfter && stamp === '') return 0;
  const place = files.slice(0, -1).map(stampOf).indexOf(stamp);
  return isAfter && place !== -1 ? place + 1 : place;
}

function stampOf(path: string): string {
  return basename(path, '.jsonl').split('.').slice(1).join('.');
}

/** All files, oldest first, and the last of them open: one that becomes full while it is looked for is in neither place. */
async function openNewest(path: string): Promise<{ files: string[]; newest: FileHandle | undefined }> {
  for (let each = 1; ; each++) {
    const files = await auditFiles(path);
    const newest = await openIfThere(path);
    if (each === LISTS || (await auditFiles(path)).join('\n') === files.join('\n')) return { files, newest };
    await newest?.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Lines that begin before `end`, the last first, and where each begins. What is too long to be a line comes as a part of itself. */
async function* linesBackwards(file: FileHandle, end: number): AsyncGenerator<{ offset: number; text: string }> {
  /** Bytes from `position` on, up to the line that was given last. */
  let rest: Buffer = Buffer.alloc(0);
  for (let position = end; position > 0;) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, position));
    position -= chunk.length;
    await file.read(chunk, 0, chunk.length, position);
    rest = Buffer.concat([chunk, rest]);
    for (;;) {
      // The last byte of what is left is the end of its last line.
      const cut = rest.length < 2 ? -1 : rest.lastIndexOf(NEWLINE, rest.length - 2);
      if (cut === -1) break;
      yield { offset: position + cut + 1, text: rest.toString('utf8', cut + 1) };
      rest = rest.subarray(0, cut + 1);
    }
    if (rest.length > LINE_BYTES) rest = Buffer.alloc(0);
  }
  if (rest.length > 0) yield { offset: 0, text: rest.toString('utf8') };
}
