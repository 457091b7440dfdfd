import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProjectId } from '@fieldbook/core';
import { base32, FieldbookError, parseProjectId, readErrorOf } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { isRole } from '@fieldbook/core/access';
import { createAtomically, readIfThere, syncDirectory, writeAtomically } from './platform/files.ts';
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

/** Somebody who signs in at a provider. */
export interface Person {
  issuer: string;
  /** What the provider calls them for ever; an address may change hands. */
  subject: string;
  /** As the provider last said. */
  email: string | null;
}

/** What is known of a token. The token itself is shown once, when it is made, and kept nowhere. */
export interface Token extends TokenSpec {
  id: string;
  /** ms since the epoch. */
  created: number;
  /** Whom it stands for. Nobody can present such a token: its sessions are opened by signing in. */
  person?: Person;
}

/** A person who may not sign in, whatever the rules say. */
export interface Revoked {
  id: string;
  name: string | null;
  person: Person;
  /** ms since the epoch. */
  revoked: number;
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
/** Beside the token that it was. */
const REVOKED = '.revoked';
/** Ids of persons that are taken by somebody else; two are never. */
const IDS_MAX = 8;
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
  readonly #changed = new Set<(token: Token) => void>();
  #unfollow: (() => void) | undefined;
  #failed: (error: unknown) => void = () => undefined;
  #expiry: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #unreadable: FieldbookError | undefined;

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

  /** Why some of the files could not be read when they were last looked at. */
  get unreadable(): FieldbookError | undefined {
    return this.#unreadable;
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
    // Before the token goes: who signs in meanwhile looks for this afterwards.
    if (token?.person !== undefined) {
      const { name, person } = token;
      const revoked: Revoked = { id, name, person, revoked: this.#now() };
      await writeAtomically(this.#path(id, REVOKED), `${JSON.stringify(revoked, null, 2)}\n`);
    }
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
   * The token that stands for a person: the same one each time, with what it may from now on. Throws `forbidden` for somebody
   * who was revoked.
   */
  async signIn(person: Person, spec: TokenSpec): Promise<{ token: Token; isNew: boolean }> {
    await this.refresh();
    const id = this.#idOf(person);
    const before = this.#kept.get(id);
    const token: Token = { id, ...spec, created: before?.created ?? this.#now(), person };
    const hash = before?.hash ?? hashOf(randomBytes(32).toString('hex'));
    await this.#mustNotBeRevoked(id);
    const text = `${JSON.stringify({ ...token, sha256: hash.toString('hex') }, null, 2)}\n`;
    await writeAtomically(this.#path(id), text);
    this.#kept.set(id, { ...token, hash, over: false });
    this.#waitForExpiry();
    // Somebody may have revoked it while it was written: then it was written anew.
    await this.#mustNotBeRevoked(id).catch(async (error: unknown) => {
      await unlink(this.#path(id)).catch(() => undefined);
      await this.refresh();
      throw error;
    });
    if (before !== undefined && !isSame(before, spec)) for (const listener of this.#changed) listener(token);
    return { token, isNew: before === undefined };
  }

  /** Persons who may not sign in, by when that was. */
  async revoked(): Promise<Revoked[]> {
    const files = (await readdir(this.#directory)).filter((file) => file.endsWith(REVOKED));
    const read = await Promise.all(files.map((file) => readRevoked(join(this.#directory, file))));
    return read.filter((each) => each !== undefined).toSorted((a, b) => a.revoked - b.revoked);
  }

  /** Lets a person sign in again, as far as the rules do. Throws `not_found`. */
  async readmit(id: string): Promise<Revoked> {
    const revoked = ID.test(id) ? await readRevoked(this.#path(id, REVOKED)) : undefined;
    if (revoked === undefined)
      throw new FieldbookError('not_found', `No person ${JSON.stringify(id.slice(0, 40))} was revoked.`);
    await unlink(this.#path(id, REVOKED));
    await syncDirectory(this.#directory);
    return revoked;
  }

  /** Made of issuer and subject, so that it stays the same also where the token was forgotten; never somebody else's. */
  #idOf({ issuer, subject }: Person): string {
    for (let each = 0; each < IDS_MAX; each++) {
      const hash = createHash('sha256')
        .update(JSON.stringify([issuer, subject, each]))
        .digest();
      const id = base32(new Uint8Array(hash.subarray(0, 5)));
      const kept = this.#kept.get(id);
      if (kept === undefined || (kept.person?.issuer === issuer && kept.person.subject === subject)) return id;
    }
    throw new FieldbookError('internal', 'There is no free id for this person.');
  }

  /** A file that cannot be read lets nobody in. */
  async #mustNotBeRevoked(id: string): Promise<void> {
    if ((await readIfThere(this.#path(id, REVOKED))) === undefined) return;
    throw new FieldbookError('forbidden', 'Your access to this relay was revoked. Ask whoever runs it.', {
      details: { token: id },
    });
  }

  /**
   * The token that was presented, looked for on disk too: it may have been made a moment ago. Undefined when it is none of
   * ours; whether it is over (`isOver`) is for the caller to ask. Throws `storage_failed` when that is not known: who is told that a
   * token is wrong does not come back.
   */
  async find(secret: string): Promise<Token | undefined> {
    const known = this.#check(secret);
    if (known !== undefined || !secret.startsWith(PREFIX)) return known;
    await this.refresh();
    const found = this.#check(secret);
    // Whoever asks may be anybody, and is not told of files.
    if (found === undefined && this.#unreadable !== undefined) throw unreadable('the token', this.#unreadable);
    return found;
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

  /** Calls `listener` with each token that may something else from now on, or with more or fewer projects. */
  onChanged(listener: (token: Token) => void): void {
    this.#changed.add(listener);
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
    this.#changed.clear();
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
    // What comes while the names are read is not gone for not being among them.
    const before = new Set(this.#kept.keys());
    let failed: FieldbookError | undefined;
    for (const file of await readdir(this.#directory)) {
      const id = file.endsWith('.json') ? file.slice(0, -5) : '';
      if (!ID.test(id)) continue;
      there.add(id);
      if (this.#kept.has(id)) continue;
      const kept = await readToken(this.#path(id), id).catch((error: unknown) => {
        failed = readErrorOf(error, this.#path(id));
      });
      if (kept !== undefined) this.#kept.set(id, kept);
    }
    if (failed !== undefined && this.#unreadable === undefined) this.#failed(failed);
    this.#unreadable = failed;
    for (const [id, kept] of this.#kept) {
      if (!there.has(id)) {
        if (!before.has(id)) continue;
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

  #path(id: string, ending = '.json'): string {
    return join(this.#directory, `${id}${ending}`);
  }
}

async function readToken(path: string, id: string): Promise<Kept | undefined> {
  const read = await readSecretFile(path);
  if (read === undefined) return undefined;
  const person = readPerson(read.value['person']);
  const kept = { ...read.spec, id, created: read.created, hash: read.hash, over: false };
  return person === undefined ? kept : { ...kept, person };
}

function readPerson(value: unknown): Person | undefined {
  const { issuer, subject, email } = (value ?? {}) as Partial<Record<keyof Person, unknown>>;
  if (typeof issuer !== 'string' || typeof subject !== 'string') return undefined;
  return { issuer, subject, email: typeof email === 'string' ? email : null };
}

async function readRevoked(path: string): Promise<Revoked | undefined> {
  try {
    const value = JSON.parse((await readIfThere(path)) ?? '{}') as Partial<Record<keyof Revoked, unknown>>;
    const person = readPerson(value.person);
    const { id, name, revoked } = value;
    if (typeof id !== 'string' || person === undefined) return undefined;
    return { id, name: typeof name === 'string' ? name : null, person, revoked: Number(revoked) };
  } catch {
    return undefined;
  }
}

/** What a stranger is told when it is not known whom to let in. */
export function unreadable(what: string, cause: unknown): FieldbookError {
  const message = `Whether ${what} is good cannot be said now: the disk of this relay cannot be read. Try again; its log says more.`;
  return new FieldbookError('storage_failed', message, { cause });
}

function isSame(one: TokenSpec, other: TokenSpec): boolean {
  return one.role === other.role && JSON.stringify(one.projects) === JSON.stringify(other.projects);
}

/**
 * The file of a token or an invitation. Undefined when it was removed since it was listed, or is not ours: it lets nobody in. Throws
 * `storage_failed` when it cannot be read.
 */
export async function readSecretFile(path: string): Promise<SecretFile | undefined> {
  const text = await readIfThere(path);
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text ?? '{}') as typeof value;
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

function plain({ id, role, projects, name, created, expires, person }: Token): Token {
  const token = { id, role, projects, name, created, expires };
  return person === undefined ? token : { ...token, person };
}

/** What is kept of a secret of 256 random bits. */
export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
