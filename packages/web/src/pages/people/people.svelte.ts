import { actions } from '../../state/actions.svelte.ts';
import { Repeated } from '../../state/repeated.ts';
import type { InvitationLine, Me, RevokedLine, TokenLine } from './relay.ts';
import { relay } from './relay.ts';
import { problemWords } from './words.ts';

/** Who may come in, as the relay said last. Nothing of it outlives the page. */
export class People {
  me = $state.raw<Me | null>(null);
  tokens = $state.raw<readonly TokenLine[] | null>(null);
  invitations = $state.raw<readonly InvitationLine[]>([]);
  /** Null for an admin of some projects, whom it does not concern. */
  revoked = $state.raw<readonly RevokedLine[] | null>(null);
  /** Why it could not be read, in words. */
  problem = $state<string | null>(null);
  readonly #reading = new Repeated(() => this.#read());

  /** The token of this browser, or of whoever signed in. */
  get own(): TokenLine | null {
    return this.tokens?.find(({ id }) => id === this.me?.token) ?? null;
  }

  /** Reads everything now, or after what is being read. Never rejects: `problem` says why it failed. */
  read(): void {
    void this.#reading.run().catch((error: unknown) => (this.problem = wordsOf(error)));
  }

  /** Does something at the relay and says so, or why not. What is shown is read again either way. */
  async act(said: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      actions.say(said);
    } catch (error) {
      actions.say(wordsOf(error), null, true);
    }
    this.read();
  }

  async #read(): Promise<void> {
    const [me, tokens, invitations] = await Promise.all([relay.me(), relay.tokens(), relay.invitations()]);
    const isWhole = tokens.find(({ id }) => id === me.token)?.projects === null;
    const revoked = isWhole ? await relay.revoked() : null;
    Object.assign(this, { me, tokens, invitations, revoked, problem: null });
  }
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? problemWords(error.name, error.message) : String(error);
}
