import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { readAudit, Tokens } from '@fieldbook/relay';
import type { HttpAnswer } from '../fixtures/agent.ts';
import { send } from '../fixtures/agent.ts';
import { EventStream } from '../fixtures/event-stream.ts';
import { CLIENT, settingsFor, TestProvider } from '../fixtures/provider.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount } from '../scaffold/mode.ts';

type Headers = Record<string, string>;

const START = '/api/v1/sign-in/oidc';
const PAGE: Headers = { 'sec-fetch-site': 'same-origin' };
const ADA = { sub: 'ada-1', name: 'Ada', email: 'Ada@Example.org', email_verified: true };

/** Where browsers reach the relays of these tests: behind a proxy that speaks TLS, and that `Browser` stands for. */
const PUBLIC = 'https://relay.example.org';
const PROXIED: Headers = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'relay.example.org' };

/** A relay that lets people of a provider in. */
async function world(
  settings: Record<string, unknown> = {},
  environment: Record<string, string> = {},
): Promise<{ relay: Relay; provider: TestProvider }> {
  const provider = await new TestProvider().up();
  provider.person = ADA;
  const config = settingsFor(provider, PUBLIC, settings);
  const relay = await new Relay().up(['--config', config], environment);
  return { relay, provider };
}

/** A browser, as far as it goes: one that keeps cookies by their flags and follows redirects by hand. */
class Browser {
  readonly cookies = new Map<string, string>();
  readonly #relay: Relay;

  constructor(relay: Relay) {
    this.#relay = relay;
  }

  /** `crossSite`: another site's page led here, as a provider's does. */
  async get(address: string, crossSite = false): Promise<HttpAnswer> {
    const { origin, pathname, search } = new URL(address);
    const isRelay = origin === PUBLIC;
    const sent = [...this.cookies].filter(([, all]) => isRelay && !(crossSite && all.includes('SameSite=Strict')));
    const cookie = sent.map(([name, all]) => `${name}=${all.split(';')[0]}`).join('; ');
    const answer = await send(isRelay ? this.#relay.url : origin, 'GET', pathname + search, {
      headers: {
        ...(cookie === '' ? {} : { cookie }),
        ...(isRelay ? PROXIED : {}),
        'sec-fetch-site': crossSite ? 'cross-site' : 'none',
        'sec-fetch-mode': 'navigate',
      },
    });
    for (const line of (answer.headers['set-cookie'] ?? []) as string[]) {
      const [, name, rest] = /^([^=]+)=(.*)$/.exec(line)!;
      if (rest!.includes('Max-Age=0')) this.cookies.delete(name!);
      else this.cookies.set(name!, rest!);
    }
    return answer;
  }

  /** To the provider and to the address that it sends this browser back to, without going there. */
  async toCallback(to = '/p/vision?q=tag:best'): Promise<string> {
    const start = await this.get(`${PUBLIC}${START}?to=${encodeURIComponent(to)}`);
    if (start.status !== 303) throw new Error(`The relay answered ${start.status}: ${start.text}`);
    const login = await this.get(locationOf(start), true);
    if (login.status !== 302) throw new Error(`The provider answered ${login.status}: ${login.text}`);
    return locationOf(login);
  }

  async signIn(to?: string): Promise<HttpAnswer> {
    return this.get(await this.toCallback(to), true);
  }

  /** What requests of the relay's own page carry. */
  get page(): Headers {
    const [name, all] = [...this.cookies].find(([, each]) => each.includes('SameSite=Strict')) ?? ['none', ''];
    return { ...PROXIED, ...PAGE, cookie: `${name}=${all.split(';')[0]}` };
  }
}

function locationOf(answer: HttpAnswer): string {
  return answer.headers['location'] as string;
}

function ask(relay: Relay, method: string, path: string, headers: Headers, body?: unknown): Promise<HttpAnswer> {
  return send(relay.url, method, `/api/v1${path}`, { headers, ...(body === undefined ? {} : { body }) });
}

/** An open room, and how it ends. */
async function room(relay: Relay, page: Headers): Promise<{ closed: Promise<[number, string]> }> {
  const [ticket] = (await ask(relay, 'POST', '/ticket', page, {})).json.tickets as string[];
  const socket = new WebSocket(`${relay.url.replace(/^http/, 'ws')}/rooms/workspace`, [
    'fieldbook.v1',
    `fieldbook.ticket.${ticket}`,
  ]);
  onTestFinished(() => socket.terminate());
  const closed = once(socket, 'close').then(([code, reason]): [number, string] => [code as number, String(reason)]);
  await once(socket, 'open');
  // Asks for all there is: only who was let in gets an answer.
  socket.send(new Uint8Array([0, 0, 1, 0]));
  await Promise.race([once(socket, 'message'), closed]);
  expect(socket.readyState).toBe(WebSocket.OPEN);
  expect(socket.protocol).toBe('fieldbook.v1');
  return { closed };
}

async function auditOf(relay: Relay, event: string): Promise<Record<string, unknown>[]> {
  const entries = [];
  for await (const entry of readAudit(join(relay.data, 'audit.jsonl'))) if (entry.event === event) entries.push(entry);
  return entries;
}

it('[ACC-56, ACC-58] somebody signs in at the provider and comes back with a session of what the first fitting rule says', async () => {
  const { relay, provider } = await world();
  expect((await ask(relay, 'GET', '/sign-in', {})).json).toEqual({ oidc: { label: 'Example', start: START } });
  const browser = new Browser(relay);
  const start = await browser.get(`${PUBLIC}${START}`);
  const asked = new URL(locationOf(start)).searchParams;
  expect(asked.get('code_challenge')).toMatch(/^[\w-]{43}$/);
  expect([asked.get('code_challenge_method'), asked.get('scope')]).toEqual(['S256', 'openid profile email']);
  const flags = 'Path=/; Max-Age=';
  expect([...browser.cookies]).toEqual([
    [
      expect.stringMatching(/^__Host-fieldbook-\w{12}-attempt-[\w-]{8}$/),
      expect.stringContaining(`; ${flags}600; HttpOnly; SameSite=Lax; Secure`),
    ],
  ]);
  expect(start.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });

  browser.cookies.clear();
  const back = await browser.signIn();
  expect([back.status, back.text, locationOf(back)]).toEqual([303, '', '/p/vision?q=tag:best#signed-in']);
  expect([...browser.cookies]).toEqual([
    [
      expect.stringMatching(/^__Host-fieldbook-\w{12}$/),
      expect.stringMatching(/^fbs_\S+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure$/),
    ],
  ]);
  const { json } = await ask(relay, 'GET', '/session', browser.page);
  expect(json).toMatchObject({ name: 'Ada@Example.org', person: 'Ada@Example.org', role: 'viewer' });
  expect(json.expires - Date.now()).toBeGreaterThan(12 * 3_600_000 - 60_000);
  expect((await ask(relay, 'GET', '/projects', browser.page)).status).toBe(200);
  expect((await ask(relay, 'GET', '/tokens', browser.page)).status).toBe(403);
  await room(relay, browser.page);

  // Nobody is led elsewhere.
  for (const to of ['//evil.example/', '/\\evil.example', 'https://evil.example', '/a/..//evil.example', '/api/v1/x'])
    expect(locationOf(await new Browser(relay).signIn(to))).toBe('/#signed-in');
  // By another name of this relay the browser goes on under the one that the provider knows.
  const moved = await send(relay.url, 'GET', `${START}?to=/p/x`);
  expect(locationOf(moved)).toBe(`${PUBLIC}${START}?to=%2Fp%2Fx&moved=1`);

  // The provider tells addresses and groups at another place, too.
  provider.person = { sub: 'bob-1', name: 'Bob' };
  provider.more = { email: 'bob@elsewhere.example', email_verified: true, groups: ['all', 'vision'] };
  const bob = new Browser(relay);
  await bob.signIn();
  expect((await ask(relay, 'GET', '/session', bob.page)).json).toMatchObject({ role: 'member' });
  expect(await auditOf(relay, 'sign-in')).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ name: 'bob@elsewhere.example', role: 'member', projects: ['vision'], by: 'oidc' }),
    ]),
  );
  provider.more = {};
  for (const [person, why] of [
    [{ ...ADA, sub: 'eve', email: 'eve@elsewhere.example' }, /eve@elsewhere\.example, and no rule/],
    [{ ...ADA, sub: 'eve', email: 'eve@example.org.evil.example' }, /no rule/],
    [{ ...ADA, sub: 'eve', email_verified: false }, /has not confirmed an e-mail address/],
    [{ ...ADA, sub: 'eve', email_verified: undefined }, /has not confirmed/],
    [{ sub: 'eve', name: '<b>Eve</b>' }, /&#60;b&#62;Eve&#60;\/b&#62;/],
  ] as [Record<string, unknown>, RegExp][]) {
    provider.person = person;
    const eve = new Browser(relay);
    const refused = await eve.signIn();
    expect(refused.status).toBe(403);
    expect(refused.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(refused.headers['content-security-policy']).toContain("default-src 'none'");
    expect(refused.text).toMatch(why);
    expect(eve.cookies.size).toBe(0);
  }
  expect((await auditOf(relay, 'sign-in.refused'))[0]).toMatchObject({ code: 'forbidden', subject: 'eve' });
  for (const secret of [CLIENT.secret, browser.page['cookie']!.split('=fbs_')[1]!])
    for (const text of [relay.output(), readFileSync(join(relay.data, 'audit.jsonl'), 'utf8')])
      expect(text).not.toContain(secret);
});

it('[ACC-57] what does not stand up, or comes by another browser or again, lets nobody in', async () => {
  const { relay, provider } = await world();
  const refused = async (answer: HttpAnswer, why: RegExp): Promise<void> => {
    expect([answer.status, answer.text]).toEqual([401, expect.stringMatching(why)]);
    expect(String(answer.headers['set-cookie'])).not.toContain('fbs_');
  };
  // Another browser, with or without an attempt of its own: who follows a link is not signed in as its maker.
  const mallory = new Browser(relay);
  const link = await mallory.toCallback();
  await refused(await new Browser(relay).get(link, true), /begun in another browser/);
  const victim = new Browser(relay);
  await victim.toCallback();
  await refused(await victim.get(link, true), /begun in another browser/);
  const changed = new URL(link);
  changed.searchParams.set('state', 'x'.repeat(43));
  await refused(await mallory.get(changed.href, true), /begun in another browser/);

  // Again, also when the provider would take the code again and the browser kept its cookie.
  provider.isCareless = true;
  const kept = new Browser(relay);
  const callback = await kept.toCallback();
  const attempt = new Map(kept.cookies);
  expect((await kept.get(callback, true)).status).toBe(303);
  for (const [name, value] of attempt) kept.cookies.set(name, value);
  const asked = provider.asked.length;
  await refused(await kept.get(callback, true), /was used already/);
  expect(provider.asked.length).toBe(asked);

  const now = Math.floor(Date.now() / 1_000);
  for (const [change, why] of [
    [{ nonce: 'another' }, /nonce/],
    [{ nonce: undefined }, /nonce/],
    [{ aud: 'somebody-else' }, /aud/],
    [{ iss: 'https://evil.example' }, /iss/],
    [{ exp: now - 90 }, /exp/],
    [{ sub: undefined }, /sub/],
  ] as [Record<string, unknown>, RegExp][]) {
    provider.tamper = (claims) => ({ ...claims, ...change });
    await refused(await new Browser(relay).signIn(), why);
  }
  provider.tamper = (claims) => ({ ...claims, exp: now - 20, iat: now - 320 });
  expect((await new Browser(relay).signIn()).status).toBe(303);
  provider.tamper = (claims) => claims;
  provider.forges = true;
  await refused(await new Browser(relay).signIn(), /signature/i);
  provider.forges = false;
  provider.person = {};
  await refused(await new Browser(relay).signIn(), /access_denied/);
  expect((await Tokens.open(join(relay.data, 'tokens'))).list()).toHaveLength(1);
});

it('[ACC-65] coming back with nothing costs nobody anything, whatever page sends a browser there', async () => {
  const { relay, provider } = await world(
    {},
    {
      FIELDBOOK_RELAY_LIMITS_FAILURES_PER_ADDRESS: '3',
      FIELDBOOK_RELAY_LIMITS_REQUESTS_PER_ADDRESS: '10',
    },
  );
  const from = (address: string): Headers => ({ ...PROXIED, 'x-forwarded-for': address });
  const office = from('198.51.100.1');
  const back = (state: string, headers: Headers): Promise<HttpAnswer> =>
    send(relay.url, 'GET', `${START}/callback?code=x&state=${state}`, { headers: { ...office, ...headers } });
  const states = Array.from({ length: 10 }, (_, each) => `${each}`.repeat(43));
  // Links that are opened, also with what another process or browser sealed; and what a page loads as a picture.
  const stranger = new Browser(relay);
  await stranger.toCallback();
  const [[name, sealed]] = [...stranger.cookies] as [[string, string]];
  for (const state of states) {
    const other = `${name.slice(0, -8)}${state.slice(0, 8)}`;
    for (const cookie of ['', `${other}=AAAA`, `${other}=${sealed.split(';')[0]}`])
      expect((await back(state, cookie === '' ? {} : { cookie })).status).toBe(401);
    const picture = await back(state, { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' });
    expect([picture.status, picture.text]).toEqual([403, expect.stringContaining('no page can load it')]);
  }
  const asked = provider.asked.length;
  expect((await send(relay.url, 'GET', START, { headers: { ...office, 'sec-fetch-mode': 'cors' } })).status).toBe(403);
  expect(provider.asked.length).toBe(asked);
  const joining = await send(relay.url, 'POST', '/api/v1/invitations/redeem', {
    headers: office,
    body: { secret: 'fbi_x', device: 'laptop' },
  });
  expect(joining.status).toBe(401);
  // Who comes far too often is told so on a page.
  let flooded = await back('x', {});
  while (flooded.status !== 429) flooded = await back('x', {});
  expect(flooded.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'retry-after': '1' });
  expect(flooded.text).toContain('too many requests from your address');
});

it('[ACC-65] tabs of one browser sign in at the same time, and it keeps no more attempts than its requests carry', async () => {
  const { relay } = await world();
  const browser = new Browser(relay);
  const callbacks = [await browser.toCallback('/p/one'), await browser.toCallback('/p/two')];
  const ends = [await browser.get(callbacks[0]!, true), await browser.get(callbacks[1]!, true)];
  expect(ends.map(locationOf)).toEqual(['/p/one#signed-in', '/p/two#signed-in']);
  expect([...browser.cookies.keys()]).toEqual([expect.stringMatching(/^__Host-fieldbook-\w{12}$/)]);

  const late: string[] = [];
  for (let each = 0; each < 8; each++) late.push(await browser.toCallback(`/${String(each).repeat(2_000)}`));
  const kept = [...browser.cookies].filter(([name]) => name.includes('-attempt-'));
  expect(kept.length).toBeLessThanOrEqual(4);
  expect(kept.reduce((sum, [, value]) => sum + value.length, 0)).toBeLessThan(8_192);
  expect((await browser.get(late[0]!, true)).status).toBe(401);
  expect((await browser.get(late[7]!, true)).status).toBe(303);
  for (let each = 0; each < 8; each++) late.push(await browser.toCallback());
  expect([...browser.cookies].filter(([name]) => name.includes('-attempt-')).length).toBe(4);
  for (const callback of late.slice(-4)) expect((await browser.get(callback, true)).status).toBe(303);
});

it('[ACC-59, ACC-60, ACC-64, ACC-66] is the same person each time with the rules of now, and stays out once revoked', async () => {
  const { relay, provider } = await world({ sessionLifetime: '1 min' });
  const member = { ...ADA, groups: ['vision'] };
  provider.person = member;
  const first = new Browser(relay);
  await first.signIn();
  const { token } = (await ask(relay, 'GET', '/session', first.page)).json as { token: string };
  const before = await room(relay, first.page);
  const stream = await EventStream.open(relay.url, first.page);
  await stream.says('event: sync');
  // A new name and address, and in no group any more: the same person, who may less everywhere from now on.
  provider.person = { ...ADA, email: 'ada.l@example.org' };
  const second = new Browser(relay);
  await second.signIn();
  expect((await ask(relay, 'GET', '/session', second.page)).json).toMatchObject({ token, role: 'viewer' });
  expect((await ask(relay, 'GET', '/session', first.page)).json).toMatchObject({ token, role: 'viewer' });
  expect(await before.closed).toEqual([1013, 'what you may was changed; connect again']);
  await stream.ended;
  const same = await room(relay, first.page);
  const again = await EventStream.open(relay.url, first.page);
  await again.says('event: sync');
  await second.signIn();
  provider.person = { ...ADA, sub: 'root-1', email: 'root@example.org' };
  const admin = new Browser(relay);
  await admin.signIn();

  const made = await ask(relay, 'POST', '/invitations', admin.page, { role: 'admin' });
  const { secret, id: invitation } = made.json as { secret: string; id: string };
  const joined = await ask(relay, 'POST', '/invitations/redeem', {}, { secret, device: 'laptop' });
  expect(joined.json).toMatchObject({ role: 'admin', expires: null });
  const root = (await ask(relay, 'GET', '/session', admin.page)).json.token as string;
  expect(await auditOf(relay, 'invitation.created')).toMatchObject([
    { id: invitation, by: root, person: 'root@example.org', role: 'admin' },
  ]);
  expect(await auditOf(relay, 'token.created')).toMatchObject([{ id: joined.json.id, by: `invitation ${invitation}` }]);

  const listed = (await ask(relay, 'GET', '/tokens', admin.page)).json.tokens as Record<string, unknown>[];
  expect(listed.find(({ id }) => id === token)).toMatchObject({
    role: 'viewer',
    projects: null,
    name: 'ada.l@example.org',
    person: { issuer: provider.issuer, subject: 'ada-1', email: 'ada.l@example.org' },
  });
  expect(statSync(join(relay.data, 'tokens', `${token}.json`)).mode & 0o777).toBe(0o600);
  // Signing out ends this browser's session and no other.
  expect((await ask(relay, 'DELETE', '/session', second.page)).json).toEqual({ ended: true });
  expect((await ask(relay, 'GET', '/projects', second.page)).status).toBe(401);

  expect((await ask(relay, 'DELETE', `/tokens/${token}`, admin.page)).status).toBe(200);
  expect(await same.closed).toEqual([4401, 'the token was revoked']);
  expect(await auditOf(relay, 'token.revoked')).toMatchObject([{ id: token, by: root, person: 'root@example.org' }]);
  await again.ended;
  expect((await ask(relay, 'GET', '/projects', first.page)).status).toBe(401);
  provider.person = member;
  const back = new Browser(relay);
  const out = await back.signIn();
  expect([out.status, out.text]).toEqual([403, expect.stringContaining('was revoked')]);
  const { people } = (await ask(relay, 'GET', '/people/revoked', admin.page)).json as { people: { id: string }[] };
  expect(people).toMatchObject([{ id: token, person: { subject: 'ada-1' } }]);
  expect((await ask(relay, 'DELETE', `/people/revoked/${token}`, admin.page)).status).toBe(200);
  expect((await back.signIn()).status).toBe(303);
  expect((await ask(relay, 'GET', '/session', back.page)).json).toMatchObject({ token, role: 'member' });
  // What was the session of before is none again.
  expect((await ask(relay, 'GET', '/projects', first.page)).status).toBe(401);
});

it('[ACC-61] a provider that is down is said so, holds up no token, and is found again', async () => {
  const { relay, provider } = await world();
  const member = await relay.token('member', 'box');
  const begin = (): Promise<HttpAnswer> => new Browser(relay).get(`${PUBLIC}${START}?to=/p/x`);
  provider.fails = 'error';
  // Whoever waits does not make it worse.
  const answers = await Promise.all(Array.from({ length: 20 }, begin));
  for (let each = 0; each < 20; each++) answers.push(await begin());
  expect(provider.asked.length).toBeLessThan(10);
  for (const { status, text } of answers) {
    expect([status, text]).toEqual([503, expect.stringContaining('Signing in does not work now')]);
    expect(text).toContain('/api/v1/sign-in/oidc?to=%2Fp%2Fx');
  }
  for (let each = 0; each < amount(0, 1); each++) {
    provider.fails = 'silence';
    await expect.poll(async () => (await begin()).text, { timeout: 30_000 }).toContain('does not answer');
  }
  expect((await relay.api(member, 'GET', '/projects')).status).toBe(200);
  provider.fails = null;
  await expect.poll(async () => (await begin()).status, { timeout: 10_000 }).toBe(303);
  // Between the way there and the way back.
  for (const [fails, why] of [
    ['error', 'answers 503'],
    ['flood', 'more than 1048576 bytes'],
  ] as const) {
    const browser = new Browser(relay);
    const callback = await browser.toCallback();
    provider.fails = fails;
    const answer = await browser.get(callback, true);
    expect([answer.status, answer.text]).toEqual([503, expect.stringContaining(why)]);
    expect((await relay.api(member, 'GET', '/projects')).status).toBe(200);
    provider.fails = null;
  }
});
