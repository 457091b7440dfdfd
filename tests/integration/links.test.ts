import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { linkOverSocket, linkWhenOpen } from '@fieldbook/core/links';
import { linkContract } from '@fieldbook/core/testing/contracts';
import { WebSocket, WebSocketServer } from 'ws';

/** Both ends of a real WebSocket on loopback. */
linkContract('ws on loopback', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[WebSocket]>;
  const dialled = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const a = await linkWhenOpen(dialled as never);
  const [socket] = await accepted;
  const b = linkOverSocket(socket as never);
  return {
    a,
    b,
    settle: () => settle(dialled, socket),
    async teardown() {
      dialled.terminate();
      socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
});

/** Resolves when everything sent so far has arrived at both ends, answers to it included, or the connection has ended. */
async function settle(...sockets: WebSocket[]): Promise<void> {
  for (let round = 0; round < 2; round++) await Promise.all(sockets.map(pingOrEnd));
}

/** A pong comes after everything that was sent before its ping. */
async function pingOrEnd(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return;
  const closed = once(socket, 'close');
  if (socket.readyState === WebSocket.CLOSING) return void (await closed);
  const answered = once(socket, 'pong');
  socket.ping();
  await Promise.race([answered, closed]);
}
