import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProjectId } from '@fieldbook/core';
import { base32, FieldbookError, parseProjectId } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { isRole } from '@fieldbook/core/access';
import { createAtomically, syncDirectory } from './platform/files.ts';
import { followDirectory } from './platform/followed-directory.ts';

/** What a token is made with. */
export interface TokenSpec {
  role: Role;
  /** Everything, or only these projects. */
  projects: readonly ProjectId[] | null;
  /** Whom it is for, in somebody's words. */
  name: string | null;
  /** ms since the epoch when it ends by itself; null when it does not. */
  expires: number | null;
}

/** What is known of a token. The token itself is shown once, when it is made, and kept nowhere. */
export interface Token extends TokenSpec {
  id: string;
  /** ms since the epoch. */
  created: number;
}

/** Why a token lets nobody in any more. */
export type TokenEnd = 'revoked' | 'expired';

interface Kept extends Token {
  hash: Buffer;
  /** Whether listeners have heard that it has expired. */
  over: boolean;
}

const PREFIX = 'fbt_';
const ID = /^[0-9a-z]{8}$/;
/** Timers hold no longer; looking earlier than needed is harmless. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Access tokens, one small file each, named by id and holding the SHA-256 of 256 random bits. The server reads the
 * directory while other processes add and remove files, so `token` commands need neither the server nor its store. Files
 * of older versions, without projects and expiry, are read as of everything and for ever.
 */
export class Tokens {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();
  readonly #listeners = new Set<(token: Token, why: TokenEnd) => void>();
  #unfollow: (() => void) | undefined;
  #failed: (error: unknown) => void = () => undefined;
  #expiry: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  private constructor(directory: string, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  static async open(directory: string, now: () => number = Date.now): Promise<Tokens> {
    const tokens = new Tokens(directory, now);
    await tokens.refresh();
    // Those that were over before there was anybody to tell.
    for (const kept of tokens.#kept.values()) kept.over = tokens.isOver(kept);
    return tokens;
  }

  /** By age; expired ones too. */
  list(): Token[] {
    return [...this.#kept.values()].map(plain).sort((a, b) => a.created - b.created);
  }

  /** Makes a token; `secret` is what its holder presents. Throws `invalid_argument` for an expiry that has passed. */
  async create(spec: TokenSpec): Promise<{ token: Token; secret: string }> {
    const { role, projects, name, expires } = spec;
    const created = this.#now();
    if (expires !== null && !(expires > created))
      throw new FieldbookError('invalid_argument', 'The token would be over before it is made; give a later expiry.');
    const secret = `${PREFIX}${randomBytes(32).toString('base64url')}`;
    const token: Token = { id: base32(new Uint8Array(randomBytes(5))), role, projects, name, created, expires };
    const text = `${JSON.stringify({ ...token, sha256: hashOf(secret).toString('hex') }, null, 2)}\n`;
    await createAtomically(this.#path(token.id), text);
    await this.refresh();
    return { token, secret };
  }

  /** Resolves to what the token was; throws `not_found` when there is none. A running server closes its connections within a second. */
  async revoke(id: string): Promise<Token> {
    if (!ID.test(id))
      throw new FieldbookError(
        'not_found',
        `"${id.slice(0, 40)}" is not the id of a token; see "fieldbook-relay token list".`,
      );
    await this.refresh();
    const token = this.#kept.get(id);
    try {
      await unlink(this.#path(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new FieldbookError('not_found', `There is no token ${id}; see "fieldbook-relay token list".`);
    }
    await syncDirectory(this.#directory);
    await this.refresh();
    return token === undefined
      ? { id, role: 'viewer', projects: null, name: null, created: 0, expires: null }
      : plain(token);
  }

  /**
   * The token that was presented, looked for on disk too: it may have been made a moment ago. Undefined when it is none of
   * ours; whether it is over (`isOver`) is for the caller to ask.
   */
  async find(secret: string): Promise<Token | undefined> {
    const known = this.#check(secret);
    if (known !== undefined || !secret.startsWith(PREFIX)) return known;
    await this.refresh();
    return this.#check(secret);
  }

  /** Whether the token's time has passed. */
  isOver({ expires }: Pick<Token, 'expires'>): boolean {
    return expires !== null && expires <= this.#now();
  }

  get(id: string): Token | undefined {
    const kept = this.#kept.get(id);
    return kept === undefined ? undefined : plain(kept);
  }

  /** As `find`, without looking on disk. */
  known(secret: string): Token | undefined {
    return this.#check(secret);
  }

  /** Takes the same time for each. */
  #check(secret: string): Token | undefined {
    const hash = hashOf(secret);
    let found: Kept | undefined;
    for (const kept of this.#kept.values()) if (timingSafeEqual(kept.hash, hash)) found = kept;
    return found === undefined ? undefined : plain(found);
  }

  /** Calls `listener` once with each token that is revoked, or whose time passes, while `watch` is on. */
  onEnded(listener: (token: Token, why: TokenEnd) => void): void {
    this.#listeners.add(listener);
  }

  /** Follows the directory and the clock until `close`. */
  watch(failed: (error: unknown) => void): void {
    if (this.#unfollow !== undefined) return;
    this.#failed = failed;
    this.#unfollow = followDirectory(this.#directory, () => this.refresh(), failed);
    // Also what changed before anybody watched, and when the first ends by itself.
    void this.refresh().catch(failed);
  }

  close(): void {
    this.#unfollow?.();
    clearTimeout(this.#expiry);
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
      if (!there.has(id)) {
        this.#kept.delete(id);
        this.#tell(kept, 'revoked');
      } else if (!kept.over && this.isOver(kept)) {
        kept.over = true;
        this.#tell(kept, 'expired');
      }
    }
    this.#waitForExpiry();
  }

  /** Looks again when the next token's time is over. */
  #waitForExpiry(): void {
    clearTimeout(this.#expiry);
    if (this.#unfollow === undefined) return;
    let next = Number.POSITIVE_INFINITY;
    for (const { expires, over } of this.#kept.values()) if (expires !== null && !over) next = Math.min(next, expires);
    if (next === Number.POSITIVE_INFINITY) return;
    const wait = Math.min(TIMER_MS_MAX, Math.max(0, next - this.#now()) + 1);
    this.#expiry = setTimeout(() => void this.refresh().catch(this.#failed), wait).unref();
  }

  #tell(kept: Kept, why: TokenEnd): void {
    for (const listener of this.#listeners) listener(plain(kept), why);
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}

async function readToken(path: string, id: string): Promise<Kept | undefined> {
  const read = await readSecretFile(path);
  return read === undefined ? undefined : { ...read.spec, id, created: read.created, hash: read.hash, over: false };
}

/** The file of a token or an invitation. Undefined when it was removed since it was listed, or is not ours: it lets nobody in. */
export async function readSecretFile(path: string): Promise<SecretFile | undefined> {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(await readFile(path, 'utf8')) as typeof value;
  } catch {
    return undefined;
  }
  const hash = Buffer.from(String(value['sha256']), 'hex');
  const spec = readSpec(value);
  if (hash.length !== 32 || spec === undefined) return undefined;
  return { value, spec, created: Number(value['created']), hash };
}

interface SecretFile {
  value: Readonly<Record<string, unknown>>;
  spec: TokenSpec;
  created: number;
  /** SHA-256 of the secret. */
  hash: Buffer;
}

/** What of a file says what a token may. Undefined when a newer version wrote it in a way that this one cannot read: nobody is let in to more than it says. */
function readSpec(value: Readonly<Partial<Record<keyof TokenSpec, unknown>>>): TokenSpec | undefined {
  const projects = readProjects(value.projects);
  const expires = value.expires ?? null;
  if (!isRole(value.role) || projects === undefined) return undefined;
  if (expires !== null && typeof expires !== 'number') return undefined;
  return { role: value.role, projects, name: typeof value.name === 'string' ? value.name : null, expires };
}

function readProjects(value: unknown): ProjectId[] | null | undefined {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) return undefined;
  try {
    return value.map((each) => parseProjectId(String(each)));
  } catch {
    return undefined;
  }
}

function plain({ id, role, projects, name, created, expires }: Token): Token {
  return { id, role, projects, name, created, expires };
}

/** What is kept of a secret of 256 random bits. */
export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
