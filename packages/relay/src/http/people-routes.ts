import type { ProjectId } from '@fieldbook/core';
import { FieldbookError, projectIdOf } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { ROLES } from '@fieldbook/core/access';
import type { Route, Schema } from '@fieldbook/core/api';
import { array, json, object, orNull } from '@fieldbook/core/api';
import type { Audit } from '../audit.ts';
import type { Invitation, Invitations } from '../invitations.ts';
import { INVITATION_MS, invitationLink } from '../invitations.ts';
import type { TokenUse } from '../token-use.ts';
import type { Token, Tokens } from '../tokens.ts';
import type { Limiter } from './limiter.ts';
import { holderOf, visitorOf } from './visitor.ts';

export interface PeopleOptions {
  tokens: Tokens;
  use: TokenUse;
  invitations: Invitations;
  audit: Audit;
  limiter: Limiter;
  now: () => number;
}

const text: Schema = { type: 'string' };
const name = orNull({ type: 'string', minLength: 1, maxLength: 128 });
const moment: Schema = { type: 'integer', description: 'ms since the epoch' };
const role: Schema = { type: 'string', enum: ROLES };
const projects = orNull(array(text, 'Ids of projects; null for all.'));
const PERSON = object({ issuer: text, subject: text, email: orNull(text) });
const TOKEN = object(
  {
    id: text,
    role,
    projects,
    name: orNull(text),
    created: moment,
    expires: orNull(moment),
    lastUsed: orNull(moment),
    person: PERSON,
  },
  ['person'],
);
const INVITATION = object({
  id: text,
  role,
  projects,
  name: orNull(text),
  created: moment,
  expires: moment,
  tokenLifetime: orNull({ type: 'integer', description: 'ms' }),
});
const REVOKED = { status: 200, description: 'It is worthless.', schema: object({ revoked: text }) };
const ID = { id: { description: 'As it is listed.', schema: { type: 'string', pattern: '^[0-9a-z]{8}$' } as Schema } };
const YEAR_MS = 366 * 24 * 60 * 60_000;

interface InvitationBody {
  role: Role;
  projects?: string[] | null;
  name?: string | null;
  expires?: number | null;
  tokenLifetime?: number | null;
}

/** Letting people in and out over HTTP: what `fieldbook-relay invite`, `invitation` and `token` do where the relay runs. */
export function peopleRoutes(options: PeopleOptions): Route[] {
  const { tokens, use, invitations, audit, limiter, now } = options;
  return [
    {
      id: 'createInvitation',
      method: 'POST',
      path: '/invitations',
      summary: 'Make an invitation: a link that becomes a token, once',
      needs: 'admin',
      body: {
        description: 'What the token may. Without `expires` the invitation is good for a week.',
        schema: object(
          {
            role,
            projects: orNull({ type: 'array', items: text, minItems: 1, maxItems: 1_000 }),
            name,
            expires: orNull(moment),
            tokenLifetime: orNull({ type: 'integer', minimum: 60_000, maximum: 100 * YEAR_MS }),
          },
          ['projects', 'name', 'expires', 'tokenLifetime'],
        ),
      },
      answers: [
        {
          status: 200,
          description: 'The secret and the link that carries it are shown only now.',
          schema: object({ ...INVITATION.properties, secret: text, link: text }),
        },
      ],
      handle: async (call) => {
        const by = holderOf(call);
        const body = call.body as InvitationBody;
        const scope =
          body.projects == null ? by.projects : [...new Set(body.projects.map((each) => projectIdOf(each)))];
        mustCover(by, scope);
        const { invitation, secret } = await invitations.create({
          role: body.role,
          projects: scope,
          name: body.name ?? null,
          expires: body.expires ?? now() + INVITATION_MS,
          tokenLifetime: body.tokenLifetime ?? null,
        });
        audit.record('invitation.created', { ...named(invitation), ...whoIs(by) });
        const { host, secure } = visitorOf(call).caller;
        const link = invitationLink(`${secure ? 'https' : 'http'}://${host}`, secret);
        return json(200, { ...invitation, secret, link });
      },
    },
    {
      id: 'listInvitations',
      method: 'GET',
      path: '/invitations',
      summary: 'Invitations that may still be used',
      needs: 'admin',
      answers: [{ status: 200, description: 'By age.', schema: object({ invitations: array(INVITATION) }) }],
      handle: async (call) => {
        const by = holderOf(call);
        return json(200, { invitations: (await invitations.list()).filter((each) => covers(by, each.projects)) });
      },
    },
    {
      id: 'revokeInvitation',
      method: 'DELETE',
      path: '/invitations/{id}',
      summary: 'Take an invitation back',
      needs: 'admin',
      inPath: ID,
      answers: [REVOKED],
      handle: async (call) => {
        const by = holderOf(call);
        const id = call.path['id']!;
        const open = await invitations.get(id);
        if (open !== undefined) mustCover(by, open.projects);
        const invitation = await invitations.revoke(id);
        audit.record('invitation.revoked', { ...named(invitation), ...whoIs(by) });
        return json(200, { revoked: invitation.id });
      },
    },
    {
      id: 'redeemInvitation',
      method: 'POST',
      path: '/invitations/redeem',
      summary: 'Turn an invitation into a token for one device',
      needs: 'anybody',
      body: {
        description: 'The secret of the link, and what people call the device.',
        schema: object({
          secret: { type: 'string', maxLength: 128 },
          device: { type: 'string', minLength: 1, maxLength: 128 },
        }),
      },
      answers: [
        {
          status: 200,
          description: 'The token, shown only now. The invitation is used up.',
          schema: object({ token: text, id: text, role, projects, name: orNull(text), expires: orNull(moment) }),
        },
      ],
      handle: async (call) => {
        const { caller } = visitorOf(call);
        limiter.mayFail(caller.address);
        const { secret: presented, device } = call.body as { secret: string; device: string };
        const made = await invitations.redeem(presented, oneLine(device), tokens).catch((error: unknown) => {
          if (error instanceof FieldbookError && error.code === 'unauthorized') {
            limiter.failed(caller.address, presented);
            audit.refused('access.refused', { code: error.code, reason: error.message, address: caller.address });
          }
          throw error;
        });
        const { token, secret, invitation } = made;
        audit.record('invitation.used', { ...named(invitation), token: token.id, device, address: caller.address });
        audit.record('token.created', { ...named(token), by: `invitation ${invitation.id}` });
        const { id, expires, name: given } = token;
        return json(200, { token: secret, id, role: token.role, projects: token.projects, name: given, expires });
      },
    },
    {
      id: 'listTokens',
      method: 'GET',
      path: '/tokens',
      summary: 'Who may come in',
      needs: 'admin',
      answers: [{ status: 200, description: 'By age.', schema: object({ tokens: array(TOKEN) }) }],
      handle: async (call) => {
        const by = holderOf(call);
        const listed = tokens.list().filter((each) => covers(by, each.projects));
        return json(200, { tokens: listed.map((token) => ({ ...token, lastUsed: use.lastUsed(token.id) ?? null })) });
      },
    },
    {
      id: 'revokeToken',
      method: 'DELETE',
      path: '/tokens/{id}',
      summary: 'Make a token worthless and close its connections; a person does not come in again by signing in',
      needs: 'admin',
      inPath: ID,
      answers: [REVOKED],
      handle: async (call) => {
        const by = holderOf(call);
        const id = call.path['id']!;
        const there = tokens.list().find((each) => each.id === id);
        if (there !== undefined) mustCover(by, there.projects);
        const token = await tokens.revoke(id);
        audit.record('token.revoked', { ...named(token), ...whoIs(by) });
        return json(200, { revoked: id });
      },
    },
    {
      id: 'listRevokedPeople',
      method: 'GET',
      path: '/people/revoked',
      summary: 'Who may not sign in, whatever the rules say',
      needs: 'admin',
      whole: true,
      answers: [
        {
          status: 200,
          description: 'By when that was.',
          schema: object({ people: array(object({ id: text, name: orNull(text), person: PERSON, revoked: moment })) }),
        },
      ],
      handle: async () => json(200, { people: await tokens.revoked() }),
    },
    {
      id: 'readmitPerson',
      method: 'DELETE',
      path: '/people/revoked/{id}',
      summary: 'Let a person sign in again who was revoked',
      needs: 'admin',
      whole: true,
      inPath: ID,
      answers: [{ status: 200, description: 'They may.', schema: object({ readmitted: text }) }],
      handle: async (call) => {
        const by = holderOf(call);
        const { id, name: whose } = await tokens.readmit(call.path['id']!);
        audit.record('person.readmitted', { id, name: whose, ...whoIs(by) });
        return json(200, { readmitted: id });
      },
    },
  ];
}

/** An admin of some projects lets people into these and no others. */
function covers({ projects: own }: Token, others: readonly ProjectId[] | null): boolean {
  return own === null || (others !== null && others.every((project) => own.includes(project)));
}

function mustCover(by: Token, others: readonly ProjectId[] | null): void {
  if (covers(by, others)) return;
  throw new FieldbookError('forbidden', `Your token is for ${by.projects!.join(', ')} only; this goes beyond.`);
}

/** Whoever did something, for the audit log: a person by name too, for the token of one may be gone when somebody reads it. */
function whoIs({ id, name: called, person }: Token) {
  return person === undefined ? { by: id } : { by: id, person: called };
}

function named({ id, role: given, projects: scope, name: whose }: Token | Invitation) {
  return { id, role: given, projects: scope, name: whose };
}

/** Names are shown in tables of a terminal. */
function oneLine(given: string): string {
  return given.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim() || 'a device';
}
