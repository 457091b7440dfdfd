import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { Tokens } from '@fieldbook/relay';
import { fieldbook, send } from '../fixtures/agent.ts';
import { Authority } from '../fixtures/certificate.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';

/** A fresh connection: what it answers, and the certificate that it showed. */
async function look(url: string, ca: string): Promise<{ status?: number; hsts?: string; certificate: string }> {
  const [answer] = (await once(get(`${url}/healthz`, { ca, agent: false }), 'response')) as [IncomingMessage];
  const certificate = (answer.socket as TLSSocket).getPeerX509Certificate()!.fingerprint256;
  answer.resume();
  const hsts = answer.headers['strict-transport-security'];
  return {
    certificate: certificate.replaceAll(':', '').toLowerCase(),
    ...(answer.statusCode === undefined ? {} : { status: answer.statusCode }),
    ...(hsts === undefined ? {} : { hsts }),
  };
}

it('[ACC-40] a relay with a certificate speaks TLS only and takes a renewed one without cutting a connection', async () => {
  const folder = emptyFolder('tls');
  const authority = new Authority();
  const first = authority.issue(folder);
  const relay = await new Relay().up(['--tls-cert', first.cert, '--tls-key', first.key]);
  expect(relay.url).toMatch(/^https:/);
  expect(await look(relay.url, authority.pem)).toEqual({
    status: 200,
    hsts: 'max-age=31536000',
    certificate: first.fingerprint,
  });
  await expect(send(relay.url, 'GET', '/healthz')).rejects.toThrow(/hang up|ECONNRESET|Parse Error/);
  await expect(look(relay.url, new Authority().pem)).rejects.toThrow(/certificate/);

  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const { secret } = await tokens.create({ role: 'member', projects: null, name: 'ada', expires: null });
  const protocols = ['fieldbook.v1', `fieldbook.token.${secret}`];
  const socket = new WebSocket(`${relay.url.replace(/^http/, 'ws')}/rooms/workspace`, protocols, { ca: authority.pem });
  onTestFinished(() => socket.terminate());
  await once(socket, 'open');

  const second = authority.issue(folder);
  process.kill(relay.pid, 'SIGHUP');
  await relay.says(/"event":"tls.renewed"/);
  expect((await look(relay.url, authority.pem)).certificate).toBe(second.fingerprint);
  // A renewal that is half done: the key of another certificate, then no PEM at all.
  const other = emptyFolder('tls');
  copyFileSync(authority.issue(other).key, second.key);
  process.kill(relay.pid, 'SIGHUP');
  await relay.says(/"event":"tls.unreadable"/);
  expect((await look(relay.url, authority.pem)).certificate).toBe(second.fingerprint);
  socket.ping();
  await once(socket, 'pong');
});

it('[ACC-41] an agent joins over TLS with the authority that it was given, and says what to do without', async () => {
  const folder = emptyFolder('tls');
  const authority = new Authority();
  const { cert, key } = authority.issue(folder);
  const relay = await new Relay().up(['--tls-cert', cert, '--tls-key', key]);
  const tokens = await Tokens.open(join(relay.data, 'tokens'));
  const { secret } = await tokens.create({ role: 'member', projects: null, name: 'box', expires: null });
  const home = emptyFolder('home');
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, authority.pem);
  const refused = await fieldbook(home, ['join', relay.url, '--token', secret]);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain('NODE_EXTRA_CA_CERTS');
  const env = { NODE_EXTRA_CA_CERTS: ca };
  const joined = await fieldbook(home, ['join', relay.url, '--token', secret, '--json'], { env });
  expect(joined.code, joined.stderr).toBe(0);
  expect(joined.json).toMatchObject({ url: relay.url, connected: true, problem: null });
});
