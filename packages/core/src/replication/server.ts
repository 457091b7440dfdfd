import type { Gate } from '../access/gate.ts';
import { CLOSE } from '../links/index.ts';
import type { Link } from '../ports.ts';
import type { SessionOptions } from './session.ts';
import { ReplicationSession } from './session.ts';

export type ServerOptions = Omit<SessionOptions, 'link' | 'grants' | 'onChange'> & { onChange?(): void };

/** The replicas that dialled this one. */
export class ReplicationServer {
  readonly #options: ServerOptions;
  readonly #sessions = new Set<ReplicationSession>();

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  get sessions(): ReadonlySet<ReplicationSession> {
    return this.#sessions;
  }

  /** Takes over an accepted connection. Close the returned session to take a grant back. */
  accept(
    link: Link,
    grants: Gate,
    from: Pick<SessionOptions, 'rebuilds' | 'tokenId' | 'onProven' | 'onRefused'> = {},
  ): ReplicationSession {
    let greeted = false;
    const session: ReplicationSession = new ReplicationSession({
      ...this.#options,
      rebuilds: false,
      ...from,
      link,
      grants,
      onChange: () => {
        if (!greeted && session.connected) {
          greeted = true;
          this.#replaceOthers(session);
        }
        this.#options.onChange?.();
      },
    });
    this.#sessions.add(session);
    void session.ended.then(() => this.#sessions.delete(session));
    return session;
  }

  close(code: number = CLOSE.goingAway, reason = 'shutting down'): void {
    for (const session of this.#sessions) session.close(code, reason);
  }

  /** Blobs were found lost: whoever is connected hears it, and may have them. */
  tellLosses(): void {
    for (const session of this.#sessions) session.tellLosses();
  }

  /** There is room again: peers that nothing was taken from come back at once, with what they have. */
  takeAgain(): void {
    for (const session of this.#sessions)
      if (session.full) session.close(CLOSE.storage, 'there is room again; come back');
  }

  /**
   * A peer that dials again has lost its old connection, whether or not we have noticed. Only its device says that it is the same
   * peer: a replica id can be said by anybody, and whoever proves nothing waits until the old one falls silent.
   */
  #replaceOthers(session: ReplicationSession): void {
    if (session.proven === null) return;
    for (const other of this.#sessions) {
      const isSame = other.hello?.replica === session.hello?.replica && other.proven === session.proven;
      if (other !== session && isSame) {
        other.close(CLOSE.replaced, 'replaced by a newer connection');
      }
    }
  }
}
