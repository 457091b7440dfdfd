import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import type { ProjectId } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { Invitations, Tokens } from '@fieldbook/relay';
import { fieldbook, send } from '../fixtures/agent.ts';
import { enterRoom } from '../fixtures/room.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startProgram } from '../scaffold/program.ts';

const WEEK = 7 * 24 * 60 * 60_000;

/** As the command makes it, without its second of starting. */
async function tokenFor(relay: Relay, role: Role, name: string, projects: string[] | null = null): Promise<string> {
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  return (await tokens.create({ role, projects: projects as ProjectId[] | null, name, expires: null })).secret;
}

function redeem(relay: Relay, secret: string, device = 'laptop') {
  return send(relay.url, 'POST', '/api/v1/invitations/redeem', { body: { secret, device } });
}

function asked(relay: Relay, token: string) {
  return (method: string, path: string, body?: unknown) =>
    send(relay.url, method, `/api/v1${path}`, {
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
    });
}

/** Everything that a relay has written down, by file. */
function written(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
}

describe('invitations', () => {
  it('[ACC-48] are links that let one device in, once, until they expire', async () => {
    const relay = await new Relay().up();
    const command = [
      'invite',
      '--role',
      'viewer',
      '--name',
      'Vic',
      '--url',
      'https://relay.example/',
      '--data',
      relay.data,
    ];
    const program = startProgram('fieldbook-relay', [...command, '--token-lifetime', '30d'], {
      FIELDBOOK_HOME: relay.data,
    });
    const [, secret] = await program.says(/^https:\/\/relay\.example\/#invite=(fbi_[A-Za-z0-9_-]{43})$/m);
    expect((await program.ended).code).toBe(0);
    const folder = join(relay.data, 'invitations');
    const [file] = readdirSync(folder);
    expect(statSync(join(folder, file!)).mode & 0o077).toBe(0);
    expect((await redeem(relay, `${secret!.slice(0, -1)}${secret!.endsWith('A') ? 'B' : 'A'}`)).status).toBe(401);

    const got = await redeem(relay, secret!, 'Vic’s\nlaptop');
    expect(got.json).toMatchObject({ role: 'viewer', projects: null, name: 'Vic (Vic’s laptop)' });
    expect(got.json.expires).toBeGreaterThan(Date.now() + 29 * 24 * 60 * 60_000);
    const vic = asked(relay, got.json.token as string);
    expect((await vic('GET', '/device')).json.access).toBe('viewer');
    const again = await redeem(relay, secret!);
    expect([again.status, again.json.error.code]).toEqual([401, 'unauthorized']);
    expect(readdirSync(folder)).toEqual([]);
    for (const text of [written(relay.data), relay.output()]) {
      expect(text).not.toContain(secret!.slice(4, 24));
      expect(text).not.toContain(String(got.json.token).slice(4, 24));
    }
    expect(written(relay.data)).toMatch(/"invitation\.used".*"token":"[0-9a-z]{8}"/);

    // One that was made a month ago and is found in an old chat.
    const past = await Invitations.open(folder, () => Date.now() - 4 * WEEK);
    const spec = { role: 'member', projects: null, name: null, tokenLifetime: null } as const;
    const old = await past.create({ ...spec, expires: Date.now() - WEEK });
    expect((await redeem(relay, old.secret)).status).toBe(401);
    // Of many that come at the same time one gets a token.
    const { secret: wanted } = await past.create({ ...spec, expires: Date.now() + WEEK });
    const statuses = await Promise.all(Array.from({ length: 12 }, async () => (await redeem(relay, wanted)).status));
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, ...Array<number>(11).fill(401)]);
  });

  it('[ACC-49] are made, listed and revoked by admins, as tokens are, within their own projects', async () => {
    const relay = await new Relay().up();
    const root = asked(relay, await tokenFor(relay, 'admin', 'Root'));
    const vision = asked(relay, await tokenFor(relay, 'admin', 'Vera', ['vision']));
    const member = asked(relay, await tokenFor(relay, 'member', 'Mia'));
    for (const [method, path, body] of [
      ['POST', '/invitations', { role: 'viewer' }],
      ['GET', '/invitations', undefined],
      ['DELETE', '/invitations/abcdefgh', undefined],
      ['GET', '/tokens', undefined],
      ['DELETE', '/tokens/abcdefgh', undefined],
    ] as const)
      expect([path, (await member(method, path, body)).status]).toEqual([path, 403]);

    const made = await root('POST', '/invitations', { role: 'contributor', projects: ['Speech'], name: 'Sam' });
    expect(made.json.link).toBe(`${relay.url}/#invite=${made.json.secret}`);
    expect(made.json).toMatchObject({ projects: ['speech'], role: 'contributor' });
    expect((await vision('GET', '/invitations')).json).toEqual({ invitations: [] });
    expect((await vision('DELETE', `/invitations/${made.json.id}`)).status).toBe(403);
    expect((await vision('POST', '/invitations', { role: 'viewer', projects: ['speech'] })).status).toBe(403);
    // Without projects it is for those of whoever invites.
    const own = await vision('POST', '/invitations', { role: 'viewer' });
    expect(own.json.projects).toEqual(['vision']);
    expect((await root('GET', '/invitations')).json.invitations).toHaveLength(2);
    expect((await root('DELETE', `/invitations/${own.json.id}`)).json).toEqual({ revoked: own.json.id });
    expect((await redeem(relay, own.json.secret as string)).status).toBe(401);

    const { json: sam } = await redeem(relay, made.json.secret as string, 'box');
    const listed = (await root('GET', '/tokens')).json.tokens as { name: string; id: string }[];
    expect(listed.map(({ name }) => name)).toEqual(['Root', 'Vera', 'Mia', 'Sam (box)']);
    expect(JSON.stringify(listed)).not.toMatch(/fbt_|sha256/);
    expect((await vision('GET', '/tokens')).json.tokens).toHaveLength(1);
    expect((await vision('DELETE', `/tokens/${sam.id}`)).status).toBe(403);
    const room = enterRoom(relay.url, 'workspace', { token: sam.token as string });
    await room.synced();
    expect((await root('DELETE', `/tokens/${sam.id}`)).status).toBe(200);
    expect(await room.closed).toEqual({ code: 4401, reason: 'the token was revoked' });
    expect((await root('DELETE', `/tokens/${sam.id}`)).status).toBe(404);
    const audit = readFileSync(join(relay.data, 'audit.jsonl'), 'utf8');
    for (const event of ['invitation.created', 'invitation.revoked', 'invitation.used', 'token.revoked'])
      expect(audit).toContain(`"event":"${event}"`);
    expect((await root('GET', '/openapi.json')).json.paths['/invitations/redeem'].post.security).toEqual([]);
  });

  it('[ACC-50] are what "fieldbook join" takes in place of a token', async () => {
    const relay = await new Relay().up();
    const invitations = await Invitations.open(join(relay.data, 'invitations'));
    const spec = { role: 'member', projects: null, name: 'GPU boxes', tokenLifetime: null } as const;
    const { secret } = await invitations.create({ ...spec, expires: Date.now() + WEEK });
    const home = emptyFolder('home');
    const joined = await fieldbook(home, ['join', `${relay.url}/#invite=${secret}`, '--json']);
    expect(joined.code, joined.stderr).toBe(0);
    expect(joined.json).toMatchObject({ url: relay.url, connected: true, problem: null });
    const tokens = await Tokens.open(join(relay.data, 'tokens'));
    expect(tokens.list().map(({ name, role }) => [name, role])).toEqual([['GPU boxes (gpu-1)', 'member']]);
    expect(written(home)).not.toContain(secret.slice(4, 24));
    expect(relay.output()).not.toContain(secret.slice(4, 24));
    const again = await fieldbook(emptyFolder('home'), ['join', `${relay.url}/#invite=${secret}`]);
    expect([again.code, again.stderr]).toEqual([5, expect.stringContaining('used already')]);
  });
});

describe('the audit log', () => {
  it('[ACC-67] is read over HTTP by admins of everything, newest first, page by page', async () => {
    const relay = await new Relay().up();
    const root = asked(relay, await tokenFor(relay, 'admin', 'Root'));
    for (let each = 0; each < 5; each++) {
      const made = await root('POST', '/invitations', { role: 'viewer', name: `guest ${each}` });
      if (each === 2) expect((await root('DELETE', `/invitations/${made.json.id}`)).status).toBe(200);
    }
    const whole = (await root('GET', '/audit')).json;
    const said = (whole.entries as { event: string; name: string }[]).map(({ event, name }) => [event, name]);
    expect(said.slice(0, 4)).toEqual([
      ['invitation.created', 'guest 4'],
      ['invitation.created', 'guest 3'],
      ['invitation.revoked', 'guest 2'],
      ['invitation.created', 'guest 2'],
    ]);
    const paged: unknown[] = [];
    for (let at = ''; ;) {
      const page = (await root('GET', `/audit?limit=2${at}`)).json;
      paged.push(...(page.entries as unknown[]));
      if (page.next === null) break;
      at = `&before=${encodeURIComponent(String(page.next))}`;
      // What comes meanwhile is newer than all of it.
      if (paged.length === 2) await root('POST', '/invitations', { role: 'viewer', name: 'late' });
    }
    expect(paged).toEqual(whole.entries);
    const taken = (await root('GET', '/audit?events=invitation.revoked')).json;
    expect(taken).toMatchObject({ entries: [{ event: 'invitation.revoked', name: 'guest 2' }], next: null });
    const document = (await root('GET', '/openapi.json')).json;
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'fieldbook');
    const $ref = 'fieldbook#/paths/~1audit/get/responses/200/content/application~1json/schema';
    for (const answer of [whole, taken, (await root('GET', '/audit?limit=1')).json])
      expect([ajv.validate({ $ref }, answer), ajv.errors]).toEqual([true, null]);

    for (const [who, role, projects] of [
      ['Mia', 'member', null],
      ['Vera', 'admin', ['vision']],
    ] as const)
      expect(
        (await asked(relay, await tokenFor(relay, role, who, projects as string[] | null))('GET', '/audit')).status,
      ).toBe(403);
    for (const wrong of [
      'limit=0',
      'limit=201',
      'before=x',
      'events=moon.landing',
      'events=',
      `before=${'1'.repeat(65)}`,
    ])
      expect([wrong, (await root('GET', `/audit?${wrong}`)).json.error.code]).toEqual([wrong, 'invalid_argument']);
  });
});
