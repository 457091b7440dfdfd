import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { once } from 'node:events';
import * as Y from 'yjs';
import { Book } from '@fieldbook/core/documents';
import { liveValuesIn, LiveVoice } from '@fieldbook/core/rooms';
import { makeTestEdit, SeededRandom } from '@fieldbook/core/testing';
import { BOOK, Box } from '../fixtures/box.ts';
import type { Room } from '../fixtures/room.ts';
import { closeOf, enterRoom } from '../fixtures/room.ts';
import { Relay } from '../scaffold/machine.ts';

const edits = (doc: Y.Doc): string[] => [...new Book(doc).edits()].map(([id]) => id).sort();
const random = new SeededRandom(11);
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const mint = (): never => Array.from({ length: 26 }, () => DIGITS[random.int(32)]).join('') as never;

function addEdit({ doc }: Pick<Room, 'doc'>): string {
  const edit = makeTestEdit({ id: mint() });
  new Book(doc).addEdit(edit);
  return edit.id;
}

/** The counts that a room acknowledged so far, and a wait for the one that is wanted. */
function acksOf({ provider }: Room): { until(count: number): Promise<void>; last(): number } {
  let last = 0;
  const waiting = new Set<() => void>();
  provider.messageHandlers[100] = (_encoder: encoding.Encoder, decoder: decoding.Decoder) => {
    last = decoding.readVarUint(decoder);
    for (const wake of waiting) wake();
    waiting.clear();
  };
  return {
    last: () => last,
    until: async (count) => {
      while (last < count) await new Promise<void>((resolve) => waiting.add(resolve));
    },
  };
}

describe('rooms', () => {
  it('[ROOM-1] a stock WebsocketProvider joins any document, writes it, reads it, and finds it again after a restart', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const a = enterRoom(relay.url, BOOK, { token });
    const b = enterRoom(relay.url, BOOK, { token });
    await Promise.all([a.synced(), b.synced()]);
    const first = addEdit(a);
    await b.until((doc) => edits(doc).includes(first));
    const second = addEdit(b);
    await a.until((doc) => edits(doc).length === 2);
    expect(edits(a.doc)).toEqual([first, second].sort());
    a.provider.destroy();
    b.provider.destroy();
    await relay.down();
    await relay.up();
    const c = enterRoom(relay.url, BOOK, { token });
    await c.synced();
    expect(edits(c.doc)).toEqual([first, second].sort());
    expect(
      (await closeOf(`${relay.url}/rooms/no-such-kind/x`, ['fieldbook.v1', `fieldbook.token.${token}`])).code,
    ).toBe(4404);
  });

  it('[ROOM-2] acknowledges updates in order once they are on disk: after kill -9 every acknowledged one is there', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    for (let round = 0; round < 3; round++) {
      const room = enterRoom(relay.url, BOOK, { token, protocols: ['fieldbook.ack'] });
      const acks = acksOf(room);
      await room.synced();
      // The answer to the server's step 1 is the first content frame.
      await acks.until(1);
      const added = Array.from({ length: 20 }, () => addEdit(room));
      await acks.until(8);
      const acknowledged = added.slice(0, acks.last() - 1);
      await relay.down('SIGKILL');
      room.provider.destroy();
      await relay.up();
      const after = enterRoom(relay.url, BOOK, { token });
      await after.synced();
      expect(edits(after.doc)).toEqual(expect.arrayContaining(acknowledged));
    }
  });

  it('[ROOM-3] edits made while the relay is away arrive when it is back, and are acknowledged only then', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const room = enterRoom(relay.url, BOOK, { token, protocols: ['fieldbook.ack'] });
    const acks = acksOf(room);
    await room.synced();
    await acks.until(1);
    await relay.down();
    const added = [addEdit(room), addEdit(room)];
    const before = acks.last();
    await relay.up();
    const witness = enterRoom(relay.url, BOOK, { token });
    await witness.until((doc) => added.every((id) => edits(doc).includes(id)));
    expect(before).toBe(1);
  });

  it('[ROOM-4] a forged or broken update closes the one socket that sent it with 4422, and harms nobody else', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const victim = enterRoom(relay.url, BOOK, { token });
    await victim.synced();
    const kept = addEdit(victim);
    const witness = enterRoom(relay.url, BOOK, { token });
    await witness.until((doc) => edits(doc).includes(kept));

    // A GC struct under the victim's client id: 9 bytes that would swallow the victim's next changes.
    const forged = encoding.createEncoder();
    for (const value of [1, 1]) encoding.writeVarUint(forged, value);
    encoding.writeVarUint(forged, victim.doc.clientID);
    encoding.writeVarUint(forged, Y.getState(victim.doc.store, victim.doc.clientID));
    encoding.writeUint8(forged, 0);
    encoding.writeVarUint(forged, 5);
    encoding.writeVarUint(forged, 0);
    const text = new Y.Doc();
    text.getText('t').insert(0, 'not a record');
    const overwrite = new Y.Doc();
    Y.applyUpdate(overwrite, Y.encodeStateAsUpdate(victim.doc));
    overwrite.getMap('edits').set(kept, new Uint8Array([1, 118, 0]));
    const bad = [
      encoding.toUint8Array(forged),
      Y.encodeStateAsUpdate(text),
      Y.encodeStateAsUpdate(overwrite),
      new Uint8Array([9, 9, 9]),
    ];
    for (const update of bad) {
      const socket = new WebSocket(`${relay.url.replace('http', 'ws')}/rooms/${BOOK}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      onTestFinished(() => socket.terminate());
      await once(socket, 'open');
      const frame = encoding.createEncoder();
      encoding.writeVarUint(frame, 0);
      encoding.writeVarUint(frame, 2);
      encoding.writeVarUint8Array(frame, update);
      socket.send(encoding.toUint8Array(frame));
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
      expect([code, reason.length > 0]).toEqual([4422, true]);
    }
    const next = addEdit(victim);
    await witness.until((doc) => edits(doc).includes(next));
    expect(edits(witness.doc)).toEqual([kept, next].sort());
    expect(victim.provider.wsconnected && witness.provider.wsconnected).toBe(true);
  });

  it('[ROOM-5] an update that needs what has not arrived is asked for again, not refused', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update) => updates.push(update));
    addEdit({ doc });
    addEdit({ doc });
    const socket = new WebSocket(`${relay.url.replace('http', 'ws')}/rooms/${BOOK}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    onTestFinished(() => socket.terminate());
    socket.binaryType = 'nodebuffer';
    const messages: Buffer[] = [];
    const arrived = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void =>
          messages.length >= count ? resolve() : void socket.once('message', () => setImmediate(look));
        look();
      });
    socket.on('message', (data: Buffer) => messages.push(data));
    await once(socket, 'open');
    await arrived(1);
    const send = (kind: number, bytes: Uint8Array): void => {
      const frame = encoding.createEncoder();
      encoding.writeVarUint(frame, 0);
      encoding.writeVarUint(frame, kind);
      encoding.writeVarUint8Array(frame, bytes);
      socket.send(encoding.toUint8Array(frame));
    };
    send(2, updates[1]!);
    await arrived(2);
    // Sync step 1, for the second time: an empty state vector.
    expect([...messages[1]!]).toEqual([0, 0, 1, 0]);
    send(1, Y.encodeStateAsUpdate(doc));
    const room = enterRoom(relay.url, BOOK, { token });
    await room.until((there) => edits(there).length === 2);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it('[ROOM-6] live values of an agent reach the rooms of the relay, those who come later too, and end with the agent', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const box = await Box.open();
    await box.join(relay.url, token);
    await box.settled();
    const room = enterRoom(relay.url, BOOK, { token });
    await room.synced();
    const said = new Promise<Map<number, Record<string, unknown>>>((resolve) => {
      room.provider.awareness.on('change', () => {
        const others = new Map([...room.provider.awareness.getStates()].filter(([id]) => id !== room.doc.clientID));
        if (others.size > 0) resolve(others as Map<number, Record<string, unknown>>);
      });
    });
    const voice = new LiveVoice({ presence: box.presence, clock: { now: () => Date.now() }, random: box.random });
    voice.say(BOOK, { run: 'r1' as never, at: Date.now(), metrics: { loss: { step: 3, value: Number.NaN } } });
    const [state] = [...(await said).values()];
    expect(state).toEqual({
      live: [{ run: 'r1', at: expect.any(Number), metrics: { loss: { step: 3, value: 'NaN' } } }],
    });
    const late = enterRoom(relay.url, BOOK, { token });
    await new Promise<void>((resolve) =>
      late.provider.awareness.on('change', () =>
        late.provider.awareness.getStates().size > 1 ? resolve() : undefined,
      ),
    );
    const gone = new Promise<void>((resolve) => {
      late.provider.awareness.on('change', ({ removed }: { removed: number[] }) =>
        removed.length > 0 ? resolve() : undefined,
      );
    });
    await box.leave();
    await gone;
    expect(liveValuesIn(new Uint8Array([5]))).toEqual([]);
    // y-protocols would forget a silent speaker by itself after 30 s.
  }, 20_000);
});
