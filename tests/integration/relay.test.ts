import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { send } from '../fixtures/agent.ts';
import { Box } from '../fixtures/box.ts';
import { closeOf, enterRoom } from '../fixtures/room.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startProgram } from '../scaffold/program.ts';

async function tokenCommand(relay: Relay, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const program = startProgram('fieldbook-relay', ['token', ...args, '--data', relay.data], {
    FIELDBOOK_HOME: relay.data,
  });
  const { code } = await program.ended;
  return { code, output: program.output() };
}

async function idOf(relay: Relay, name: string): Promise<string> {
  const { output } = await tokenCommand(relay, 'list', '--json');
  return (JSON.parse(output) as { id: string; name: string }[]).find((token) => token.name === name)!.id;
}

describe('access to a relay', () => {
  it('[ACC-1] accepts a WebSocket without a token, or with a wrong one, only to close it with 4401 and a reason', async () => {
    const relay = await new Relay().up();
    const wrong = `fbt_${randomBytes(32).toString('base64url')}`;
    for (const path of ['/rooms/workspace', '/api/v1/replicate']) {
      const none = await closeOf(`${relay.url}${path}`, ['fieldbook.v1']);
      expect(none.code).toBe(4401);
      expect(none.reason).toContain('needs a token');
      const bad = await closeOf(`${relay.url}${path}`, [], { authorization: `Bearer ${wrong}` });
      expect(bad).toEqual({ code: 4401, reason: 'The token is unknown or was revoked.' });
    }
    const room = enterRoom(relay.url, 'workspace', { token: wrong });
    expect((await room.closed).code).toBe(4401);
  });

  it('[ACC-2] answers no API request without a token and every page file without one', async () => {
    const relay = await new Relay().up();
    for (const path of [
      '/projects',
      '/runs/x',
      '/blobs/missing',
      '/documents/workspace',
      '/events',
      '/openapi.json',
      '/nothing',
    ]) {
      const answer = await send(relay.url, 'GET', `/api/v1${path}`);
      expect([path, answer.status, answer.json.error.code]).toEqual([path, 401, 'unauthorized']);
    }
    const token = await relay.token('viewer', 'eve');
    expect((await relay.api(token, 'GET', '/projects')).status).toBe(200);
    expect((await send(relay.url, 'GET', '/healthz')).json).toEqual({ ok: true });
    const page = await send(relay.url, 'GET', '/');
    expect(page.status).not.toBe(401);
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    // What a token says does not depend on how it is spelled in the address: there it means nothing.
    expect((await send(relay.url, 'GET', `/api/v1/projects?token=${token}`)).status).toBe(401);
  });

  it('[ACC-3] lets viewers read and refuses what they write', async () => {
    const relay = await new Relay().up();
    const viewer = await relay.token('viewer', 'eve');
    const digest = 'ab'.repeat(32);
    const written = await send(relay.url, 'PUT', `/api/v1/blobs/${digest}`, {
      headers: { authorization: `Bearer ${viewer}`, 'content-type': 'application/octet-stream' },
      body: 'x',
    });
    expect([written.status, written.json.error.code]).toEqual([403, 'forbidden']);
    const room = enterRoom(relay.url, 'workspace', { token: viewer });
    await room.synced();
    room.doc.getMap('names').set('n', new Uint8Array([1]));
    expect(await room.closed).toEqual({ code: 4403, reason: 'This token may only read.' });
  });

  it('[ACC-4] a token that is revoked while the relay runs loses its connections and lets nobody in again', async () => {
    const relay = await new Relay().up();
    const [kept, lost] = [await relay.token('member', 'ada'), await relay.token('member', 'bob')];
    const room = enterRoom(relay.url, 'workspace', { token: lost });
    const other = enterRoom(relay.url, 'workspace', { token: kept });
    await Promise.all([room.synced(), other.synced()]);
    const box = await Box.open();
    const client = await box.join(relay.url, lost);
    await box.settled();
    expect((await tokenCommand(relay, 'revoke', await idOf(relay, 'bob'))).code).toBe(0);
    expect(await room.closed).toEqual({ code: 4401, reason: 'the token was revoked' });
    await box.until(async () => (await client.status()).stopped);
    expect((await client.status()).problem?.code).toBe('unauthorized');
    expect((await relay.api(lost, 'GET', '/projects')).status).toBe(401);
    expect((await relay.api(kept, 'GET', '/projects')).status).toBe(200);
    expect(other.provider.wsconnected).toBe(true);
  });

  it('[ACC-5] keeps tokens as hashes in files that only their owner reads, and writes them to no log', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    expect(token).toMatch(/^fbt_[A-Za-z0-9_-]{43}$/);
    await relay.api(token, 'GET', '/projects');
    await enterRoom(relay.url, 'workspace', { token }).synced();
    await closeOf(`${relay.url}/rooms/nothing`, ['fieldbook.v1', `fieldbook.token.${token}`]);
    const files = readdirSync(join(relay.data, 'tokens'));
    expect(files).toHaveLength(1);
    const path = join(relay.data, 'tokens', files[0]!);
    expect(statSync(path).mode & 0o077).toBe(0);
    expect(readFileSync(path, 'utf8')).not.toContain(token.slice(4, 20));
    expect(relay.output()).not.toContain(token.slice(4, 20));
    expect((await tokenCommand(relay, 'list')).output).not.toContain(token.slice(4, 20));
  });

  it('[ACC-6] pages of other origins can do nothing, with a token either', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const headers = { authorization: `Bearer ${token}`, origin: 'https://evil.example' };
    const answer = await send(relay.url, 'GET', '/api/v1/projects', { headers });
    expect([answer.status, answer.json.error.code]).toEqual([403, 'bad_origin']);
    expect((await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1'], headers)).code).toBe(4403);
    const own = await send(relay.url, 'GET', '/api/v1/projects', { headers: { ...headers, origin: relay.url } });
    expect(own.status).toBe(200);
  });
});

describe('tokens of a relay', () => {
  const create = async (relay: Relay, ...args: string[]): Promise<string> => {
    const { output } = await tokenCommand(relay, 'create', ...args);
    return /fbt_[A-Za-z0-9_-]{43}/.exec(output)![0];
  };
  const audit = async (relay: Relay): Promise<Record<string, unknown>[]> => {
    const program = startProgram('fieldbook-relay', ['audit', '--json', '--data', relay.data], {
      FIELDBOOK_HOME: relay.data,
    });
    await program.ended;
    return program
      .output()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };

  it('[ACC-8] [ACC-11] closes the connections of a token whose time is over, refuses it with that reason, and writes it down', async () => {
    const relay = await new Relay().up();
    const brief = await create(relay, '--name', 'guest', '--expires', '4s');
    const room = enterRoom(relay.url, 'workspace', { token: brief });
    await room.synced();
    expect((await relay.api(brief, 'GET', '/projects')).status).toBe(200);
    expect(await room.closed).toEqual({ code: 4401, reason: "the token's time is over" });
    const late = await relay.api<{ error: { code: string; message: string } }>(brief, 'GET', '/projects');
    expect([late.status, late.body.error.code]).toEqual([401, 'unauthorized']);
    expect(late.body.error.message).toContain("The token's time was over on");
    const again = await closeOf(`${relay.url}/rooms/workspace`, [], { authorization: `Bearer ${brief}` });
    expect([again.code, again.reason]).toEqual([4401, late.body.error.message]);
    expect((await tokenCommand(relay, 'create', '--expires', '2020-01-01')).code).toBe(2);
    await tokenCommand(relay, 'revoke', await idOf(relay, 'guest'));
    await relay.down();
    const lines = await audit(relay);
    const { id } = lines[0]!;
    expect(lines.map(({ event, code = null }) => [event, code])).toEqual([
      ['token.created', null],
      ['token.expired', null],
      ['access.refused', 'unauthorized'],
      ['access.refused', 'unauthorized'],
      ['token.revoked', null],
    ]);
    expect(lines[0]).toMatchObject({ name: 'guest', role: 'member', projects: null });
    expect(lines[2]).toMatchObject({ token: id, path: '/api/v1/projects', address: '127.0.0.1' });
    expect(JSON.stringify(lines)).not.toContain(brief.slice(4, 20));
  });

  it('[ACC-9] lets files of older versions in as before, and nobody by what it cannot read', async () => {
    const relay = await new Relay().up();
    const put = (id: string, fields: object): string => {
      const secret = `fbt_${randomBytes(32).toString('base64url')}`;
      const sha256 = createHash('sha256').update(secret).digest('hex');
      writeFileSync(
        join(relay.data, 'tokens', `${id}.json`),
        JSON.stringify({ id, name: 'x', created: 1, ...fields, sha256 }),
      );
      return secret;
    };
    const [member, viewer] = [put('00000001', { role: 'member' }), put('00000002', { role: 'viewer' })];
    const status = async (token: string): Promise<number> => (await relay.api(token, 'GET', '/projects')).status;
    expect([await status(member), await status(viewer)]).toEqual([200, 200]);
    const unreadable = [{ role: 'emperor' }, { role: 'member', projects: 'all' }, { role: 'member', expires: 'soon' }];
    for (const [index, fields] of unreadable.entries())
      expect(await status(put(`0000000${index + 3}`, fields)), JSON.stringify(fields)).toBe(401);
  });

  it('[ACC-10] lists what each token may, until when, and when it was last used', async () => {
    const relay = await new Relay().up();
    const used = await create(
      relay,
      '--role',
      'contributor',
      '--project',
      'Vision',
      '--name',
      'ci',
      '--expires',
      '30d',
    );
    await create(relay, '--role', 'admin', '--name', 'ada');
    await relay.api(used, 'GET', '/projects');
    // What is not written yet is written at the end.
    await relay.down();
    const { output } = await tokenCommand(relay, 'list', '--json');
    const [ci, ada] = JSON.parse(output) as Record<string, unknown>[];
    expect(ci).toMatchObject({ role: 'contributor', projects: ['vision'], name: 'ci' });
    expect(Math.abs(Number(ci!['expires']) - Date.now() - 30 * 86_400_000)).toBeLessThan(600_000);
    expect(Math.abs(Number(ci!['lastUsed']) - Date.now())).toBeLessThan(600_000);
    expect(ada).toMatchObject({ role: 'admin', projects: null, expires: null, lastUsed: null });
    const lines = (await tokenCommand(relay, 'list')).output.split('\n');
    expect(lines[0]).toMatch(/contributor .* until 20\d\d-.* used 20\d\d-.* vision .*ci$/);
    expect(lines[1]).toMatch(/admin .* for ever .* never used .* all projects .*ada$/);
  });
});

describe('the relay as a program', () => {
  it('[ACC-7] mints its workspace once, ends on SIGTERM with everything kept, and refuses a second server on its data', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const workspace = (): Promise<string> =>
      relay.api<{ id: string }>(token, 'GET', '/workspace').then(({ body }) => body.id);
    const id = await workspace();
    const second = startProgram('fieldbook-relay', ['serve', '--port', '0', '--data', relay.data], {
      FIELDBOOK_HOME: relay.data,
    });
    expect((await second.ended).code).toBe(1);
    expect(second.output()).toContain('store_locked');
    expect(await relay.down()).toEqual({ code: 0, signal: null });
    await relay.up();
    expect(await workspace()).toBe(id);
  });

  it('says what is wrong on the command line', async () => {
    const folder = emptyFolder('cli');
    const run = async (...args: string[]): Promise<[number | null, string]> => {
      const program = startProgram('fieldbook-relay', args, { FIELDBOOK_HOME: folder });
      return [(await program.ended).code, program.output()];
    };
    expect(await run('serve', '--port', 'x')).toEqual([2, expect.stringContaining('65535')]);
    expect(await run('token', 'create', '--role', 'king', '--data', folder)).toEqual([
      2,
      expect.stringContaining('member'),
    ]);
    expect(await run('token', 'revoke', 'abcdefgh', '--data', folder)).toEqual([
      3,
      expect.stringContaining('not_found'),
    ]);
    expect(await run('--version')).toEqual([0, '0.1.0\n']);
    expect(existsSync(join(folder, 'store', 'CURRENT'))).toBe(false);
  });
});
