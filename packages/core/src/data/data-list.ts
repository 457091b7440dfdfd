import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { FieldbookError } from '../errors.ts';

/** How the content of a file is named: by a digest, by what S3 calls it, or not at all because it could not be read. */
export type DataAlgorithm = 'sha256' | 'md5' | 'etag' | 'none';

/** One file of a data version. */
export interface DataFile {
  /** Below the version's root, `/` between its parts. */
  path: string;
  /** Bytes. */
  size: number;
  algorithm: DataAlgorithm;
  /** Hexadecimal; with `none` the reason, as `EACCES`. */
  digest: string;
  /** ms since the epoch; null where nobody said. Not part of the tree digest. */
  modified: number | null;
}

export interface DataList {
  /** Where it lay when it was listed. */
  root: string;
  /** `files`, `dvc`, `git-lfs`, `s3`, or of a newer version. */
  from: string;
  /** The tree digest, lower-case hex. */
  digest: string;
  /** Of all files together. */
  bytes: number;
  /** For people: what was left out or changed meanwhile. */
  notes: readonly string[];
  /** Ascending by the UTF-8 bytes of their paths, each once. */
  files: readonly DataFile[];
}

/** What the attribute at a data version's path says. */
export const DATA_PREFIX = 'data:sha256:';
/** Where its list lies, below the attribute's path. */
export const DATA_LIST_NAME = 'list';
/** A list of two million files has about this much; more is no list that a person could read a difference of. */
export const DATA_LIST_BYTES = 512 * 1024 * 1024;
const FILES = 2_000_000;
const ROOT_LENGTH = 8_192;
const PATH_LENGTH = 32_768;
const NOTES = 20;
const ALGORITHMS: readonly DataAlgorithm[] = ['sha256', 'md5', 'etag', 'none'];
const LINE_FEED = 10;

/** The tree digest that an attribute's text names; undefined for any other text. */
export function dataDigestOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || !value.startsWith(DATA_PREFIX)) return undefined;
  const digest = value.slice(DATA_PREFIX.length);
  return /^[0-9a-f]{64}$/.test(digest) ? digest : undefined;
}

/** The digest that says "same data": of files in order, whatever machine, root, times and listing they come from. */
export function treeDigest(files: Iterable<DataFile>): string {
  const hash = sha256.create();
  const encoder = new TextEncoder();
  for (const { path, size, algorithm, digest } of files) {
    hash.update(encoder.encode(`${path}\0${size}\0${algorithm}:${digest}\n`));
  }
  return bytesToHex(hash.digest());
}

/**
 * Reads the list of a data version (docs/formats/files.md). Throws `invalid_value` for bytes that are none, are out of order,
 * or do not have the digest that they claim.
 */
export function parseDataList(bytes: Uint8Array): DataList {
  if (bytes.length > DATA_LIST_BYTES) throw refused(`has ${bytes.length} bytes, more than ${DATA_LIST_BYTES}`);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const files: DataFile[] = [];
  let head: ReturnType<typeof readHead> | undefined;
  let before: DataFile | undefined;
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(LINE_FEED, start);
    const end = found === -1 ? bytes.length : found;
    const row = readRow(decoder, bytes.subarray(start, end), head === undefined ? 1 : files.length + 2);
    start = end + 1;
    if (head === undefined) {
      head = readHead(row);
      continue;
    }
    if (files.length === FILES) throw refused(`names more than ${FILES} files`);
    const file = readFile(row, files.length + 2);
    if (before !== undefined && compareUtf8(before.path, file.path) >= 0)
      throw refused(`is not in order at line ${files.length + 2}`);
    files.push(file);
    before = file;
  }
  if (head === undefined) throw refused('is empty');
  if (treeDigest(files) !== head.digest) throw refused('does not have the digest that it claims');
  return { ...head, bytes: files.reduce((sum, { size }) => sum + size, 0), files };
}

/** Orders texts as their UTF-8 bytes, which is by code point: code units alone would put U+FFxx behind emoji. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x === y) continue;
    // Surrogates stand for code points above all others, though their units are below U+E000.
    return rank(x) - rank(y);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

function readRow(decoder: TextDecoder, bytes: Uint8Array, line: number): Record<string, unknown> {
  let row: unknown;
  try {
    row = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw refused(`has no JSON in line ${line}`, error);
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) throw refused(`has no object in line ${line}`);
  return row as Record<string, unknown>;
}

function readHead(row: Record<string, unknown>): Pick<DataList, 'root' | 'from' | 'digest' | 'notes'> {
  const { root, from, digest, notes } = row;
  if (row['fieldbook.data'] !== 1) throw refused('is none, or is of a newer Fieldbook');
  if (typeof root !== 'string' || root.length > ROOT_LENGTH || typeof from !== 'string' || from.length > 64)
    throw refused('does not say what it lists');
  if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest)) throw refused('claims no digest');
  const said = Array.isArray(notes) ? notes.filter((note) => typeof note === 'string').slice(0, NOTES) : [];
  return { root, from, digest, notes: said.map((note) => note.slice(0, 1_000)) };
}

function readFile(row: Record<string, unknown>, line: number): DataFile {
  const { path, size, mtime } = row;
  const named = ALGORITHMS.filter((algorithm) => typeof row[algorithm] === 'string');
  const algorithm = named[0];
  const fits = typeof path === 'string' && path !== '' && path.length <= PATH_LENGTH;
  if (!fits || algorithm === undefined || named.length > 1 || !Number.isSafeInteger(size) || (size as number) < 0)
    throw refused(`names no file in line ${line}`);
  const digest = row[algorithm] as string;
  // A digest with a line feed could make two lists one digest.
  if (digest.length > 256 || /[\0-\x1f]/.test(digest)) throw refused(`names no file in line ${line}`);
  const modified = typeof mtime === 'number' && Number.isFinite(mtime) ? mtime : null;
  return { path, size: size as number, algorithm, digest, modified };
}

function refused(what: string, cause?: unknown): FieldbookError {
  return new FieldbookError(
    'invalid_value',
    `The list of a data version ${what}; track the data again to have a good one.`,
    { cause },
  );
}
