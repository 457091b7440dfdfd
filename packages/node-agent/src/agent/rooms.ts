import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { DocumentName, Log } from '@fieldbook/core';
import { asFieldbookError } from '@fieldbook/core';
import type { Commit, Replica } from '@fieldbook/core/replica';
import type { WebSocket } from 'ws';

const SYNC = 0;
const AWARENESS = 1;
const ACK = 100;

interface Member {
  socket: WebSocket;
  acks: boolean;
  /** Content frames of this member that are durable. */
  durable: number;
}

/** Stand-in until core's rooms land: every document as a y-websocket room. */
export class Rooms {
  readonly #replica: Replica;
  readonly #log: Log;
  readonly #members = new Map<DocumentName, Set<Member>>();
  readonly #stop: () => void;

  constructor(replica: Replica, log: Log) {
    this.#replica = replica;
    this.#log = log;
    this.#stop = replica.onCommit((commit) => this.#broadcast(commit));
  }

  join(name: DocumentName, socket: WebSocket): void {
    const member: Member = { socket, acks: socket.protocol === 'fieldbook.ack', durable: 0 };
    const members = this.#members.get(name) ?? new Set();
    this.#members.set(name, members.add(member));
    let last: Promise<void> = Promise.resolve();
    socket.on('message', (data: Buffer) => {
      const bytes = new Uint8Array(data);
      last = last
        .then(() => this.#receive(name, member, bytes))
        .catch((error: unknown) => {
          const { code, message } = asFieldbookError(error);
          this.#log.warn('room.refused', { name, code, message });
          socket.close(4422, `${code}: ${message}`.slice(0, 120));
        });
    });
    socket.on('close', () => {
      members.delete(member);
      if (members.size === 0) this.#members.delete(name);
    });
    void this.#replica.stateVector(name).then(({ stateVector }) => {
      const frame = encoding.createEncoder();
      encoding.writeVarUint(frame, SYNC);
      encoding.writeVarUint(frame, 0);
      encoding.writeVarUint8Array(frame, stateVector);
      socket.send(encoding.toUint8Array(frame));
    });
  }

  close(): void {
    this.#stop();
  }

  async #receive(name: DocumentName, member: Member, bytes: Uint8Array): Promise<void> {
    const decoder = decoding.createDecoder(bytes);
    const kind = decoding.readVarUint(decoder);
    if (kind === AWARENESS) {
      for (const other of this.#members.get(name) ?? []) if (other !== member) other.socket.send(bytes);
      return;
    }
    if (kind !== SYNC) return;
    const step = decoding.readVarUint(decoder);
    const body = decoding.readVarUint8Array(decoder);
    if (step === 0) {
      const { update } = await this.#replica.encodeState(name, new Uint8Array(body));
      member.socket.send(syncFrame(1, update));
      return;
    }
    await this.#replica.apply(name, new Uint8Array(body), member);
    member.durable += 1;
    if (!member.acks) return;
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, ACK);
    encoding.writeVarUint(frame, member.durable);
    member.socket.send(encoding.toUint8Array(frame));
  }

  #broadcast(commit: Commit): void {
    const members = this.#members.get(commit.name);
    if (members === undefined) return;
    const frame = syncFrame(2, commit.update);
    for (const member of members) if (member !== commit.origin) member.socket.send(frame);
  }
}

function syncFrame(step: number, update: Uint8Array): Uint8Array {
  const frame = encoding.createEncoder();
  encoding.writeVarUint(frame, SYNC);
  encoding.writeVarUint(frame, step);
  encoding.writeVarUint8Array(frame, update);
  return encoding.toUint8Array(frame);
}
