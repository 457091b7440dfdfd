import { INVITATION_PREFIX } from '@fieldbook/core/access';
import type { Keep } from './keep.ts';

/** A server that does not answer at once is asked again at the next visit. */
const REDEEM_MS = 20_000;

/** How this browser comes in: the token that it keeps, or an invitation that becomes one. */
export class Entry {
  readonly #keep: Keep;
  readonly #origin: string;
  /** What people call this browser. */
  readonly #browser: string;
  #token: string | null = null;
  #problem: string | null = null;

  private constructor(keep: Keep, origin: string, browser: string) {
    this.#keep = keep;
    this.#origin = origin;
    this.#browser = browser;
  }

  /** With what the address carried, or what was kept. An invitation is kept until a server has answered. */
  static async open(keep: Keep, origin: string, given: string | null, browser: string): Promise<Entry> {
    const entry = new Entry(keep, origin, browser);
    const [token, invitation] = await Promise.all([keep.get<string>('token'), keep.get<string>('invitation')]);
    entry.#token = token ?? null;
    if (given !== null) await entry.present(given);
    else if (invitation !== undefined) await entry.#redeem(invitation);
    return entry;
  }

  get token(): string | null {
    return this.#token;
  }

  /** Why the invitation did not become a token, in words. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Takes a token or an invitation, or forgets both. Never rejects for a browser that cannot keep them. */
  async present(given: string | null): Promise<void> {
    this.#problem = null;
    if (given?.startsWith(INVITATION_PREFIX) === true) {
      await this.#keep.put('invitation', given).catch(() => undefined);
      await this.#redeem(given);
      return;
    }
    this.#token = given;
    if (given === null) await this.#keep.remove('token');
    else await this.#keep.put('token', given).catch(() => undefined);
    await this.#keep.remove('invitation').catch(() => undefined);
  }

  /** Once more, when the browser has lost what was kept. */
  async keepAgain(): Promise<void> {
    if (this.#token !== null) await this.#keep.put('token', this.#token);
  }

  async #redeem(invitation: string): Promise<void> {
    let answer: Response;
    try {
      answer = await fetch(`${this.#origin}/api/v1/invitations/redeem`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ secret: invitation, device: this.#browser }),
        cache: 'no-store',
        signal: AbortSignal.timeout(REDEEM_MS),
      });
    } catch {
      this.#problem = 'The relay does not answer now. The invitation is tried again when this page is opened again.';
      return;
    }
    const body = (await answer.json().catch(() => null)) as {
      token?: string;
      error?: { code?: string; message?: string };
    } | null;
    if (answer.ok && typeof body?.token === 'string') {
      this.#token = body.token;
      // The token is kept before the invitation goes: the other way round a crash would lose both.
      await this.#keep.put('token', body.token).catch(() => undefined);
      await this.#keep.remove('invitation').catch(() => undefined);
      return;
    }
    this.#problem = body?.error?.message ?? `The relay answered ${answer.status} to the invitation.`;
    // Too many have asked: this one has not been looked at.
    if (answer.status !== 429) await this.#keep.remove('invitation').catch(() => undefined);
  }
}
