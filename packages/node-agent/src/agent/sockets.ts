import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DocumentName, Log } from '@fieldbook/core';
import { asFieldbookError, parseDocumentName } from '@fieldbook/core';
import { WebSocketServer } from 'ws';
import type { Machine } from '../machine/machine.ts';
import type { Services } from '../machine/services.ts';
import type { AccessRules } from './access.ts';
import { accessOf, presentedToken } from './access.ts';
import { splitUrl } from './binding.ts';
import { Rooms } from './rooms.ts';

export interface Sockets {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}

/**
 * WebSocket upgrades: rooms and replication. A refusal is an accepted connection that is closed with a 44xx code and a
 * reason, because browsers hide the HTTP status of a refused upgrade from the page.
 */
export function createSockets(options: {
  rules: AccessRules;
  machine: Machine;
  services: Services;
  log: Log;
}): Sockets {
  const rooms = new Rooms(options.machine.replica, options.log);
  const server = new WebSocketServer({
    handleProtocols: chooseProtocol,
    noServer: true,
    maxPayload: 32 * 1024 * 1024,
    perMessageDeflate: false,
  });
  return {
    upgrade: (request, socket, head) => {
      server.handleUpgrade(request, socket, head, (websocket) => {
        websocket.on('error', (error) => options.log.debug('socket.error', { error: error.message }));
        const { path } = splitUrl(request.url ?? '/');
        try {
          accessOf(options.rules, {
            method: 'GET',
            headers: request.headers,
            remoteAddress: request.socket.remoteAddress ?? '',
            token: presentedToken(request.headers),
            upgrade: true,
          });
        } catch (error) {
          const { code, message } = asFieldbookError(error);
          websocket.close(code === 'unauthorized' ? 4401 : 4403, message.slice(0, 120));
          return;
        }
        if (path.startsWith('/rooms/')) {
          try {
            const name = decodeURIComponent(path.slice('/rooms/'.length));
            parseDocumentName(name);
            rooms.join(name as DocumentName, websocket);
          } catch (error) {
            websocket.close(4404, asFieldbookError(error).message.slice(0, 120));
          }
          return;
        }
        websocket.close(4404, `There is no socket at ${path.slice(0, 80)}.`);
      });
    },
    close: async () => {
      rooms.close();
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}

/** The better of what both speak; never a token, which a server must not repeat. */
function chooseProtocol(offered: ReadonlySet<string>): string | false {
  return ['fieldbook.ack', 'fieldbook.v1'].find((protocol) => offered.has(protocol)) ?? false;
}
