import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { ValueObject } from '../record/index.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import { FieldReader } from '../record/fields.ts';
import { SECTION, SECTION_LIMITS } from './format.ts';

/** What a bundle was asked to hold. */
export type BundleScope =
  | { kind: 'workspace' }
  | { kind: 'project'; project: string }
  /** Chosen runs, by a query or one by one. */
  | { kind: 'runs'; project: string; query: string | null };

/** One run as somebody should see it before taking the bundle in. */
export interface BundleRun {
  id: string;
  project: string;
  name: string;
  status: string;
  /** ms since the epoch. */
  created: number;
}

/** What a bundle says of itself; nothing of it is believed when it is taken in. */
export interface BundleManifest {
  /** `fieldbook/0.1.0` */
  program: string;
  /** ms since the epoch. */
  created: number;
  /** Who made it, on what. */
  by: string;
  device: string;
  deviceName: string | null;
  workspace: { id: string; name: string | null };
  scope: BundleScope;
  projects: readonly { id: string; title: string; runs: number }[];
  /** How many runs, and the newest `RUNS_LISTED` of them. */
  runCount: number;
  runs: readonly BundleRun[];
  documents: number;
  blobs: number;
  /** Unpacked. */
  documentBytes: number;
  blobBytes: number;
  /** Blobs that its runs name and that were not at hand. */
  absentBlobs: number;
  /** Files that their script or their machine lets travel nowhere. */
  keptBack: number;
  /** Documents left out because they are damaged. */
  damaged: number;
  /** Files were left out on purpose; points are in. */
  withoutFiles: boolean;
  /** Only what a peer, by its replica id, was not known to have, or what came after another bundle; null for all of it. */
  beyond: { kind: 'peer' | 'bundle'; id: string } | null;
  extra: ValueObject;
}

/** A list to look at, not to search: 100 bytes each. */
export const RUNS_LISTED = 1_000;
const PROJECTS_LISTED = 10_000;
const TEXT = 1_024;

const KNOWN = new Set([
  'p',
  't',
  'y',
  'd',
  'n',
  'w',
  'W',
  's',
  'S',
  'q',
  'P',
  'c',
  'r',
  'D',
  'B',
  'b',
  'f',
  'a',
  'k',
  'x',
  'o',
  'l',
]);

export function encodeManifest(manifest: BundleManifest): Uint8Array {
  const { scope, workspace } = manifest;
  return encodeRecord({
    ...manifest.extra,
    p: manifest.program,
    t: manifest.created,
    y: manifest.by,
    d: manifest.device,
    n: manifest.deviceName ?? undefined,
    w: workspace.id,
    W: workspace.name ?? undefined,
    s: scope.kind,
    S: scope.kind === 'workspace' ? undefined : scope.project,
    q: scope.kind === 'runs' ? (scope.query ?? undefined) : undefined,
    P: manifest.projects.slice(0, PROJECTS_LISTED).map(({ id, title, runs }) => [id, title, runs]),
    c: manifest.runCount,
    r: manifest.runs
      .slice(0, RUNS_LISTED)
      .map(({ id, project, name, status, created }) => [id, project, name, status, created]),
    D: manifest.documents,
    B: manifest.blobs,
    f: manifest.documentBytes,
    b: manifest.blobBytes,
    a: manifest.absentBlobs,
    k: manifest.keptBack,
    x: manifest.damaged,
    o: manifest.withoutFiles ? true : undefined,
    l: manifest.beyond === null ? undefined : [manifest.beyond.kind, manifest.beyond.id],
  });
}

/** Throws `bundle_corrupt`. */
export function decodeManifest(bytes: Uint8Array): BundleManifest {
  try {
    const fields = decodeRecord(bytes, SECTION_LIMITS[SECTION.manifest]!);
    if (fields === undefined)
      throw new FieldbookError('bundle_version', 'What the bundle says of itself needs a newer Fieldbook.');
    const read = new FieldReader(fields, 'The manifest of a bundle');
    const kind = read.string('s', 64);
    const project = read.optionalString('S', TEXT) ?? '';
    const scope: BundleScope =
      kind === 'workspace'
        ? { kind }
        : kind === 'project'
          ? { kind, project }
          : { kind: 'runs', project, query: read.optionalString('q', 64 * 1024) };
    return {
      program: read.string('p', TEXT),
      created: read.number('t'),
      by: read.string('y', TEXT),
      device: read.string('d', TEXT),
      deviceName: read.optionalString('n', TEXT),
      workspace: { id: read.string('w', TEXT), name: read.optionalString('W', TEXT) },
      scope,
      projects: read
        .array('P')
        .slice(0, PROJECTS_LISTED)
        .map((value) => {
          const [id, title, runs] = tuple(value);
          return { id: text(id), title: text(title), runs: count(runs) };
        }),
      runCount: read.count('c'),
      runs: read
        .array('r')
        .slice(0, RUNS_LISTED)
        .map((value) => {
          const [id, of, name, status, created] = tuple(value);
          return { id: text(id), project: text(of), name: text(name), status: text(status), created: count(created) };
        }),
      documents: read.count('D'),
      blobs: read.count('B'),
      documentBytes: read.count('f'),
      blobBytes: read.count('b'),
      absentBlobs: read.count('a'),
      keptBack: read.count('k'),
      damaged: read.count('x'),
      withoutFiles: read.value('o') === true,
      beyond: beyondOf(read.value('l')),
      extra: read.rest(KNOWN),
    };
  } catch (error) {
    if (isFieldbookError(error, 'bundle_version')) throw error;
    throw new FieldbookError('bundle_corrupt', 'What the bundle says of itself cannot be read.', { cause: error });
  }
}

function beyondOf(value: unknown): BundleManifest['beyond'] {
  if (value === undefined || value === null) return null;
  const [kind, id] = tuple(value);
  return { kind: kind === 'peer' ? 'peer' : 'bundle', id: text(id) };
}

function tuple(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('not a list');
  return value as unknown[];
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.length > TEXT) throw new Error('not a short text');
  return value;
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error('not a count');
  return value;
}
