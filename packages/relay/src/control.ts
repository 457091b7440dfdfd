import { rm } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import type { Log } from '@fieldbook/core';
import { API_PREFIX, asFieldbookError, FieldbookError } from '@fieldbook/core';
import type { Api } from '@fieldbook/core/api';

/** The longest path of a Unix socket that all systems take. */
const PATH_MAX = 100;

/** What a command on the relay's machine asks of the running relay. Chunks of the answer are sent as they come; `gone` resolves when nobody reads on. */
export type Controls = Readonly<Record<string, (gone: Promise<void>) => AsyncIterable<Uint8Array>>>;

const socketOf = (data: string): string =>
  process.platform === 'win32'
    ? `\\\\.\\pipe\\fieldbook-relay-${data.replaceAll(/\W/g, '-')}`
    : join(data, 'control.sock');

/**
 * A socket in the data directory, which only its owner may enter, for commands beside the running relay: whoever can
 * read the data may ask for it, and nobody else can. Resolves to null, after a warning, where the system has no such socket.
 */
export async function serveControl(data: string, controls: Controls, log: Log): Promise<{ close(): void } | null> {
  const path = socketOf(data);
  if (Buffer.byteLength(path) > PATH_MAX) {
    log.warn('control.unavailable', { reason: `${path} is too long for a socket; backups need the relay stopped` });
    return null;
  }
  // The store is locked, so what lies there is of a process that has gone.
  if (process.platform !== 'win32') await rm(path, { force: true });
  const server: Server = createServer((asked, response) => {
    answer(controls, asked, response).catch((error: unknown) => {
      log.warn('control.failed', { error: String(error) });
      response.destroy();
    });
  });
  const before = process.umask(0o077);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } catch (error) {
    log.warn('control.unavailable', { reason: String(error) });
    return null;
  } finally {
    process.umask(before);
  }
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(controls: Controls, asked: IncomingMessage, response: ServerResponse): Promise<void> {
  asked.resume();
  const name = (asked.url ?? '/').slice(1);
  const control = asked.method === 'POST' && Object.hasOwn(controls, name) ? controls[name] : undefined;
  if (control === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  const gone = new Promise<void>((resolve) => response.once('close', resolve));
  for await (const chunk of control(gone)) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  response.end();
}

/** A control that answers with JSON: what `work` resolves to, or the error that it rejects with. For `askJson`. */
export async function* answeringJson(work: () => Promise<unknown>): AsyncGenerator<Uint8Array> {
  const said = await work().then(
    (value) => ({ value }),
    (error: unknown) => ({ error: asFieldbookError(error).toJSON() }),
  );
  yield new TextEncoder().encode(JSON.stringify(said));
}

/** What the API answers to who owns the data. Throws what it refuses with. */
export async function askApi(api: Api, path: string): Promise<unknown> {
  const access = { role: 'owner', name: null } as const;
  const { status, body } = await api.handle({
    method: 'GET',
    path: `${API_PREFIX}${path}`,
    query: [],
    headers: {},
    body: null,
    access,
  });
  const said = JSON.parse(body instanceof Uint8Array ? new TextDecoder().decode(body) : 'null') as {
    error?: { code: FieldbookError['code']; message: string };
  };
  if (status !== 200)
    throw new FieldbookError(said.error?.code ?? 'internal', said.error?.message ?? `It answered ${status}.`);
  return said;
}

/** What a control of the running relay says in JSON; undefined when none runs. Throws what it failed with. */
export async function askJson<T>(data: string, name: string): Promise<T | undefined> {
  const chunks: Uint8Array[] = [];
  const said = await ask(data, name);
  if (said === undefined) return undefined;
  for await (const chunk of said) chunks.push(chunk);
  const { value, error } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
    value?: T;
    error?: { code: FieldbookError['code']; message: string };
  };
  if (error !== undefined) throw new FieldbookError(error.code, error.message);
  return value;
}

/** What the running relay of a data directory answers; undefined when none runs. */
export async function ask(data: string, name: string): Promise<AsyncIterable<Uint8Array> | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socketOf(data), path: `/${name}`, method: 'POST' }, (response) => {
      if (response.statusCode === 200) resolve(response as AsyncIterable<Buffer>);
      else reject(new FieldbookError('not_supported', 'The relay that runs is of another version; restart it.'));
    });
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(asFieldbookError(error, 'peer_unreachable'));
    });
    asked.end();
  });
}
