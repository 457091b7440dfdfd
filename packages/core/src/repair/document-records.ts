import * as Y from 'yjs';
import { NOTE_TEXT } from '../documents/note.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { CLIENT_CLAIMS, decodeCard, decodeDirectoryRecord, decodeEdit, decodeEntry } from '../record/index.ts';

/** One key of a document as Yjs holds it: `item` is the last of its history, which grows to the right. */
export interface Slot {
  map: string;
  key: string;
  item: Y.Item;
}

/** Every key that a document of records has or had. Claims of client ids are none of them: they mean nothing where others write. */
export function* slotsOf(doc: Y.Doc): Generator<Slot> {
  for (const [map, type] of doc.share) {
    if (map === NOTE_TEXT || map === CLIENT_CLAIMS) continue;
    for (const [key, item] of type._map) yield { map, key, item };
  }
}

/** What a key holds; undefined when it is gone. */
export function valueOf(item: Y.Item): Uint8Array | undefined {
  return !item.deleted && item.content instanceof Y.ContentBinary ? item.content.content : undefined;
}

/** The device that a record says it is of, and its run; nulls for kinds that say neither or cannot be read. */
export function originOf(map: string, bytes: Uint8Array): { device: string | null; run: string | null } {
  try {
    switch (map) {
      case 'cards': {
        const card = decodeCard(bytes);
        return { device: card?.device ?? null, run: card?.run ?? null };
      }
      case 'edits': {
        const edit = decodeEdit(bytes);
        return { device: edit?.device ?? null, run: edit?.run ?? null };
      }
      case 'entries':
        return { device: decodeEntry(bytes)?.device ?? null, run: null };
      default: {
        const record = decodeDirectoryRecord(bytes);
        return { device: record !== undefined && 'device' in record ? record.device : null, run: null };
      }
    }
  } catch (error) {
    if (error instanceof FieldbookError) return { device: null, run: null };
    throw error;
  }
}

/** The characters of a note that stand, each run of them with the client and clock of its first. */
export function* textOf(doc: Y.Doc): Generator<{ client: number; clock: number; text: string }> {
  for (let item = doc.getText(NOTE_TEXT)._start; item !== null; item = item.right) {
    if (item.deleted || !(item.content instanceof Y.ContentString)) continue;
    yield { client: item.id.client, clock: item.id.clock, text: item.content.str };
  }
}

export function isNote(name: DocumentName): boolean {
  return name.startsWith('note/');
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
