import type { RunDocument } from '../documents/index.ts';
import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import type { CaptureRecord, FileRecord } from '../journal/index.ts';
import type { CaptureEntry, FileEntry } from '../record/index.ts';
import { fileKey } from '../record/index.ts';

/** More files of one writer than this are a data version; each is an entry of the run document. */
const FILES_MAX = 20_000;
/** Sections are a handful; half a MB each may be in one. */
const SECTIONS_MAX = 64;

const NOTHING = {
  place: null,
  size: null,
  modified: null,
  mime: null,
  meta: null,
  travel: null,
  digest: null,
  chunks: null,
  spool: null,
  expected: null,
  source: null,
  failure: null,
  extra: {},
} as const;

/** Files, removals and captures of one writer that are not yet in entries. */
export class Attachments {
  /** Files and removals so far, those in entries included. */
  count = 0;
  /** Sections captured so far. */
  readonly sections = new Set<string>();
  #files: Omit<FileEntry, 'device'>[] = [];
  readonly #captures = new Map<string, Omit<CaptureEntry, 'device'>>();

  /** Entries to be. */
  get length(): number {
    return this.#files.length + this.#captures.size;
  }

  /** False when there are too many. */
  addFile(writer: WriterId, ordinal: number, file: FileRecord, time: number): boolean {
    const { kind, digest, ...said } = file;
    // `removed` is ours to say.
    const fileKind = kind === 'removed' ? 'file' : kind;
    return this.#add({ ...NOTHING, ...said, kind: 'file', writer, ordinal, time, fileKind, expected: digest });
  }

  /** False when there are too many. `place`: index of the path among those that its record removes. */
  addRemoval(writer: WriterId, ordinal: number, place: number, path: AttributePath, time: number): boolean {
    return this.#add({ ...NOTHING, kind: 'file', writer, ordinal, place, path, name: '', time, fileKind: 'removed' });
  }

  /** False when there are too many sections. */
  addCapture(writer: WriterId, ordinal: number, { section, data }: CaptureRecord): boolean {
    if (!this.sections.has(section) && this.sections.size >= SECTIONS_MAX) return false;
    this.sections.add(section);
    this.#captures.set(section, { kind: 'capture', writer, ordinal, section, data, extra: {} });
    return true;
  }

  /** Takes what is to be written; `hasPending` when some files wait for their bytes. */
  take(device: DeviceId): { hasPending: boolean; apply(document: RunDocument): void } {
    const files = this.#files.map((file): FileEntry => ({ ...file, device }));
    const captures = [...this.#captures.values()].map((capture): CaptureEntry => ({ ...capture, device }));
    this.#files = [];
    this.#captures.clear();
    return {
      hasPending: files.some(({ spool }) => spool !== null),
      apply: (document) => {
        for (const file of files) {
          // A journal that is taken in again does not undo that the bytes were stored.
          if (document.get(fileKey(file)) === undefined) document.putFile(file);
        }
        for (const capture of captures) document.putCapture(capture);
      },
    };
  }

  #add(file: Omit<FileEntry, 'device'>): boolean {
    if (this.count >= FILES_MAX) return false;
    this.count++;
    this.#files.push(file);
    return true;
  }
}
