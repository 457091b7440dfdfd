import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** Somebody on the way to the provider and back. */
export interface Attempt {
  state: string;
  nonce: string;
  /** PKCE: whoever takes the code from the address has not got this. */
  verifier: string;
  /** The page to return to. */
  to: string;
  /** ms since the epoch. */
  expires: number;
}

/** What tells an attempt from others of its browser; undefined for a state that none has. */
export function attemptId(state: string): string | undefined {
  return /^[\w-]{43}$/.test(state) ? state.slice(0, 8) : undefined;
}

/** Logging in may take a second factor and a new password. */
export const ATTEMPT_MS = 10 * 60_000;
/** What was used up is remembered until it would be over anyway. */
const USED_MAX = 10_000;
const SEALED_MAX = 4_096;
/** A browser sends all that it keeps with every request, whose headers have a bound. */
const OTHERS = { count: 3, bytes: 4_096 } as const;
const IV = 12;
const TAG = 16;

/**
 * Attempts to sign in. Each travels in a cookie of its own in its browser, sealed under a key that ends with this process: whoever
 * starts a million of them fills no memory and pushes nobody's out, and a callback means nothing in another browser.
 */
export class Attempts {
  readonly #now: () => number;
  readonly #key = randomBytes(32);
  /** SHA-256 of states that came back, and when they would have been over. */
  readonly #used = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A new one, and what its browser keeps. */
  begin(to: string): { attempt: Attempt; sealed: string } {
    const secret = (): string => randomBytes(32).toString('base64url');
    const attempt = { state: secret(), nonce: secret(), verifier: secret(), to, expires: this.#now() + ATTEMPT_MS };
    const iv = randomBytes(IV);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv);
    const body = Buffer.concat([cipher.update(JSON.stringify(attempt), 'utf8'), cipher.final()]);
    return { attempt, sealed: Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url') };
  }

  /** Which of the attempts that a browser keeps it should forget before it begins another: those that are over, and the oldest of many. */
  superfluous(kept: ReadonlyMap<string, string>): string[] {
    const now = this.#now();
    const opened = [...kept].map(([id, sealed]) => ({ id, sealed, expires: this.#open(sealed)?.expires ?? 0 }));
    let bytes = 0;
    return opened
      .toSorted((a, b) => b.expires - a.expires)
      .filter(({ sealed, expires }, index) => {
        bytes += sealed.length;
        return expires <= now || index >= OTHERS.count || bytes > OTHERS.bytes;
      })
      .map(({ id }) => id);
  }

  /** The attempt of a browser that came back with `state`, once. Undefined when it is another's, over, or used up. */
  take(sealed: string | undefined, state: string): Attempt | undefined {
    const attempt = this.#open(sealed);
    const now = this.#now();
    if (attempt === undefined || attempt.expires <= now || attempt.state !== state) return undefined;
    for (const [key, expires] of this.#used) {
      if (expires > now && this.#used.size < USED_MAX) break;
      this.#used.delete(key);
    }
    const key = createHash('sha256').update(state).digest('base64url');
    if (this.#used.has(key)) return undefined;
    this.#used.set(key, attempt.expires);
    return attempt;
  }

  #open(sealed: string | undefined): Attempt | undefined {
    if (sealed === undefined || sealed.length > SEALED_MAX) return undefined;
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length <= IV + TAG) return undefined;
    try {
      const cipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, IV), { authTagLength: TAG });
      cipher.setAuthTag(bytes.subarray(IV, IV + TAG));
      const text = Buffer.concat([cipher.update(bytes.subarray(IV + TAG)), cipher.final()]).toString('utf8');
      return JSON.parse(text) as Attempt;
    } catch {
      // Of a process before, or nothing of ours.
      return undefined;
    }
  }
}
