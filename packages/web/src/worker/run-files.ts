import type { ProjectId, RunId } from '@fieldbook/core';
import type { RunDocument } from '@fieldbook/core/documents';
import type { FileState, FileVersion, Travel } from '@fieldbook/core/files';
import { fileVersions, travelOf } from '@fieldbook/core/files';
import type { ObjectReader, PlacedRow } from '@fieldbook/core/objects';
import type { Edit, Entry, FileEntry } from '@fieldbook/core/record';
import type { Contents } from './contents.ts';
import { contentOf, jsonObject } from './entry-fields.ts';
import type {
  FileLine,
  MediaPath,
  MediaRequest,
  MediaRows,
  PreviewItem,
  PreviewSource,
  RunFiles,
} from './files-api.ts';
import type { Http } from './http.ts';
import type { Manifests } from './manifests.ts';

/** What a run's files are read from. */
export interface RunFilesOptions {
  manifests: Pick<Manifests, 'of'>;
  contents: Contents;
  http: Pick<Http, 'json'>;
  /** What a machine is called; undefined for one that the workspace has not heard of. */
  nameOf: (device: string) => string | undefined;
  projectOf: (run: RunId) => ProjectId | undefined;
  historyOf: (run: RunId) => readonly Edit[];
}

/** What the server says of one version; the rest is in the run's document. */
interface Seen {
  version: string;
  state: FileState;
  travel: Travel;
  requested: boolean;
  holders: string[];
}

/** Rows at one step, of all writers: more than a person looks at. */
const AT_STEP = 200;

/** Files and objects of runs, folded in this browser; servers are asked only where bytes are. */
export class RunFilesReader {
  readonly #options: RunFilesOptions;
  #reader: Promise<ObjectReader> | undefined;

  constructor(options: RunFilesOptions) {
    this.#options = options;
  }

  async files(run: RunId): Promise<RunFiles | undefined> {
    const { manifests, contents, http, projectOf, historyOf } = this.#options;
    const manifest = await manifests.of(run).catch(() => undefined);
    if (manifest === undefined) return undefined;
    const versions = versionsOf(manifest.entries);
    const lines = versions.map((version) => this.#line(run, version));
    const seen = await http
      .json<{ files: Seen[] }>(
        `/runs/${encodeURIComponent(run)}/files${projectOf(run) === undefined ? '' : `?project=${encodeURIComponent(projectOf(run)!)}`}`,
      )
      .then(({ files }) => new Map(files.map((file) => [file.version, file])))
      .catch(() => undefined);
    const asked = new Set(historyOf(run).flatMap(({ field, value }) => (field === 'request' ? [value] : [])));
    const stored = lines.filter((line) => line.content !== null);
    const kept = await contents.kept(stored.map((line) => line.content!));
    stored.forEach((line, index) => (line.kept = kept[index]!));
    for (const line of lines) {
      const there = seen?.get(line.id);
      line.requested = there?.requested === true || (line.content !== null && asked.has(line.content.digest));
      if (there === undefined) continue;
      line.state = there.state;
      line.travel = there.travel;
      line.holders = there.holders;
    }
    return { files: lines, fresh: seen !== undefined };
  }

  async media(run: RunId): Promise<MediaPath[]> {
    const manifest = await this.#options.manifests.of(run);
    if (manifest === undefined) return [];
    const paths = await (await this.#objects()).list(manifest.entries);
    return paths.flatMap(({ path, kinds, rows, firstStep, lastStep }) => {
      if (path.startsWith('console/')) return [];
      return [{ path, kinds: sorted(kinds), rows, firstStep, lastStep }];
    });
  }

  async mediaRows(run: RunId, { path, from, to, end, limit }: MediaRequest): Promise<MediaRows> {
    const manifest = await this.#options.manifests.of(run);
    if (manifest === undefined) return { rows: [], more: false, missing: 0 };
    const answer = await (
      await this.#objects()
    ).read({
      entries: manifest.entries,
      path,
      limit,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(end === undefined ? {} : { end }),
    });
    return {
      rows: answer.rows.map((row) => itemOfRow(run, row)),
      more: answer.next !== null,
      missing: answer.missing.reduce((sum, { rows }) => sum + rows, 0),
    };
  }

  async preview(source: PreviewSource): Promise<PreviewItem | undefined> {
    if ('series' in source) {
      const { run, series, step, writer, ordinal } = source;
      const { rows } = await this.mediaRows(run, { path: series, from: step, to: step, limit: AT_STEP });
      return (
        (writer === undefined ? undefined : rows.find((row) => row.row === `${writer}.${ordinal ?? 0}`)) ?? rows[0]
      );
    }
    const manifest = await this.#options.manifests.of(source.run);
    if (manifest === undefined) return undefined;
    const version = versionsOf(manifest.entries).find(
      ({ id, entry, current }) =>
        entry.path === source.path && (source.version === undefined ? current : id === source.version),
    );
    return version === undefined ? undefined : itemOfFile(this.#line(source.run, version));
  }

  /** Parquet is loaded with the first object and not with the page. */
  async #objects(): Promise<ObjectReader> {
    this.#reader ??= import('./object-segments.ts').then(
      ({ ObjectReader: Reader }) => new Reader(this.#options.contents.blobs),
    );
    return this.#reader.catch((error: unknown) => {
      this.#reader = undefined;
      throw error;
    });
  }

  #line(run: RunId, { id, entry, current, removed }: FileVersion): FileLine {
    const { path, name, fileKind, mime, size, time, modified, writer, device, source, failure } = entry;
    return {
      id,
      run,
      project: this.#options.projectOf(run) ?? null,
      path,
      name,
      kind: fileKind,
      mime,
      size,
      time,
      modified,
      writer,
      device,
      machine: this.#options.nameOf(device) ?? device.slice(0, 8),
      current,
      removed,
      meta: jsonObject(entry.meta) ?? null,
      content: contentOf(entry),
      source,
      failure,
      travel: travelOf(entry),
      state: null,
      kept: false,
      holders: [],
      requested: false,
    };
  }
}

/** How many files a run has now, and how many series of objects besides its console. */
export function attachmentsOf(document: RunDocument): { files: number; media: number } {
  const series = new Set<string>();
  for (const { paths } of document.objects()) for (const { path } of paths) series.add(path);
  for (const { rows } of document.objectTails()) for (const { path } of rows) series.add(path);
  let media = 0;
  for (const path of series) if (!path.startsWith('console/')) media += 1;
  return { files: fileVersions(document.files()).filter(({ current }) => current).length, media };
}

export function itemOfFile(line: FileLine): PreviewItem {
  const { run, path, name, kind, mime, size, time, meta, content } = line;
  return { run, path, name, kind, mime, size, time, step: null, meta, content, text: null, row: null, file: line };
}

function itemOfRow(run: RunId, row: PlacedRow): PreviewItem {
  const { path, name, kind, mime, size, time, step, digest, text } = row;
  return {
    run,
    path,
    name: name === '' ? path.slice(path.lastIndexOf('/') + 1) : name,
    kind,
    mime: mime === '' ? null : mime,
    size: digest === '' ? text.length : size,
    time,
    step,
    meta: jsonObject(row.meta) ?? null,
    content: digest === '' ? null : { digest, chunks: null, size },
    text: digest === '' ? text : null,
    row: `${row.writer}.${row.ordinal}`,
    file: null,
  };
}

function versionsOf(entries: readonly Entry[]): FileVersion[] {
  return fileVersions(entries.filter((entry): entry is FileEntry => entry.kind === 'file'));
}

function sorted(kinds: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(kinds).sort(([, a], [, b]) => b - a));
}
