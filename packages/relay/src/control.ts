import { rm } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import type { Log } from '@fieldbook/core';
import { asFieldbookError, FieldbookError } from '@fieldbook/core';

/** The longest path of a Unix socket that all systems take. */
const PATH_MAX = 100;

/** What a command on the relay's machine asks of the running relay. Chunks of the answer are sent as they come. */
export type Controls = Readonly<Record<string, () => AsyncIterable<Uint8Array>>>;

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
  for await (const chunk of control()) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  response.end();
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
