import { randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { base32, diskErrorOf, FieldbookError } from '@fieldbook/core';
import { INVITATION_PREFIX } from '@fieldbook/core/access';
import { createAtomically, syncDirectory } from './platform/files.ts';
import type { Token, Tokens, TokenSpec } from './tokens.ts';
import { hashOf, readSecretFile, unreadable } from './tokens.ts';

/** What an invitation is made with: the token that it becomes, and until when it may be used. */
export interface InvitationSpec extends Omit<TokenSpec, 'expires'> {
  /** ms since the epoch. */
  expires: number;
  /** How long the token lasts, in ms from when it is made; null when it does not end by itself. */
  tokenLifetime: number | null;
}

/** What is known of an invitation. Its secret is shown once, when it is made, and kept nowhere. */
export interface Invitation extends InvitationSpec {
  id: string;
  /** ms since the epoch. */
  created: number;
}

interface Kept extends Invitation {
  hash: Buffer;
}

const SECRET = /^fbi_[A-Za-z0-9_-]{43}$/;
const ID = /^[0-9a-z]{8}$/;
/** Whoever has put an invitation aside is through with it by then. */
const PUT_ASIDE_MS = 10 * 60_000;
/** Invitations that are open at once; beyond them somebody should look at what makes them. */
const MOST = 1_000;
/** An invitation that nobody has used in so long is found in an old chat. */
export const INVITATION_MS = 7 * 24 * 60 * 60_000;

/**
 * Invitations, one small file each, holding the SHA-256 of 256 random bits and named by the beginning of it. Whoever presents
 * the bits gets a token, once: the file is put aside first, and of two that come at the same time one does it. A disk that takes
 * no token gives the invitation back; a crash in between costs it and lets nobody in.
 */
export class Invitations {
  readonly #directory: string;
  readonly #now: () => number;

  private constructor(directory: string, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  /** Invitations whose time is over are removed here and whenever another is made. */
  static async open(directory: string, now: () => number = Date.now): Promise<Invitations> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const invitations = new Invitations(directory, now);
    await invitations.#sweep();
    return invitations;
  }

  /** Those that may still be used, by age. */
  async list(): Promise<Invitation[]> {
    const kept = await this.#all();
    return kept
      .filter(({ expires }) => expires > this.#now())
      .map(plain)
      .sort((a, b) => a.created - b.created);
  }

  /** Makes one; `secret` is what the link carries. Throws `invalid_argument`. */
  async create(spec: InvitationSpec): Promise<{ invitation: Invitation; secret: string }> {
    await this.#sweep();
    const created = this.#now();
    if (!(spec.expires > created))
      throw new FieldbookError('invalid_argument', 'The invitation would be over before it is made.');
    if ((await readdir(this.#directory)).length >= MOST)
      throw new FieldbookError('invalid_argument', `There are ${MOST} open invitations already; revoke some.`);
    const secret = `${INVITATION_PREFIX}${randomBytes(32).toString('base64url')}`;
    const { role, projects, name, expires, tokenLifetime } = spec;
    const invitation: Invitation = { id: idOf(secret), role, projects, name, created, expires, tokenLifetime };
    const text = `${JSON.stringify({ ...invitation, sha256: hashOf(secret).toString('hex') }, null, 2)}\n`;
    await createAtomically(this.#path(invitation.id), text);
    return { invitation, secret };
  }

  /** Resolves to what it was; throws `not_found`. */
  async revoke(id: string): Promise<Invitation> {
    const kept = ID.test(id) ? await read(this.#path(id), id) : undefined;
    const taken = kept === undefined ? undefined : await this.#take(id);
    if (kept === undefined || taken === undefined)
      throw new FieldbookError('not_found', `There is no open invitation ${JSON.stringify(id.slice(0, 40))}.`);
    await unlink(taken);
    return plain(kept);
  }

  /** The open invitation of an id. */
  async get(id: string): Promise<Invitation | undefined> {
    const kept = ID.test(id) ? await read(this.#path(id), id) : undefined;
    return kept === undefined ? undefined : plain(kept);
  }

  /** A token for whoever presents the secret, made for `device`. Throws `unauthorized` when it is unknown, used or over. */
  async redeem(
    secret: string,
    device: string,
    tokens: Tokens,
  ): Promise<{ invitation: Invitation; token: Token; secret: string }> {
    const id = SECRET.test(secret) ? idOf(secret) : '';
    const kept =
      id === ''
        ? undefined
        : await read(this.#path(id), id).catch((error: unknown) => {
            throw unreadable('the invitation', error);
          });
    const isRight = kept !== undefined && timingSafeEqual(kept.hash, hashOf(secret));
    const taken = isRight && kept.expires > this.#now() ? await this.#take(id) : undefined;
    if (kept === undefined || taken === undefined) {
      throw new FieldbookError(
        'unauthorized',
        'The invitation is unknown, was used already, or is over; ask for another.',
      );
    }
    const { role, projects, name, tokenLifetime } = kept;
    const spec: TokenSpec = {
      role,
      projects,
      name: name === null ? device : `${name} (${device})`,
      expires: tokenLifetime === null ? null : this.#now() + tokenLifetime,
    };
    const made = await tokens.create(spec).catch(async (error: unknown) => {
      await rename(taken, this.#path(id)).catch(() => undefined);
      throw error;
    });
    // It lets nobody in any more, whatever becomes of the file.
    await unlink(taken).catch(() => undefined);
    return { invitation: plain(kept), ...made };
  }

  /** Puts an invitation aside, durably, for whoever removes it; where it lies, undefined when somebody else has. */
  async #take(id: string): Promise<string | undefined> {
    const taken = join(this.#directory, `${id}.${randomBytes(6).toString('hex')}.used`);
    try {
      // Of two renames of one file one finds nothing.
      await rename(this.#path(id), taken);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw diskErrorOf(error, 'That the invitation is used');
    }
    try {
      await syncDirectory(this.#directory);
    } catch (error) {
      await rename(taken, this.#path(id)).catch(() => undefined);
      throw diskErrorOf(error, 'That the invitation is used');
    }
    return taken;
  }

  async #sweep(): Promise<void> {
    for (const file of await readdir(this.#directory))
      // Put aside, and then the process ended or the disk failed; one that is put aside now is young.
      if (file.endsWith('.used') && (await this.#ageOf(file)) > PUT_ASIDE_MS)
        await unlink(join(this.#directory, file)).catch(() => undefined);
    // One that cannot be read now is swept another time.
    for (const { id, expires } of await this.#all().catch(() => []))
      if (expires <= this.#now()) await unlink(this.#path(id)).catch(() => undefined);
  }

  async #all(): Promise<Kept[]> {
    const found: Kept[] = [];
    for (const file of await readdir(this.#directory)) {
      const id = file.endsWith('.json') ? file.slice(0, -5) : '';
      const kept = ID.test(id) ? await read(this.#path(id), id) : undefined;
      if (kept !== undefined) found.push(kept);
    }
    return found;
  }

  async #ageOf(file: string): Promise<number> {
    const found = await stat(join(this.#directory, file)).catch(() => undefined);
    return found === undefined ? 0 : Date.now() - found.ctimeMs;
  }

  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}

/** The link of an invitation. What stands behind `#` is never sent. */
export function invitationLink(url: string, secret: string): string {
  return `${url.replace(/\/+$/, '')}/#invite=${secret}`;
}

async function read(path: string, id: string): Promise<Kept | undefined> {
  const found = await readSecretFile(path);
  if (found === undefined) return undefined;
  const { value, spec, created, hash } = found;
  const { tokenLifetime = null } = value;
  if (spec.expires === null || (tokenLifetime !== null && typeof tokenLifetime !== 'number')) return undefined;
  return { ...spec, expires: spec.expires, id, created, tokenLifetime, hash };
}

function plain({ id, role, projects, name, created, expires, tokenLifetime }: Invitation): Invitation {
  return { id, role, projects, name, created, expires, tokenLifetime };
}

function idOf(secret: string): string {
  return base32(new Uint8Array(hashOf(secret).subarray(0, 5)));
}
