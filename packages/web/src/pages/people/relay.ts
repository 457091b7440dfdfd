import type { Role } from '@fieldbook/core/access';
import { client } from '../../state/client.svelte.ts';

/** `GET /session`. */
export interface Me {
  token: string;
  name: string | null;
  role: Role;
  person: string | null;
}

interface Person {
  issuer: string;
  subject: string;
  email: string | null;
}

/** Of `GET /tokens`. Times are ms since the epoch. */
export interface TokenLine {
  id: string;
  role: Role;
  /** Null for all. */
  projects: readonly string[] | null;
  name: string | null;
  created: number;
  expires: number | null;
  lastUsed: number | null;
  /** Of somebody who signed in at a provider. */
  person?: Person;
}

/** Of `GET /invitations`. */
export interface InvitationLine {
  id: string;
  role: Role;
  projects: readonly string[] | null;
  name: string | null;
  created: number;
  expires: number;
  tokenLifetime: number | null;
}

/** Of `GET /people/revoked`. */
export interface RevokedLine {
  id: string;
  name: string | null;
  person: Person;
  revoked: number;
}

/** Of `GET /audit`: what else is in a line belongs to its event, and a newer relay may say more. */
export interface LogEntry {
  time: string;
  event: string;
  [field: string]: unknown;
}

export interface LogPage {
  entries: readonly LogEntry[];
  next: string | null;
}

export interface InvitationSpec {
  role: Role;
  projects: readonly string[] | null;
  name: string | null;
  /** ms since the epoch. */
  expires: number;
  tokenLifetime: number | null;
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await client.worker.ask(path, body === undefined ? { method } : { method, body })) as T;
}

const at = (id: string): string => encodeURIComponent(id);

/** What a relay says and does about who may come in. Everything throws the relay's error, its code as the name; nothing of it is kept. */
export const relay = {
  me: () => ask<Me>('GET', '/session'),
  tokens: async () => (await ask<{ tokens: TokenLine[] }>('GET', '/tokens')).tokens,
  invitations: async () => (await ask<{ invitations: InvitationLine[] }>('GET', '/invitations')).invitations,
  revoked: async () => (await ask<{ people: RevokedLine[] }>('GET', '/people/revoked')).people,
  log: (before: string | null, events: readonly string[] | null) => {
    const query = new URLSearchParams({ limit: '50' });
    if (before !== null) query.set('before', before);
    if (events !== null) query.set('events', events.join(','));
    return ask<LogPage>('GET', `/audit?${query.toString()}`);
  },
  /** The secret is told only now. */
  invite: (spec: InvitationSpec) => ask<InvitationLine & { secret: string }>('POST', '/invitations', spec),
  takeBack: (id: string) => ask<unknown>('DELETE', `/invitations/${at(id)}`),
  revoke: (id: string) => ask<unknown>('DELETE', `/tokens/${at(id)}`),
  readmit: (id: string) => ask<unknown>('DELETE', `/people/revoked/${at(id)}`),
};
