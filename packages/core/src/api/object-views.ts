import { newestCaptures } from '../documents/index.ts';
import { fileVersions } from '../files/index.ts';
import type { AbsentObjects, ObjectPath, PlacedRow } from '../objects/index.ts';
import { GAP_META, OPEN_META } from '../objects/index.ts';
import type { Entry, FileEntry } from '../record/index.ts';
import type { Schema } from './schema.ts';
import { array, mapOf, object, orNull, ref } from './schema.ts';

/** How objects and captures look in JSON, and the schemas that say so. Times are ms since the epoch. */

const text: Schema = { type: 'string' };
const count: Schema = { type: 'integer', minimum: 0 };
const anything: Schema = { description: 'JSON.' };

/** What was captured of each writer, the newest of each section. */
export function captureViews(entries: readonly Entry[]): object[] {
  return newestCaptures(entries).map(({ writer, device, section, data }) => ({
    writer,
    device,
    section,
    data: parsed(data) ?? {},
  }));
}

/** How much of it there is, as far as entries say: of objects, rows that several devices have are counted once each. */
export function attachmentCounts(entries: readonly Entry[]): { files: object; objects: object } {
  let segments = 0;
  let bytes = 0;
  let tails = 0;
  const files: FileEntry[] = [];
  for (const entry of entries) {
    if (entry.kind === 'objects') {
      segments += 1;
      bytes += entry.size;
    } else if (entry.kind === 'objecttail') tails += 1;
    else if (entry.kind === 'file') files.push(entry);
  }
  const versions = fileVersions(files);
  const current = versions.filter((version) => version.current);
  return {
    files: { count: current.length, bytes: current.reduce((sum, { entry }) => sum + (entry.size ?? 0), 0) },
    objects: { segments, bytes, tails },
  };
}

export function objectPathView(path: ObjectPath): object {
  return { ...path };
}

export function objectRowView(row: PlacedRow): object {
  const { writer, step, time, kind, ordinal, part } = row;
  const isText = kind === 'text';
  const data = isText || row.text === '' ? undefined : parsed(row.text);
  return {
    writer,
    ordinal,
    part,
    step,
    time,
    kind,
    // What is no JSON is shown as it is.
    text: isText || (row.text !== '' && data === undefined) ? row.text : null,
    data: data ?? null,
    file: row.digest === '' ? null : { digest: row.digest, size: row.size, mime: row.mime, name: row.name },
    meta: row.meta === '' || row.meta === OPEN_META || row.meta === GAP_META ? null : (parsed(row.meta) ?? null),
    open: row.meta === OPEN_META,
    gap: row.meta === GAP_META,
  };
}

export function absentView(absent: AbsentObjects): object {
  return { ...absent };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return undefined;
  }
}

const absent: Schema = object({
  writer: text,
  device: text,
  first: count,
  last: count,
  digest: text,
  size: count,
  rows: count,
});

export const capturesSchema: Schema = array(
  object({ writer: text, device: text, section: text, data: { type: 'object' } }),
  'What was captured of each writer, by section.',
);
export const filesSchema: Schema = object({ count, bytes: count });
export const objectsSchema: Schema = object({ segments: count, bytes: count, tails: count });

export const OBJECT_COMPONENTS: Readonly<Record<string, Schema>> = {
  ObjectPath: object({
    path: text,
    kinds: mapOf(count, 'Rows by kind.'),
    rows: count,
    firstStep: ref('Float'),
    lastStep: ref('Float'),
  }),
  ObjectRow: object({
    writer: text,
    ordinal: { ...count, description: 'Of the journal record; with writer and `part` it names the row.' },
    part: count,
    step: ref('Float'),
    time: { type: 'number', description: 'ms since the epoch' },
    kind: {
      ...text,
      description:
        '`text`, `image`, `figure`, `html`, `table`, `histogram`, `audio`, `video`, `file`, or of a newer version.',
    },
    text: orNull(text),
    data: { ...anything, description: 'Of a histogram or table, or of a newer kind; null else.' },
    file: orNull(object({ digest: text, size: count, mime: text, name: text })),
    meta: { ...anything, description: 'An object, or null.' },
    open: { type: 'boolean', description: 'A console line that is still being written.' },
    gap: { type: 'boolean', description: 'Not what was printed, but a notice of what was left out.' },
  }),
  ObjectRows: object({
    run: text,
    path: text,
    x: { type: 'string', enum: ['step', 'time'] },
    rows: array(ref('ObjectRow'), 'In ascending order, whichever end they are of.'),
    next: orNull({ ...text, description: '`cursor` of the rows that follow; null when there are none.' }),
    missing: array(absent, 'Recorded and needed for the answer, but the bytes are not on this machine.'),
    corrupt: array(absent),
  }),
};
