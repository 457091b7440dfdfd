import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { utf8 } from '../ids.ts';
import { PROTOCOL_VERSIONS } from '../replication/protocol.ts';
import { decodeTxt, encodeTxt } from './txt.ts';

/** The service of DNS-SD under which agents and relays announce themselves. */
export const SERVICE = ['_fieldbook', '_tcp', 'local'] as const;

/** What a program says of itself to everybody on the network. */
export interface Announcement {
  /** Cleaned: one line that does nothing to a terminal. */
  readonly name: string;
  readonly kind: 'agent' | 'relay';
  /** Versions of the replication protocol. */
  readonly versions: readonly number[];
  readonly tls: boolean;
  /** The host name that it wants to be called by, where its addresses will not do. */
  readonly host: string | null;
  /** What only members of the workspace recognise it by, see `workspaceTag`. */
  readonly workspace: string | null;
}

/** Whether it speaks a version of the replication protocol that we speak. */
export function canExchangeWith({ versions }: Pick<Announcement, 'versions'>): boolean {
  return versions.some((version) => PROTOCOL_VERSIONS.includes(version));
}

export const SALT_BYTES = 8;
const TAG_BYTES = 10;
const TAG = /^([0-9a-f]{16})-([0-9a-f]{20})$/;

/**
 * A workspace as it is announced: a salt of 8 bytes and 80 bits of a hash of both. Who knows the id recognises it; nobody else learns
 * the id, or that two announcements with different salts are of one workspace.
 */
export function workspaceTag(workspace: string, salt: Uint8Array): string {
  return tagOf(workspace, bytesToHex(salt));
}

/** Whether a tag is of this workspace. Whoever has heard a tag can repeat it: it proves nothing. */
export function isTagOf(tag: string, workspace: string): boolean {
  const salt = TAG.exec(tag)?.[1];
  return salt !== undefined && tagOf(workspace, salt) === tag;
}

function tagOf(workspace: string, salt: string): string {
  const digest = sha256(utf8(`fieldbook discovery 1\n${salt}\n${workspace}`));
  return `${salt}-${bytesToHex(digest.subarray(0, TAG_BYTES))}`;
}

/** The TXT record of an announcement; its name is the record's. */
export function encodeAnnouncement({ kind, versions, tls, host, workspace }: Omit<Announcement, 'name'>): Uint8Array {
  return encodeTxt([
    ['txtvers', '1'],
    ['kind', kind],
    ['v', versions.join(',')],
    ['tls', tls ? '1' : '0'],
    ...(host === null ? [] : [['host', host] as const]),
    ...(workspace === null ? [] : [['ws', workspace] as const]),
  ]);
}

/** An announcement of anybody; null when it is not of Fieldbook as this version knows it. */
export function decodeAnnouncement(label: string, txt: Uint8Array): Announcement | null {
  const entries = decodeTxt(txt);
  const kind = entries.get('kind');
  if (entries.get('txtvers') !== '1' || (kind !== 'agent' && kind !== 'relay')) return null;
  const host = entries.get('host') ?? null;
  const workspace = entries.get('ws') ?? null;
  return {
    name: cleanName(label),
    kind,
    versions: (entries.get('v') ?? '')
      .split(',', MOST_VERSIONS)
      .filter((version) => /^[1-9]\d{0,4}$/.test(version))
      .map(Number),
    tls: entries.get('tls') === '1',
    host: host !== null && isHostName(host) ? host.toLowerCase() : null,
    workspace: workspace !== null && TAG.test(workspace) ? workspace : null,
  };
}

const MOST_VERSIONS = 8;

/** Whether a text is the name of a host, and no address: letters, digits and hyphens between dots, the last part not a number. */
export function isHostName(text: string): boolean {
  const parts = text.split('.');
  return (
    text.length <= 253 &&
    parts.every((part) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(part)) &&
    !/^\d+$/.test(parts.at(-1)!)
  );
}

const NAME_BYTES = 63;

/** A name as one line of at most 63 bytes, in which nothing moves a cursor, hides or turns the text round. */
export function cleanName(text: string): string {
  const cleaned = text
    .slice(0, 4 * NAME_BYTES)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, '\ufffd')
    .replace(/\s+/g, ' ')
    .trim();
  return clipped(cleaned === '' ? '?' : cleaned, NAME_BYTES);
}

/** `gpu (2)` for the second that is called `gpu`; at most 63 bytes, as a label has. */
export function nameWithNumber(name: string, number: number): string {
  if (number <= 1) return name;
  const suffix = ` (${number})`;
  return `${clipped(name, NAME_BYTES - suffix.length)}${suffix}`;
}

/** Whole characters of at most so many bytes. */
function clipped(text: string, bytes: number): string {
  let cut = '';
  let size = 0;
  for (const character of text) {
    size += utf8(character).length;
    if (size > bytes) break;
    cut += character;
  }
  return cut;
}
