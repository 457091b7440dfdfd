// Visitors of one room, many to a process, as cheap as a client can be: started by relay-fanout and reconnect-storm with
// an IPC channel. They speak y-websocket's sync by hand; one of each process keeps a real document and proves what came.
import { createHash } from 'node:crypto';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

/** Connections that are being made at one time when nobody asked for all at once. */
const AT_A_TIME = 50;

/**
 * @typedef {{ url: string, protocols: string[], bare: boolean, count: number, atOnce?: boolean, state?: string }} Join
 * @typedef {{ what: 'join', id: string } & Join | { what: 'leave', id: string } | { what: 'digest', id: string }} Order
 */

/** @type {Map<string, Crowd>} */
const crowds = new Map();

process.on('message', (/** @type {Order} */ order) => {
  if (order.what === 'join') {
    const crowd = new Crowd(order.id, order);
    crowds.set(order.id, crowd);
    crowd.join().then(
      (ms) => process.send?.({ what: 'joined', id: order.id, ms }),
      (error) => process.send?.({ what: 'failed', id: order.id, why: String(error) }),
    );
  } else if (order.what === 'leave') {
    crowds.get(order.id)?.leave();
    crowds.delete(order.id);
    process.send?.({ what: 'left', id: order.id });
  } else {
    process.send?.({ what: 'digest', id: order.id, digest: crowds.get(order.id)?.digest() });
  }
});
process.on('disconnect', () => process.exit(0));

/** All visitors of one server in this process. */
class Crowd {
  /**
   * @param {string} id
   * @param {Join} options
   */
  constructor(id, options) {
    this.id = id;
    this.options = options;
    /** @type {WebSocket[]} */
    this.sockets = [];
    this.doc = new Y.Doc();
    if (options.state !== undefined) Y.applyUpdate(this.doc, Buffer.from(options.state, 'base64'));
    this.vector = Y.encodeStateVector(this.doc);
    /** When each visitor got the change that is under way, in ns of the machine's monotonic clock. */
    this.times = /** @type {number[]} */ ([]);
    this.leaving = false;
  }

  /** Connects all of them; ms until the last one is in sync. */
  async join() {
    const began = performance.now();
    const { count, atOnce } = this.options;
    const size = atOnce ? count : AT_A_TIME;
    for (let from = 0; from < count; from += size) {
      const some = Array.from({ length: Math.min(size, count - from) }, (_, index) => this.one(from + index));
      await Promise.all(some);
    }
    return performance.now() - began;
  }

  /**
   * One visitor; resolves when it is in sync (has step 2, and has answered the server's question if there is one).
   *
   * @param {number} index
   */
  one(index) {
    return new Promise((resolve, reject) => {
      const { url, protocols, bare } = this.options;
      const socket = new WebSocket(url, protocols, { perMessageDeflate: false });
      this.sockets.push(socket);
      socket.on('error', reject);
      socket.on('close', (code, reason) => {
        if (!this.leaving) reject(new Error(`closed with ${code} ${reason.toString()}`));
      });
      socket.on('open', () => {
        if (bare) resolve(undefined);
        else socket.send(sync(0, this.vector));
      });
      socket.on('message', (/** @type {Buffer} */ message) => {
        const at = process.hrtime.bigint();
        const decoder = decoding.createDecoder(message);
        if (decoding.readVarUint(decoder) !== 0) return;
        const kind = decoding.readVarUint(decoder);
        const bytes = decoding.readVarUint8Array(decoder);
        if (kind === 0) {
          socket.send(sync(1, index === 0 ? Y.encodeStateAsUpdate(this.doc, bytes) : EMPTY));
          return;
        }
        if (index === 0) Y.applyUpdate(this.doc, bytes);
        if (kind === 1) {
          resolve(undefined);
          return;
        }
        this.times.push(Number(at));
        if (this.times.length < this.options.count) return;
        process.send?.({ what: 'got', id: this.id, times: this.times.splice(0) });
      });
    });
  }

  leave() {
    this.leaving = true;
    for (const socket of this.sockets) socket.terminate();
  }

  /** What the one document holds, so that the fastest server is not one that sends nothing. */
  digest() {
    const hash = createHash('sha256');
    const edits = this.doc.getMap('edits');
    for (const key of [...edits.keys()].sort()) hash.update(key).update(/** @type {Uint8Array} */ (edits.get(key)));
    return `${edits.size} ${hash.digest('hex')}`;
  }
}

/** No structs and no deletions. */
const EMPTY = new Uint8Array([0, 0]);

/**
 * @param {number} kind
 * @param {Uint8Array} bytes
 */
function sync(kind, bytes) {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, kind);
  encoding.writeVarUint8Array(encoder, bytes);
  return encoding.toUint8Array(encoder);
}
