import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { base32, FieldbookError } from '@fieldbook/core';
import { createAtomically, syncDirectory } from './platform/files.ts';

export type TokenRole = 'member' | 'viewer';

/** What is known of a token. The token itself is shown once, when it is made, and kept nowhere. */
export interface Token {
  id: string;
  role: TokenRole;
  /** Whom it was made for, in somebody's words. */
  name: string | null;
  /** ms since the epoch. */
  created: number;
}

interface Kept extends Token {
  hash: Buffer;
}

const PREFIX = 'fbt_';
const ID = /^[0-9a-z]{8}$/;
/** How soon a running server notices a token that was made or revoked. */
const POLL_MS = 500;

/**
 * Access tokens, one small file each, named by id and holding the SHA-256 of 256 random bits. The server reads the
 * directory while other processes add and remove files, so `token` commands need neither the server nor its store.
 */
export class Tokens {
  readonly #directory: string;
  readonly #kept = new Map<string, Kept>();
  readonly #listeners = new Set<(token: Token) => void>();
  #polling: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<Tokens> {
    const tokens = new Tokens(directory);
    await tokens.refresh();
    return tokens;
  }

  list(): Token[] {
    return [...this.#kept.values()].map(plain).sort((a, b) => a.created - b.created);
  }

  /** Makes a token; `secret` is what its holder presents. */
  async create(role: TokenRole, name: string | null): Promise<{ token: Token; secret: string }> {
    const secret = `${PREFIX}${randomBytes(32).toString('base64url')}`;
    const token: Token = { id: base32(new Uint8Array(randomBytes(5))), role, name, created: Date.now() };
    const text = `${JSON.stringify({ ...token, sha256: hashOf(secret).toString('hex') }, null, 2)}\n`;
    await createAtomically(this.#path(token.id), text);
    await this.refresh();
    return { token, secret };
  }

  /** Throws `not_found` when there is no such token. A running server closes its connections within a second. */
  async revoke(id: string): Promise<void> {
    if (!ID.test(id))
      throw new FieldbookError(
        'not_found',
        `"${id.slice(0, 40)}" is not the id of a token; see "fieldbook-relay token list".`,
      );
    try {
      await unlink(this.#path(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new FieldbookError('not_found', `There is no token ${id}; see "fieldbook-relay token list".`);
    }
    await syncDirectory(this.#directory);
    await this.refresh();
  }

  /** The token that was presented, looked for on disk too: it may have been made a moment ago. Undefined when it is none of ours. */
  async find(secret: string): Promise<Token | undefined> {
    const known = this.#check(secret);
    if (known !== undefined || !secret.startsWith(PREFIX)) return known;
    await this.refresh();
    return this.#check(secret);
  }

  /** Takes the same time for each. */
  #check(secret: string): Token | undefined {
    const hash = hashOf(secret);
    let found: Kept | undefined;
    for (const kept of this.#kept.values()) if (timingSafeEqual(kept.hash, hash)) found = kept;
    return found === undefined ? undefined : plain(found);
  }

  /** Calls `listener` with each token that is revoked while `watch` is on. */
  onRevoked(listener: (token: Token) => void): void {
    this.#listeners.add(listener);
  }

  /** Follows the directory until `close`. */
  watch(failed: (error: unknown) => void): void {
    this.#polling ??= setInterval(() => void this.refresh().catch(failed), POLL_MS).unref();
  }

  close(): void {
    clearInterval(this.#polling);
    this.#listeners.clear();
  }

  /** Reads what changed in the directory; calls that come together share one look. A few dozen names are not worth a watcher. */
  refresh(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const there = new Set<string>();
    for (const file of await readdir(this.#directory)) {
      const id = file.endsWith('.json') ? file.slice(0, -5) : '';
      if (!ID.test(id)) continue;
      there.add(id);
      if (this.#kept.has(id)) continue;
      const kept = await readToken(this.#path(id), id);
      if (kept !== undefined) this.#kept.set(id, kept);
    }
    for (const [id, kept] of this.#kept) {
      if (there.has(id)) continue;
      this.#kept.delete(id);
      for (const listener of this.#listeners) listener(plain(kept));
    }
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}

async function readToken(path: string, id: string): Promise<Kept | undefined> {
  let value: Partial<Token & { sha256: string }>;
  try {
    value = JSON.parse(await readFile(path, 'utf8')) as typeof value;
  } catch {
    // Removed since it was listed, or not ours: a file that cannot be read lets nobody in.
    return undefined;
  }
  const hash = Buffer.from(String(value.sha256), 'hex');
  if (hash.length !== 32 || (value.role !== 'member' && value.role !== 'viewer')) return undefined;
  return {
    id,
    role: value.role,
    name: typeof value.name === 'string' ? value.name : null,
    created: Number(value.created),
    hash,
  };
}

function plain({ id, role, name, created }: Token): Token {
  return { id, role, name, created };
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
