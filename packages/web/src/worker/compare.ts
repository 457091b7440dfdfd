import type { RunId } from '@fieldbook/core';
import { isFieldbookError } from '@fieldbook/core';
import type { DataChange, DataFile, DataList } from '@fieldbook/core/data';
import type { RunDocument } from '@fieldbook/core/documents';
import { newestCaptures } from '@fieldbook/core/documents';
import { fileVersions } from '@fieldbook/core/files';
import type { FileEntry } from '@fieldbook/core/record';
import type { DataDifference, DataFileLine, SourceDiff, SourceEnd, Surroundings } from './compare-api.ts';
import type { Contents } from './contents.ts';
import { contentOf, jsonObject } from './entry-fields.ts';
import type { Manifests } from './manifests.ts';
import { parsePatch } from '../app/patch.ts';
import type { SourceSide } from './source-diff.ts';
import { sourceChanges } from './source-diff.ts';

/** As the capture has them: a source file has at most a megabyte, a patch eight. */
const SOURCE_BYTES = 2 * 1024 * 1024;
const PATCH_BYTES = 16 * 1024 * 1024;
/** A list of half a million files; longer ones are for `fieldbook data diff`. */
const LIST_BYTES = 64 * 1024 * 1024;
/** Files named of each kind of change. */
const NAMED = 500;
const FOLDERS = ['source/files/', 'source/untracked/'] as const;
const PATCH = 'source/diff.patch';

/** Compares what was captured of runs: read from their documents and blobs, here, with no server where both are kept. */
export class Comparer {
  readonly #manifests: Pick<Manifests, 'document'>;
  readonly #contents: Pick<Contents, 'read'>;

  constructor(manifests: Pick<Manifests, 'document'>, contents: Pick<Contents, 'read'>) {
    this.#manifests = manifests;
    this.#contents = contents;
  }

  async surroundings(runs: readonly RunId[]): Promise<Surroundings[]> {
    return Promise.all(runs.map((run) => this.#surroundings(run)));
  }

  async sourceDiff(before: RunId, after: RunId): Promise<SourceDiff> {
    const [a, b] = await Promise.all([this.#source(before), this.#source(after)]);
    return { before: a.end, after: b.end, changes: sourceChanges(a.side, b.side) };
  }

  async dataDiff(before: RunId, after: RunId, path: string): Promise<DataDifference> {
    const { diffDataLists } = await import('@fieldbook/core/data');
    const [a, b] = await Promise.all([this.#dataList(before, path), this.#dataList(after, path)]);
    if (typeof a === 'string' || typeof b === 'string')
      return { diff: null, problem: typeof a === 'string' ? a : (b as string) };
    const found = diffDataLists(a, b);
    const { added, removed, changed, moved, unknown, kept, keptBytes } = found;
    const line = ({ path: name, size, algorithm, digest }: DataFile): DataFileLine => ({
      path: name,
      size,
      content: `${algorithm}:${digest}`,
    });
    const both = (change: DataChange) => ({
      path: change.path,
      before: line(change.before),
      after: line(change.after),
    });
    return {
      problem: null,
      diff: {
        added: added.slice(0, NAMED).map(line),
        removed: removed.slice(0, NAMED).map(line),
        changed: changed.slice(0, NAMED).map(both),
        moved: moved.slice(0, NAMED).map(({ from, to, size }) => ({ from, to, size })),
        unknown: unknown.slice(0, NAMED).map(both),
        kept,
        keptBytes,
        counts: {
          added: added.length,
          removed: removed.length,
          changed: changed.length,
          moved: moved.length,
          unknown: unknown.length,
        },
      },
    };
  }

  async #surroundings(run: RunId): Promise<Surroundings> {
    const read = (document: RunDocument): Surroundings => {
      const sections: Record<string, Record<string, unknown>> = {};
      for (const { section, data } of newestCaptures(document.captures())) {
        const value = jsonObject(data);
        if (value !== undefined) sections[section] ??= value;
      }
      const writers = [...document.writers()].sort((a, b) => b.ordinal - a.ordinal);
      const main = writers.find(({ exitCode, signal }) => exitCode !== null || signal !== null) ?? writers[0];
      return {
        run,
        here: true,
        sections,
        exitCode: main?.exitCode ?? null,
        signal: main?.signal ?? null,
        reason: writers.find(({ reason }) => reason !== null)?.reason ?? null,
        traceback: writers.find(({ traceback }) => traceback !== null)?.traceback ?? null,
      };
    };
    const nothing = { run, here: false, sections: {}, exitCode: null, signal: null, reason: null, traceback: null };
    return (await this.#manifests.document(run, read).catch(() => undefined)) ?? nothing;
  }

  async #source(run: RunId): Promise<{ end: SourceEnd; side: SourceSide }> {
    const read = (document: RunDocument) => ({
      git: sectionOf(document, 'git'),
      files: fileVersions([...document.files()]).filter(({ current }) => current),
    });
    const found = await this.#manifests.document(run, read).catch(() => undefined);
    const git = found?.git ?? {};
    const commit = textOf(git['commit']);
    const dirty = typeof git['dirty'] === 'boolean' ? git['dirty'] : null;
    const files = new Map<string, string>();
    const untracked = new Set<string>();
    const absent = new Set<string>();
    let patch: string | null | undefined;
    for (const { entry } of found?.files ?? []) {
      if (entry.path === PATCH) {
        patch = (await this.#text(entry, PATCH_BYTES)) ?? null;
        continue;
      }
      const folder = FOLDERS.find((each) => entry.path.startsWith(each));
      if (folder === undefined) continue;
      const path = entry.path.slice(folder.length);
      if (folder === 'source/untracked/') untracked.add(path);
      const text = await this.#text(entry, SOURCE_BYTES);
      if (text === undefined) absent.add(path);
      else files.set(path, text);
    }
    // A dirty checkout without a patch may only have files that git does not know.
    const changed = Array.isArray(git['changed']) ? git['changed'].length : 0;
    const patchMissing = patch === null || (patch === undefined && dirty === true && changed > 0);
    return {
      end: {
        run,
        here: found !== undefined,
        commit,
        message: textOf(git['message']),
        branch: textOf(git['branch']),
        dirty,
        files: files.size + absent.size,
        absent: [...absent].sort(),
        patchMissing,
      },
      side: { commit, patch: patchMissing ? null : parsePatch(patch ?? ''), files, untracked, absent },
    };
  }

  /** In words why it is not to be had, else the list. */
  async #dataList(run: RunId, path: string): Promise<DataList | string> {
    const { DATA_LIST_NAME, parseDataList } = await import('@fieldbook/core/data');
    const wanted = `${path}/${DATA_LIST_NAME}`;
    const entry = await this.#manifests
      .document(run, (document) =>
        fileVersions([...document.files()]).find((version) => version.current && version.entry.path === wanted),
      )
      .catch(() => undefined);
    const content = entry === undefined ? null : contentOf(entry.entry);
    if (content === null) return `The list of files of ${path} is not here.`;
    if ((content.size ?? 0) > LIST_BYTES)
      return `The list of files of ${path} is too long for a browser; “fieldbook data diff” compares it.`;
    try {
      return parseDataList(await this.#contents.read(content, 0, LIST_BYTES));
    } catch (error) {
      if (isFieldbookError(error, 'blob_missing')) return `The list of files of ${path} is on another machine.`;
      if (isFieldbookError(error, 'peer_unreachable'))
        return `The list of files of ${path} is not in this browser, and nobody answers.`;
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Undefined where its bytes are not to be had, or are no text. */
  async #text(entry: FileEntry, limit: number): Promise<string | undefined> {
    const content = contentOf(entry);
    if (content === null || (content.size ?? 0) > limit) return undefined;
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(await this.#contents.read(content, 0, limit));
    } catch {
      return undefined;
    }
  }
}

function sectionOf(document: RunDocument, name: string): Record<string, unknown> | undefined {
  const capture = newestCaptures(document.captures()).find(({ section }) => section === name);
  return capture === undefined ? undefined : jsonObject(capture.data);
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
