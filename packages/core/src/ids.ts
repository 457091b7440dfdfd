import { FieldbookError } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Clock, Random } from './ports.ts';

/** An execution. Minted (26 characters, time-sortable) or chosen by the user. */
export type RunId = string & { readonly __brand: 'RunId' };
/** One process session that appends to a run. Always minted. */
export type WriterId = string & { readonly __brand: 'WriterId' };
/** An agent or a browser: `d` and 24 base32 characters of SHA-256 over its Ed25519 public key. */
export type DeviceId = string & { readonly __brand: 'DeviceId' };
/** The normalised name of a project; two machines that both create `MNIST` meet in `mnist`. */
export type ProjectId = string & { readonly __brand: 'ProjectId' };
/** What a team shares; minted. */
export type WorkspaceId = string & { readonly __brand: 'WorkspaceId' };
/** An edit's unique key: minted. */
export type EditId = string & { readonly __brand: 'EditId' };
/** A slash-separated attribute or metric path, as in `params/lr`. */
export type AttributePath = string & { readonly __brand: 'AttributePath' };
/** `yyyy-mm` in UTC. */
export type BookMonth = string & { readonly __brand: 'BookMonth' };
/** The name of a replicated document, also its room name. */
export type DocumentName = string & { readonly __brand: 'DocumentName' };

// Crockford's base32 in lower case: no i, l, o, u; sorts like the numbers it encodes.
const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';
const MINTED = /^[0-9a-hjkmnp-tv-z]{26}$/;
const DEVICE = /^d[0-9a-hjkmnp-tv-z]{24}$/;
const CHOSEN_RUN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const PROJECT = /^[\p{L}\p{N}._-]+$/u;
const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

const encoder = new TextEncoder();

/** Length of a string in UTF-8 bytes. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0x80) length += unit >= 0x800 ? 2 : 1;
    if (unit >= 0xd800 && unit <= 0xdbff) index++; // a pair is 4 bytes: 2 units counted, 2 added above
  }
  return length;
}

/** Crockford base32 of bytes, most significant bit first, padded with zero bits. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(buffer >>> bits) & 31];
    }
    buffer &= (1 << bits) - 1;
  }
  if (bits > 0) text += BASE32[(buffer << (5 - bits)) & 31];
  return text;
}

/** A fresh id: 48 bits of time in ms and 80 random bits as 26 base32 characters (the ULID layout). */
export function mintId(clock: Clock, random: Random): string {
  let time = Math.max(0, Math.floor(clock.now()));
  let head = '';
  for (let index = 0; index < 10; index++) {
    head = BASE32[time % 32] + head;
    time = Math.floor(time / 32);
  }
  return head + base32(random.bytes(10));
}

export const mintRunId = (clock: Clock, random: Random): RunId => mintId(clock, random) as RunId;
export const mintWriterId = (clock: Clock, random: Random): WriterId => mintId(clock, random) as WriterId;
export const mintEditId = (clock: Clock, random: Random): EditId => mintId(clock, random) as EditId;
export const mintWorkspaceId = (clock: Clock, random: Random): WorkspaceId => mintId(clock, random) as WorkspaceId;

/** Throws `invalid_id` unless `text` may name a run: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64 characters. */
export function parseRunId(text: string): RunId {
  if (text.length > LIMITS.runIdLength || !CHOSEN_RUN.test(text)) {
    throw new FieldbookError(
      'invalid_id',
      `"${clip(text)}" cannot be a run id: use up to ${LIMITS.runIdLength} letters, digits, ".", "_" or "-", starting with a letter or digit.`,
    );
  }
  return text as RunId;
}

export function parseWriterId(text: string): WriterId {
  return parseMinted(text, 'writer id') as WriterId;
}

export function parseEditId(text: string): EditId {
  return parseMinted(text, 'edit id') as EditId;
}

export function parseWorkspaceId(text: string): WorkspaceId {
  return parseMinted(text, 'workspace id') as WorkspaceId;
}

export function parseDeviceId(text: string): DeviceId {
  if (!DEVICE.test(text)) throw new FieldbookError('invalid_id', `"${clip(text)}" is not a device id.`);
  return text as DeviceId;
}

/**
 * A project's id from the name people type: Unicode NFKC, lower case, trimmed; every run of other characters than
 * letters, digits, `.`, `_` and `-` becomes one `-`. Throws `invalid_id` when nothing is left or it is too long.
 */
export function projectIdOf(name: string): ProjectId {
  const id = name
    .normalize('NFKC')
    .toLowerCase()
    .trim()
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^[-.]+|-+$/g, '');
  if (id.length === 0 || [...id].length > LIMITS.projectIdLength || utf8Length(id) > LIMITS.projectIdLength * 3) {
    throw new FieldbookError(
      'invalid_id',
      `"${clip(name)}" cannot name a project: it needs 1 to ${LIMITS.projectIdLength} letters or digits.`,
    );
  }
  return id as ProjectId;
}

/** Throws `invalid_id` unless `text` is already a normalised project id. */
export function parseProjectId(text: string): ProjectId {
  if (!PROJECT.test(text) || projectIdOf(text) !== text) {
    throw new FieldbookError('invalid_id', `"${clip(text)}" is not a project id.`);
  }
  return text as ProjectId;
}

/** Throws `invalid_path` unless `text` is a usable attribute path. */
export function parsePath(text: string): AttributePath {
  const problem =
    text.length === 0
      ? 'it is empty'
      : utf8Length(text) > LIMITS.pathBytes
        ? `it is longer than ${LIMITS.pathBytes} bytes`
        : CONTROL.test(text)
          ? 'it contains a control character'
          : text.split('/').includes('')
            ? 'it has an empty part'
            : null;
  if (problem !== null) {
    throw new FieldbookError('invalid_path', `"${clip(text)}" cannot be an attribute path: ${problem}.`);
  }
  return text as AttributePath;
}

/** The month (UTC) of a time in ms since the epoch, without `Date`: days to civil by Hinnant's algorithm. */
export function monthOf(timeMs: number): BookMonth {
  const days = Math.floor(timeMs / 86_400_000) + 719_468;
  const era = Math.floor(days / 146_097);
  const dayOfEra = days - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}` as BookMonth;
}

export const WORKSPACE_DOCUMENT = 'workspace' as DocumentName;

/** `book/<project>/<yyyy-mm>`. */
export function bookName(project: ProjectId, month: BookMonth): DocumentName {
  return `book/${project}/${month}` as DocumentName;
}

/** `run/<run id>`. */
export function runDocumentName(run: RunId): DocumentName {
  return `run/${run}` as DocumentName;
}

/** `note/<run id>`: the text of a run's notes, while people write it. */
export function noteDocumentName(run: RunId): DocumentName {
  return `note/${run}` as DocumentName;
}

export type ParsedDocumentName =
  | { kind: 'workspace' }
  | { kind: 'book'; project: ProjectId; month: BookMonth }
  | { kind: 'run'; run: RunId }
  | { kind: 'note'; run: RunId };

/** What a document name says; throws `invalid_id` for anything that is not one of ours. */
export function parseDocumentName(text: string): ParsedDocumentName {
  const parts = text.split('/');
  if (parts.length === 1 && parts[0] === 'workspace') return { kind: 'workspace' };
  if (parts.length === 3 && parts[0] === 'book' && MONTH.test(parts[2] ?? '')) {
    return { kind: 'book', project: parseProjectId(parts[1] ?? ''), month: parts[2] as BookMonth };
  }
  if (parts.length === 2 && (parts[0] === 'run' || parts[0] === 'note'))
    return { kind: parts[0], run: parseRunId(parts[1] ?? '') };
  throw new FieldbookError('invalid_id', `"${clip(text)}" is not the name of a document.`);
}

function parseMinted(text: string, what: string): string {
  if (!MINTED.test(text)) throw new FieldbookError('invalid_id', `"${clip(text)}" is not a ${what}.`);
  return text;
}

/** Untrusted text in an error message: bounded and on one line. */
function clip(text: string): string {
  const line = text.replace(new RegExp(CONTROL.source, 'g'), '?');
  return line.length > 80 ? `${line.slice(0, 77)}...` : line;
}

/** UTF-8 bytes of a string. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}
