// What a relay is held against: node room-peers.mjs bare|stock. Prints the port. `bare` passes every message on to
// everybody else and knows nothing; `stock` is the loop of y-websocket's server over y-protocols, one document, no disk.
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { WebSocketServer } from 'ws';
import * as awareness from 'y-protocols/awareness';
import * as sync from 'y-protocols/sync';
import * as Y from 'yjs';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, backlog: 4096 }, () => {
  console.log(`listening ${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`);
});
if (process.argv[2] === 'bare') {
  server.on('connection', (socket) => {
    socket.on('message', (/** @type {Buffer} */ message) => {
      for (const other of server.clients) if (other !== socket) other.send(message);
    });
  });
} else {
  const doc = new Y.Doc();
  const states = new awareness.Awareness(doc);
  states.setLocalState(null);
  /** @param {Uint8Array} message */
  const broadcast = (message) => {
    for (const socket of server.clients) if (socket.readyState === socket.OPEN) socket.send(message);
  };
  doc.on('update', (update) => {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, 0);
    sync.writeUpdate(encoder, update);
    broadcast(encoding.toUint8Array(encoder));
  });
  server.on('connection', (socket) => {
    socket.on('message', (/** @type {Buffer} */ message) => {
      const decoder = decoding.createDecoder(message);
      const encoder = encoding.createEncoder();
      if (decoding.readVarUint(decoder) !== 0) return;
      encoding.writeVarUint(encoder, 0);
      sync.readSyncMessage(decoder, encoder, doc, socket);
      if (encoding.length(encoder) > 1) socket.send(encoding.toUint8Array(encoder));
    });
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, 0);
    sync.writeSyncStep1(encoder, doc);
    socket.send(encoding.toUint8Array(encoder));
  });
}
