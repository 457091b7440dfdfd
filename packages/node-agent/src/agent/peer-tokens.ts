import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { base32, diskErrorOf, FieldbookError, isFieldbookError } from '@fieldbook/core';
import { createAtomically, readJsonIfThere } from '../machine/files.ts';
import { followDirectory } from '../machine/followed-directory.ts';

/** What is known of a peer's token. The token itself is shown once, when it is made, and kept nowhere. */
export interface PeerToken {
  id: string;
  /** Whom it was made for, in somebody's words. */
  name: string | null;
  /** ms since the epoch. */
  created: number;
}

interface Kept extends PeerToken {
  hash: Buffer;
}

/** Tells these from the owner's own token, so that no disk is looked at for anything else. */
const PREFIX = 'fbp_';
const ID = /^[0-9a-z]{8}$/;

/**
 * Tokens for other machines: who shows one may exchange with this field book and nothing else. One small file each, for the owner
 * only, with the SHA-256 of 256 random bits; commands make and remove them whether or not the agent runs.
 */
export class PeerTokens {
  readonly #directory: string;
  readonly #kept = new Map<string, Kept>();
  readonly #listeners = new Set<(id: string) => void>();
  #unfollow: (() => void) | undefined;
  #looking: Promise<void> | undefined;
  /** Why some of the files could not be read when they were last looked at. */
  #unreadable: FieldbookError | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<PeerTokens> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const tokens = new PeerTokens(directory);
    await tokens.refresh();
    return tokens;
  }

  list(): PeerToken[] {
    return [...this.#kept.values()].map(plain).sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
  }

  /** Makes a token; `secret` is what its holder presents. */
  async create(name: string | null): Promise<{ token: PeerToken; secret: string }> {
    const secret = `${PREFIX}${randomBytes(32).toString('base64url')}`;
    const token: PeerToken = { id: base32(new Uint8Array(randomBytes(5))), name, created: Date.now() };
    const text = `${JSON.stringify({ ...token, sha256: hashOf(secret).toString('hex') }, null, 2)}\n`;
    await createAtomically(this.#path(token.id), text, 0o600);
    await this.refresh();
    return { token, secret };
  }

  /** Throws `not_found`. A running agent closes the token's connections within a second. */
  async revoke(id: string): Promise<void> {
    const unknown = (): FieldbookError =>
      new FieldbookError('not_found', `There is no token "${id.slice(0, 40)}"; see "fieldbook share list".`);
    if (!ID.test(id)) throw unknown();
    try {
      await unlink(this.#path(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw unknown();
      throw diskErrorOf(error, 'That the token is revoked');
    }
    await this.refresh();
  }

  /**
   * The token that was presented, looked for on disk too: it may have been made a moment ago. Undefined when it is none of ours. Throws
   * `storage_failed` when that is not known: who is told that a token is wrong does not come back.
   */
  async find(secret: string): Promise<PeerToken | undefined> {
    if (!secret.startsWith(PREFIX)) return undefined;
    const known = this.#check(secret);
    if (known !== undefined) return known;
    await this.refresh();
    const found = this.#check(secret);
    // Whoever asks may be anybody, and is not told of files.
    if (found === undefined && this.#unreadable !== undefined)
      throw new FieldbookError(
        'storage_failed',
        'Whether the token is good cannot be said now: the disk of this machine cannot be read. Try again.',
        { cause: this.#unreadable },
      );
    return found;
  }

  /** Calls `listener` with the id of each token that is revoked while `watch` is on. */
  onRevoked(listener: (id: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Follows the directory until `close`. */
  watch(failed: (error: unknown) => void): void {
    this.#unfollow ??= followDirectory(this.#directory, () => this.refresh(), failed);
    void this.refresh().catch(failed);
  }

  close(): void {
    this.#unfollow?.();
    this.#listeners.clear();
  }

  /** Reads what changed in the directory; calls that come together share one look. */
  refresh(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Takes the same time for each. */
  #check(secret: string): PeerToken | undefined {
    const hash = hashOf(secret);
    let found: Kept | undefined;
    for (const kept of this.#kept.values()) if (timingSafeEqual(kept.hash, hash)) found = kept;
    return found === undefined ? undefined : plain(found);
  }

  async #look(): Promise<void> {
    const there = new Set<string>();
    let unreadable: FieldbookError | undefined;
    for (const file of await readdir(this.#directory)) {
      const id = file.endsWith('.json') ? file.slice(0, -5) : '';
      if (!ID.test(id)) continue;
      there.add(id);
      if (this.#kept.has(id)) continue;
      // A file that cannot be read lets nobody in.
      const read = await readJsonIfThere(this.#path(id)).catch((error: unknown) => {
        if (isFieldbookError(error, 'storage_failed')) unreadable = error;
      });
      const kept = readToken(read, id);
      if (kept !== undefined) this.#kept.set(id, kept);
    }
    this.#unreadable = unreadable;
    for (const id of this.#kept.keys()) {
      if (there.has(id)) continue;
      this.#kept.delete(id);
      for (const listener of this.#listeners) listener(id);
    }
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}

function readToken(value: unknown, id: string): Kept | undefined {
  const { sha256, name, created } = (value ?? {}) as Record<string, unknown>;
  const hash = Buffer.from(typeof sha256 === 'string' ? sha256 : '', 'hex');
  if (hash.length !== 32) return undefined;
  return { id, name: typeof name === 'string' ? name : null, created: Number(created), hash };
}

function plain({ id, name, created }: PeerToken): PeerToken {
  return { id, name, created };
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
