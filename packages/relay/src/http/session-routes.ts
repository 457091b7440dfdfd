import { FieldbookError } from '@fieldbook/core';
import type { Route } from '@fieldbook/core/api';
import { array, json, object, orNull } from '@fieldbook/core/api';
import type { Audit } from '../audit.ts';
import type { SessionCookie } from './cookie.ts';
import type { Sessions } from './sessions.ts';
import { SESSION_MS } from './sessions.ts';
import { SIGN_IN_PATH } from '../oidc/index.ts';
import { holderOf, visitorOf } from './visitor.ts';

const MOST = 64;
const moment = { type: 'integer', description: 'ms since the epoch' } as const;

/** How browsers come in without sending their token each time: a cookie for requests, a ticket for each socket. */
export function sessionRoutes({
  sessions,
  cookie,
  audit,
  oidcLabel,
  now,
}: {
  sessions: Sessions;
  cookie: SessionCookie;
  audit: Audit;
  /** What people call the provider at which they sign in; null without one. */
  oidcLabel: string | null;
  now: () => number;
}): Route[] {
  return [
    {
      id: 'signInWays',
      method: 'GET',
      path: '/sign-in',
      summary: 'How people may come in besides by tokens and invitations',
      needs: 'anybody',
      answers: [
        {
          status: 200,
          description: 'A browser goes to `start`, with `?to=` the path to come back to.',
          schema: object({ oidc: orNull(object({ label: { type: 'string' }, start: { type: 'string' } })) }),
        },
      ],
      handle: async () => json(200, { oidc: oidcLabel === null ? null : { label: oidcLabel, start: SIGN_IN_PATH } }),
    },
    {
      id: 'readSession',
      method: 'GET',
      path: '/session',
      summary: 'Who this is, and until when',
      needs: 'viewer',
      answers: [
        {
          status: 200,
          description: '`person`: whoever signed in at a provider; null for a token.',
          schema: object({
            token: { type: 'string' },
            name: orNull({ type: 'string' }),
            role: { type: 'string' },
            person: orNull({ type: 'string' }),
            expires: orNull(moment),
          }),
        },
      ],
      handle: async (call) => {
        const { id, name, role, person, expires } = holderOf(call);
        return json(200, { token: id, name, role, person: person === undefined ? null : name, expires });
      },
    },
    {
      id: 'openSession',
      method: 'POST',
      path: '/session',
      summary: 'Sign a browser in: a cookie stands for the token from now on',
      needs: 'viewer',
      body: { description: 'Nothing.', schema: object({}) },
      answers: [
        {
          status: 200,
          description:
            'The cookie is set. It ends when it is not used until `expires`, with its token, and with the relay.',
          schema: object({ expires: moment }),
        },
      ],
      handle: async (call) => {
        const { caller, session } = visitorOf(call);
        const { id, name } = holderOf(call);
        // A session must not prolong itself for ever.
        if (session !== undefined) throw new FieldbookError('unauthorized', 'Signing in takes a token.');
        // Tabs of one browser have one cookie, and sockets open under it.
        const kept = cookie.read(call.request.headers, caller.secure) ?? '';
        if (sessions.use(kept)?.token === id) {
          const headers = { 'set-cookie': cookie.write(kept, caller.secure) };
          return json(200, { expires: now() + SESSION_MS }, headers);
        }
        const { secret, expires } = sessions.open(id);
        audit.record('sign-in', { token: id, name, address: caller.address });
        return json(200, { expires }, { 'set-cookie': cookie.write(secret, caller.secure) });
      },
    },
    {
      id: 'endSession',
      method: 'DELETE',
      path: '/session',
      summary: 'Sign a browser out, and close its sockets',
      needs: 'viewer',
      answers: [{ status: 200, description: 'It is.', schema: object({ ended: { type: 'boolean' } }) }],
      handle: async (call) => {
        const { caller, session } = visitorOf(call);
        if (session !== undefined) sessions.end(session);
        return json(200, { ended: session !== undefined }, { 'set-cookie': cookie.write('', caller.secure) });
      },
    },
    {
      id: 'makeTickets',
      method: 'POST',
      path: '/ticket',
      summary: 'Tickets for sockets, each good for one and for half a minute',
      needs: 'viewer',
      body: {
        description: 'How many; one without.',
        schema: object({ count: { type: 'integer', minimum: 1, maximum: MOST } }, ['count']),
      },
      answers: [
        {
          status: 200,
          description: 'To be offered as the subprotocol `fieldbook.ticket.<ticket>`.',
          schema: object({ tickets: array({ type: 'string' }), expires: moment }),
        },
      ],
      handle: async (call) => {
        const { id } = holderOf(call);
        const { session } = visitorOf(call);
        const { count = 1 } = call.body as { count?: number };
        const made = Array.from({ length: count }, () => sessions.ticket(id, session));
        return json(200, { tickets: made.map(({ ticket }) => ticket), expires: made[0]!.expires });
      },
    },
  ];
}
