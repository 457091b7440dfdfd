import type { Session } from './api.ts';
import type { Http } from './http.ts';
import type { Keep } from './keep.ts';
import type { SyncState } from './sync-api.ts';
import type { SharedAt } from './views-api.ts';

const KEY = 'shared-at';

/** An agent answers on its own machine alone: others open its links at the relay that it has joined. */
export class Share {
  readonly #http: Http;
  readonly #keep: Keep;

  constructor(http: Http, keep: Keep) {
    this.#http = http;
    this.#keep = keep;
  }

  async at({ server, connection }: Pick<Session, 'server' | 'connection'>): Promise<SharedAt | null> {
    if (server?.kind !== 'agent') return null;
    if (connection.state === 'online') {
      try {
        const { peers } = await this.#http.json<SyncState>('/sync');
        const best = peers.find(reaches) ?? peers[0];
        const url = best?.url.replace(/\/+$/, '') ?? null;
        await this.#keep.put(KEY, url).catch(() => undefined);
        return best === undefined || url === null ? null : { url, reached: reaches(best) };
      } catch {
        // It does not answer: what it said last holds.
      }
    }
    const url = (await this.#keep.get<string | null>(KEY).catch(() => undefined)) ?? null;
    return url === null ? null : { url, reached: false };
  }
}

function reaches({ connected, paused }: SyncState['peers'][number]): boolean {
  return connected && !paused;
}
