import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { Tokens } from '@fieldbook/relay';
import { send } from '../fixtures/agent.ts';
import { Box } from '../fixtures/box.ts';
import { EventStream, SlowUpload } from '../fixtures/event-stream.ts';
import { closeOf } from '../fixtures/room.ts';
import { Relay } from '../scaffold/machine.ts';

type Headers = Record<string, string>;

/** What a page's requests carry: a browser says where they come from. */
const PAGE: Headers = { 'sec-fetch-site': 'same-origin' };

function ask(relay: Relay, method: string, path: string, headers: Headers, body?: unknown) {
  return send(relay.url, method, `/api/v1${path}`, { headers, ...(body === undefined ? {} : { body }) });
}

async function made(
  relay: Relay,
  expires: number | null = null,
): Promise<{ tokens: Tokens; id: string; bearer: Headers }> {
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const { token, secret } = await tokens.create({ role: 'member', projects: null, name: 'ada', expires });
  return { tokens, id: token.id, bearer: { authorization: `Bearer ${secret}` } };
}

async function signIn(relay: Relay, bearer: Headers): Promise<{ cookie: string; all: string }> {
  const answer = await ask(relay, 'POST', '/session', { ...bearer, ...PAGE }, {});
  expect(answer.status).toBe(200);
  const [all] = answer.headers['set-cookie'] as string[];
  return { cookie: all!.split(';')[0]!, all: all! };
}

async function ticketOf(relay: Relay, headers: Headers): Promise<string> {
  return (await ask(relay, 'POST', '/ticket', headers, {})).json.tickets[0] as string;
}

/** An open room, and how it ends. */
async function roomBy(relay: Relay, ticket: string): Promise<Promise<[number, string]>> {
  const protocols = ['fieldbook.v1', `fieldbook.ticket.${ticket}`];
  const socket = new WebSocket(`${relay.url.replace(/^http/, 'ws')}/rooms/workspace`, protocols);
  onTestFinished(() => socket.terminate());
  const closed = once(socket, 'close').then(([code, reason]): [number, string] => [code as number, String(reason)]);
  // The first message is sent to those who were let in only.
  await Promise.race([once(socket, 'message'), closed]);
  expect(socket.protocol).toBe('fieldbook.v1');
  return closed as unknown as Promise<Promise<[number, string]>>;
}

it('[ACC-51, ACC-52, ACC-53] a cookie stands for the token, for this page only, and a ticket opens one socket', async () => {
  const relay = await new Relay().up(['--trust-proxy', '127.0.0.1']);
  const { bearer } = await made(relay);
  const { cookie, all } = await signIn(relay, bearer);
  expect(all).toMatch(/^fieldbook-[0-9a-f]{12}=fbs_\S+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/);
  const secure = await signIn(relay, { ...bearer, 'x-forwarded-proto': 'https' });
  expect(secure.all).toMatch(/^__Host-fieldbook-.*; HttpOnly; SameSite=Strict; Secure$/);
  // Over TLS the cookie without the prefix, which anybody on the way can plant, means nothing.
  const planted = { cookie, ...PAGE, 'x-forwarded-proto': 'https' };
  expect((await ask(relay, 'GET', '/projects', planted)).status).toBe(401);
  const page = { cookie: `other=1; ${cookie}`, ...PAGE };
  expect((await ask(relay, 'GET', '/projects', page)).status).toBe(200);
  // Another tab of the same browser has the same session; the session alone does not prolong itself.
  expect((await signIn(relay, { ...bearer, cookie })).cookie).toBe(cookie);
  expect((await ask(relay, 'POST', '/session', page, {})).status).toBe(401);

  // What other pages send comes with the cookie if a browser forgets SameSite.
  const view = ['POST', '/blobs/missing', { digests: [] }] as const;
  expect((await ask(relay, view[0], view[1], page, view[2])).status).toBe(200);
  const { host } = new URL(relay.url);
  for (const [why, headers] of [
    ['another site', { cookie, 'sec-fetch-site': 'cross-site' }],
    ['another port of this host', { cookie, 'sec-fetch-site': 'same-site' }],
    ['an address that was typed', { cookie, 'sec-fetch-site': 'none' }],
    ['no word at all', { cookie }],
    ['another origin', { cookie, origin: 'https://evil.example' }],
    ['another origin that says it is this site', { cookie, ...PAGE, origin: `http://evil.example` }],
    ['the origin over TLS', { cookie, origin: 'null', host }],
  ] as [string, Headers][]) {
    const answer = await ask(relay, view[0], view[1], headers, view[2]);
    expect([why, answer.status, answer.json.error.code]).toEqual([why, 403, 'bad_origin']);
  }
  for (const site of ['cross-site', 'same-site'])
    expect((await ask(relay, 'GET', '/projects', { cookie, 'sec-fetch-site': site })).status).toBe(403);
  // Browsers of before, which say the origin of what could change something.
  expect((await ask(relay, view[0], view[1], { cookie, origin: relay.url }, view[2])).status).toBe(200);
  expect((await ask(relay, 'GET', '/projects', { cookie })).status).toBe(200);
  // A program that presents the token is no browser with somebody else's page.
  expect((await ask(relay, view[0], view[1], { ...bearer, cookie }, view[2])).status).toBe(200);

  expect(await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1'], { cookie, origin: relay.url })).toMatchObject({
    code: 4401,
  });
  const ticket = await ticketOf(relay, page);
  const closed = roomBy(relay, ticket);
  await relay.says(/"socket.opened".*"by":"ticket"/);
  const [events, own] = [await EventStream.open(relay.url, page), await EventStream.open(relay.url, bearer)];
  await Promise.all([events.says('event: sync'), own.says('event: sync')]);
  const again = await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1', `fieldbook.ticket.${ticket}`]);
  expect(again).toEqual({ code: 4512, reason: 'The ticket was used already, or came too late.' });
  const other = await ticketOf(relay, page);
  expect((await ask(relay, 'GET', '/projects', { authorization: `Bearer ${other}` })).status).toBe(401);
  const signedOut = await ask(relay, 'DELETE', '/session', page);
  expect(String(signedOut.headers['set-cookie'])).toMatch(/=; Path=\/; Max-Age=0/);
  expect(await closed).toEqual([4401, 'this browser was signed out']);
  await events.ended;
  expect((await EventStream.open(relay.url, page)).status).toBe(401);
  expect((await ask(relay, 'GET', '/projects', page)).status).toBe(401);
  expect((await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1', `fieldbook.ticket.${other}`])).code).toBe(
    4512,
  );
  for (const secret of [ticket, other, cookie.split('=fbs_')[1]!])
    expect(relay.output()).not.toContain(secret.slice(0, 20));
});

it('[ACC-54, ACC-64] with its token everything that a browser or program has ends at once, and nothing that came after is told', async () => {
  const relay = await new Relay().up();
  const other = await made(relay);
  const box = await Box.open();
  await box.join(relay.url, other.bearer['authorization']!.split(' ')[1]!);
  await box.settled();
  for (const reason of ['the token was revoked', "the token's time is over"]) {
    const { tokens, id, bearer } = await made(relay, reason.includes('revoked') ? null : Date.now() + 3_000);
    const { cookie } = await signIn(relay, bearer);
    const page = { cookie, ...PAGE };
    const ticket = await ticketOf(relay, page);
    const closed = roomBy(relay, await ticketOf(relay, page));
    await relay.says(new RegExp(`"socket.opened".*"token":"${id}"`));
    const streams = await Promise.all([page, bearer].map((headers) => EventStream.open(relay.url, headers)));
    await Promise.all(streams.map((stream) => stream.says('event: sync')));
    const upload = await SlowUpload.open(relay.url, Buffer.from(`${reason} ${id}`), bearer);
    if (reason.includes('revoked')) await tokens.revoke(id);
    expect(await closed).toEqual([4401, reason]);
    expect((await ask(relay, 'GET', '/projects', page)).status).toBe(401);
    const witness = await EventStream.open(relay.url, other.bearer);
    await witness.says('event: sync');
    await box.addEdits(1);
    await witness.says('event: change');
    for (const stream of streams) {
      expect(stream.text).not.toContain('event: change');
      await stream.ended;
    }
    // What was being sent is not taken in.
    expect(await upload.finish()).not.toBe(200);
    expect((await ask(relay, 'HEAD', `/blobs/${upload.digest}`, other.bearer)).status).toBe(404);
    witness.close();
    const late = await closeOf(`${relay.url}/rooms/workspace`, ['fieldbook.v1', `fieldbook.ticket.${ticket}`]);
    expect(late.code).toBe(4512);
  }
});
