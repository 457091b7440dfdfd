import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as ask, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { ProjectId } from '@fieldbook/core';
import type { Token } from '../tokens.ts';
import { Tokens } from '../tokens.ts';
import type { Admission } from './access.ts';
import { Limiter } from './limiter.ts';
import type { RelayLimits } from './limits.ts';
import { Sessions } from './sessions.ts';
import { Visits } from './visits.ts';

const CALLER = { address: '127.0.0.1', secure: false, host: 'localhost' };
const limits = Object.fromEntries(
  ['requests-per-address', 'requests-per-token', 'upgrades-per-address', 'bytes-per-connection', 'bytes-per-token']
    .concat(['connections-per-address', 'connections-per-token', 'connections', 'failures-per-address'])
    .map((name) => [name, name === 'connections-per-token' ? 1 : Infinity]),
) as unknown as RelayLimits;

async function world() {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-visits-'));
  const tokens = await Tokens.open(folder);
  const sessions = new Sessions(Date.now);
  const limiter = new Limiter(limits);
  const visits = new Visits({ tokens, sessions, limiter });
  onTestFinished(() => {
    tokens.close();
    limiter.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { token } = await tokens.create({ role: 'member', projects: null, name: 'ada', expires: null });
  return { tokens, sessions, visits, token };
}

const admitted = (token: Token, session?: string): Admission => ({ token, session, by: 'token', cookie: undefined });

/** A request that waits for its answer at a real server. */
async function pending(
  body = '',
): Promise<{ request: IncomingMessage; response: ServerResponse; left(): Promise<void>; finish(): void }> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  // Of a body the end is kept back.
  const headers = body === '' ? {} : { 'content-length': String(body.length + 1) };
  const asked = ask({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false, headers });
  if (body === '') asked.end();
  else asked.write(body);
  asked.on('error', () => undefined);
  const [request, response] = await new Promise<[IncomingMessage, ServerResponse]>((resolve) => {
    server.once('request', (...both) => resolve(both));
  });
  const left = async (): Promise<void> => {
    const closed = new Promise((resolve) => response.once('close', resolve));
    asked.destroy();
    await closed;
  };
  return { request, response, left, finish: () => void asked.end('}') };
}

/** A body that goes on, and whether it was let go of. */
function stream() {
  const state = { returned: false };
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => undefined),
      return: async () => {
        state.returned = true;
        return { done: true, value: undefined };
      },
    }),
  };
  return { state, answer: { status: 200, headers: {}, body } };
}

it('[ACC-64] what ended between the look at a secret and the beginning of a request begins nothing', async () => {
  const { tokens, sessions, visits, token } = await world();
  const { request, response } = await pending();
  const { secret } = sessions.open(token.id);
  const { key } = sessions.use(secret)!;
  sessions.end(key);
  expect(() => visits.begin(admitted(token, key), CALLER, request, response)).toThrow('not signed in any more');
  // And what became something else is what it is now.
  const person = { issuer: 'https://id.example', subject: 'ada', email: null };
  const spec = { name: 'ada', expires: Date.now() + 60_000 };
  const { token: before } = await tokens.signIn(person, { ...spec, role: 'member', projects: null });
  await tokens.signIn(person, { ...spec, role: 'viewer', projects: ['vision' as ProjectId] });
  expect(visits.begin(admitted(before), CALLER, request, response).token).toMatchObject({ role: 'viewer' });
  await tokens.revoke(token.id);
  expect(() => visits.begin(admitted(token), CALLER, request, response)).toThrow('was revoked');
});

it('[ACC-64] a token that is revoked before its stream begins gets none, and whoever revoked itself its answer', async () => {
  const { tokens, visits, token } = await world();
  const { request, response } = await pending();
  const visit = visits.begin(admitted(token), CALLER, request, response);
  await tokens.revoke(token.id);
  expect(response.destroyed).toBe(false);
  expect(() => visit.check()).toThrow('was revoked');
  const { state, answer } = stream();
  await expect(visit.mayAnswer(answer, false)).rejects.toThrow('was revoked');
  expect(state.returned).toBe(true);
  const revoked = { status: 200, headers: {}, body: new Uint8Array() };
  await expect(visit.mayAnswer(revoked, true)).rejects.toThrow('was revoked');
  await visit.mayAnswer(revoked, false);
});

it('[ACC-64] a stream is a connection of its token until it ends, also of one who left before it began', async () => {
  const { visits, token } = await world();
  const [one, two, gone] = [await pending(), await pending(), await pending()];
  const begin = ({ request, response }: typeof one) => visits.begin(admitted(token), CALLER, request, response);
  const late = begin(gone);
  await gone.left();
  await late.mayAnswer(stream().answer, true);
  await begin(one).mayAnswer(stream().answer, true);
  const { state, answer } = stream();
  await expect(begin(two).mayAnswer(answer, true)).rejects.toThrow('1 open connections with this token');
  expect(state.returned).toBe(true);
  // A large body is one, and what is whole at once and small is none.
  expect(() => begin(two).connect()).toThrow('1 open connections with this token');
  await expect(begin(two).mayAnswer({ status: 200, headers: {}, body: new Uint8Array(100_000) }, true)).rejects.toThrow(
    '1 open connections with this token',
  );
  await begin(two).mayAnswer({ status: 200, headers: {}, body: new Uint8Array(1) }, true);
  await one.left();
  await begin(two).mayAnswer(stream().answer, true);
});

it('[ACC-64] a body that does not come on ends with its token, and whoever sends on is told why', async () => {
  const { tokens, visits, token } = await world();
  const [silent, sending] = [await pending('{"half'), await pending('{"half')];
  const whole = await pending();
  whole.request.resume();
  await once(whole.request, 'end');
  const begun = [silent, sending, whole].map(({ request, response }) =>
    visits.begin(admitted(token), CALLER, request, response),
  );
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  await tokens.revoke(token.id);
  for (const visit of begun) expect(() => visit.check()).toThrow('was revoked');
  sending.request.resume();
  sending.finish();
  await once(sending.request, 'end');
  const closed = once(silent.response, 'close');
  vi.advanceTimersByTime(2_100);
  await closed;
  expect([silent, sending, whole].map(({ response }) => response.destroyed)).toEqual([true, false, false]);
});
