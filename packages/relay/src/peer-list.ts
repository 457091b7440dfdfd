import { createHash } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import { readIfThere, syncDirectory, writeAtomically } from './platform/files.ts';

/** Another relay of the same workspace, which this one dials. */
export interface RelayPeer {
  url: string;
  /** A member's token there. It is presented, so it is kept as it is, in a file of the owner's. */
  token: string;
  /** ms since the epoch. */
  added: number;
}

/** The relays that this one exchanges with: one small file each, which commands add and remove while the server reads them. */
export class PeerList {
  readonly #directory: string;

  /** Where its files lie. */
  get directory(): string {
    return this.#directory;
  }

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<PeerList> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new PeerList(directory);
  }

  /** All of them, the one added first first. Throws `storage_failed` when one cannot be read: it is no less a peer. */
  async list(): Promise<RelayPeer[]> {
    const peers: RelayPeer[] = [];
    for (const file of await readdir(this.#directory)) {
      if (!file.endsWith('.json')) continue;
      const peer = await readPeer(join(this.#directory, file));
      if (peer !== undefined) peers.push(peer);
    }
    return peers.sort((a, b) => a.added - b.added || (a.url < b.url ? -1 : 1));
  }

  /** Adds a relay, or gives the one of that address another token. */
  async add(url: string, token: string): Promise<void> {
    await writeAtomically(this.#path(url), `${JSON.stringify({ url, token, added: Date.now() }, null, 2)}\n`);
  }

  /** Throws `not_found`. What was exchanged stays. */
  async remove(url: string): Promise<void> {
    try {
      await unlink(this.#path(url));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new FieldbookError('not_found', `${url} is no peer of this relay; see "fieldbook-relay peer list".`);
    }
    await syncDirectory(this.#directory);
  }

  #path(url: string): string {
    return join(this.#directory, `${createHash('sha256').update(url).digest('hex').slice(0, 32)}.json`);
  }
}

async function readPeer(path: string): Promise<RelayPeer | undefined> {
  const text = await readIfThere(path);
  try {
    const { url, token, added } = JSON.parse(text ?? '{}') as Partial<RelayPeer>;
    if (typeof url !== 'string' || typeof token !== 'string') return undefined;
    return { url: peerUrl(url), token, added: Number(added) };
  } catch {
    return undefined;
  }
}

/** One spelling for one relay, written with `http`, `https`, `ws` or `wss`. Throws `invalid_argument`. */
export function peerUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text.replace(/^ws(s?):/i, 'http$1:'));
  } catch {
    throw new FieldbookError('invalid_argument', `${text.slice(0, 200)} is not an address.`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new FieldbookError('invalid_argument', 'A relay’s address starts with https:// or http://.');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new FieldbookError(
      'invalid_argument',
      'A relay’s address has no user, query or fragment; give the token by --token.',
    );
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}
