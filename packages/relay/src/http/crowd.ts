import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { FieldbookError } from '@fieldbook/core';
import type { AccessRules } from './access.ts';
import { plainAddress } from './proxies.ts';

/** The connections of a server: too many of one address are told so at their first request, and far too many are cut. */
export class Crowd {
  readonly #refused = new Map<string, FieldbookError>();

  constructor(server: Server, { limiter, proxies }: AccessRules) {
    const { connections } = limiter.limits;
    if (connections !== Number.POSITIVE_INFINITY) server.maxConnections = connections;
    server.on('drop', () => limiter.count('connections'));
    server.on('connection', (socket: Socket) => {
      const address = plainAddress(socket.remoteAddress ?? '');
      // Everybody comes through a proxy: it is for it to count them, and for the sockets behind it.
      if (address === '' || proxies.trusts(address)) return;
      try {
        socket.once('close', limiter.connect('address', address));
      } catch (error) {
        if (this.#refused.size >= REFUSED || !(error instanceof FieldbookError)) {
          socket.destroy();
          return;
        }
        const name = nameOf(socket);
        this.#refused.set(name, error);
        socket.once('close', () => this.#refused.delete(name));
      }
    });
  }

  /** Why a connection is one too many; undefined when it is not. */
  refusal(socket: Socket): FieldbookError | undefined {
    return this.#refused.get(nameOf(socket));
  }
}

/** Connections that only wait to be told that they are too many. */
const REFUSED = 200;

/** The same for a connection and for the TLS in it. */
export function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
