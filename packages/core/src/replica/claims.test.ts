import * as encoding from 'lib0/encoding';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { DeviceKey } from '../access/index.ts';
import { deviceKeyOf, Gate, grantOf, isSignedBy, RunIndex } from '../access/index.ts';
import { Book } from '../documents/index.ts';
import type { DocumentName, RunId, WriterId } from '../ids.ts';
import { WORKSPACE_DOCUMENT } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { claimText, CLIENT_CLAIMS, decodeClientClaim, encodeClientClaim, encodeRecord } from '../record/index.ts';
import {
  afterPowerCut,
  BOOK,
  codeOf,
  makeCard,
  makeTestEdit,
  memoryStorage,
  openTestReplica,
  RUN,
  SeededRandom,
} from '../testing/index.ts';
import type { Replica } from './replica.ts';

const random = new SeededRandom(61);
const [ada, bob] = [deviceKeyOf(random.bytes(32)), deviceKeyOf(random.bytes(32))];
const COLLECTED = 'book/mnist/0000-01' as DocumentName;

const claimsOf = (replica: Replica, name = BOOK): Promise<[client: number, device: string][]> =>
  replica.read(name, (doc) =>
    [...doc.getMap<Uint8Array>(CLIENT_CLAIMS)].map(([key, bytes]) => [Number(key), decodeClientClaim(bytes)!.device]),
  );

let writers = 0;
const cardOf = ({ id }: DeviceKey) => {
  writers += 1;
  const writer = `01kf${String(writers).padStart(22, '0')}` as WriterId;
  return makeCard({ device: id, run: `run-${writers}` as RunId, writer });
};

function claim(key: DeviceKey, client: number, name: DocumentName = BOOK): Uint8Array {
  const { id, publicKey } = key;
  return encodeClientClaim({ kind: 'client', device: id, publicKey, signature: key.sign(claimText(name, client)) });
}

/** What somebody sends who writes as `client` to a document that holds `base`. */
function updateOf(client: number, change: (doc: Y.Doc) => void, base?: Uint8Array): Uint8Array {
  const doc = new Y.Doc();
  if (base !== undefined) Y.applyUpdate(doc, base);
  doc.clientID = client;
  const vector = Y.encodeStateVector(doc);
  doc.transact(() => change(doc));
  return Y.encodeStateAsUpdate(doc, vector);
}

describe('client ids and devices', () => {
  it('[ADM-20] a device claims the client id that it begins to use in a book, once and at no later cost', async () => {
    const storage = await memoryStorage();
    const replica = await openTestReplica(storage, { device: ada.id, key: ada });
    await replica.transact(BOOK, (doc) => new Book(doc).putCard(cardOf(ada)));
    const [[client, device], ...more] = (await claimsOf(replica)) as [[number, string]];
    expect([device, more]).toEqual([ada.id, []]);
    const claimed = await replica.read(BOOK, (doc) => doc.getMap<Uint8Array>(CLIENT_CLAIMS).get(String(client))!);
    expect(claimed.length).toBeLessThan(160);
    const { publicKey, signature } = decodeClientClaim(claimed)!;
    expect(isSignedBy(ada.id, publicKey, claimText(BOOK, client), signature)).toBe(true);
    const card = cardOf(ada);
    const plain = updateOf(client, (doc) => new Book(doc).putCard(card)).length;
    const commit = await replica.transact(BOOK, (doc) => new Book(doc).putCard(card));
    expect(commit!.update.length).toBeLessThan(plain + 8);
    // Again after a restart, under the same id; a store that was put back takes another and claims that.
    const reopened = await openTestReplica(await afterPowerCut(storage), { device: ada.id, key: ada });
    await reopened.transact(BOOK, (doc) => new Book(doc).putCard(cardOf(ada)));
    expect(await claimsOf(reopened)).toEqual([[client, ada.id]]);
    await reopened.noteFeedSeen(1_000);
    await reopened.transact(BOOK, (doc) => new Book(doc).putCard(cardOf(ada)));
    expect((await claimsOf(reopened)).map(([, by]) => by)).toEqual([ada.id, ada.id]);
    // What is written everywhere passes everywhere.
    const other = await openTestReplica(await memoryStorage());
    expect(await codeOf(other.apply(BOOK, (await reopened.encodeState(BOOK)).update, 'peer'))).toBeUndefined();
  });

  it('[ADM-20] claims nothing where a claim says nothing, and makes no document for one', async () => {
    const replica = await openTestReplica(await memoryStorage(), { device: ada.id, key: ada });
    await replica.transact(RUN, (doc) => doc.getMap('entries').set('x', encodeRecord({ k: 'x' })));
    await replica.transact(COLLECTED, (doc) => new Book(doc).putCard(cardOf(bob)));
    expect([await claimsOf(replica, RUN), await claimsOf(replica, COLLECTED)]).toEqual([[], []]);
    expect(await replica.transact(BOOK, () => {})).toBeUndefined();
    expect(await replica.info(BOOK)).toBeUndefined();
    const key = new TextEncoder().encode('x/y');
    await replica.transact(BOOK, () => {}, [{ type: 'put', key, value: new Uint8Array(1) }]);
    expect(await replica.info(BOOK)).toBeUndefined();
    await replica.transact(BOOK, (doc) => new Book(doc).putCard(cardOf(ada)));
    expect(await claimsOf(replica)).toHaveLength(1);
  });

  it('[ADM-20] a rebuilt document has no claims of the one before, and everybody takes what a late machine adds to it', async () => {
    const one = await openTestReplica(await memoryStorage(), { device: ada.id, key: ada });
    const late = await openTestReplica(await memoryStorage(), { device: bob.id, key: bob });
    const put = (replica: Replica, key: DeviceKey) =>
      replica.transact(BOOK, (doc) => new Book(doc).putCard(cardOf(key)));
    await put(one, ada);
    await put(late, bob);
    await late.apply(BOOK, (await one.encodeState(BOOK)).update, 'one');
    await one.rebuild(BOOK, { reason: 'repair', time: 1 });
    expect(await claimsOf(one)).toEqual([]);
    const whole = await one.encodeState(BOOK);
    await late.adopt(BOOK, { generation: whole.generation, updates: [whole.update] });
    await put(late, bob);
    const { update, generation } = await late.encodeState(BOOK);
    expect(await codeOf(one.apply(BOOK, update, 'late', generation))).toBeUndefined();
    await put(one, ada);
    const { update: last } = await one.encodeState(BOOK);
    expect(await codeOf(late.apply(BOOK, last, 'one', generation))).toBeUndefined();
    expect(await late.read(BOOK, (doc) => doc.getMap('cards').size)).toBe(4);
    const fresh = await openTestReplica(await memoryStorage());
    await fresh.adopt(BOOK, { generation, updates: [last] });
    expect(await fresh.read(BOOK, (doc) => doc.getMap('cards').size)).toBe(4);
  });

  it('[ADM-21] refuses a claim that is not its device’s, of this document, of this id, and the first that the id says', async () => {
    const replica = await openTestReplica(await memoryStorage());
    await replica.apply(
      BOOK,
      updateOf(7, (doc) => new Book(doc).addEdit(makeTestEdit())),
      'peer',
    );
    await replica.apply(
      BOOK,
      updateOf(8, (doc) => doc.getMap(CLIENT_CLAIMS).set('8', claim(ada, 8))),
      'peer',
    );
    const base = (await replica.encodeState(BOOK)).update;
    const stolen = { ...decodeClientClaim(claim(ada, 9))!, device: bob.id };
    const put = (client: number, key: string, bytes: Uint8Array, first?: (doc: Y.Doc) => void): Uint8Array =>
      updateOf(
        client,
        (doc) => {
          first?.(doc);
          doc.getMap(CLIENT_CLAIMS).set(key, bytes);
        },
        base,
      );
    const refusals: Record<string, Uint8Array> = {
      'another key': put(9, '9', encodeClientClaim(stolen)),
      'another id': put(9, '9', claim(ada, 10)),
      'another document': put(9, '9', claim(ada, 9, WORKSPACE_DOCUMENT)),
      'another key in the map': put(9, '10', claim(ada, 10)),
      'no number': put(9, 'nine', claim(ada, 9)),
      'an id in use': put(7, '7', claim(bob, 7)),
      'not the first': put(9, '9', claim(ada, 9), (doc) => new Book(doc).addEdit(makeTestEdit())),
    };
    for (const [what, update] of Object.entries(refusals))
      expect(await codeOf(replica.apply(BOOK, update, 'mallory')), what).toBe('update_forbidden_content');
    expect(await codeOf(replica.apply(BOOK, put(9, '8', claim(bob, 8)), 'mallory'))).toBe('record_immutable');
    const gone = updateOf(9, (doc) => doc.getMap(CLIENT_CLAIMS).delete('8'), base);
    expect(await codeOf(replica.apply(BOOK, gone, 'mallory'))).toBe('record_immutable');
    const bytes = encodeClientClaim({ ...stolen, signature: new Uint8Array(63) });
    expect(await codeOf(replica.apply(BOOK, put(9, '9', bytes), 'mallory'))).toBe('record_malformed');
    expect(await codeOf(replica.apply(BOOK, put(9, '9', claim(ada, 9)), 'peer'))).toBeUndefined();
    // What a newer version says there passes.
    const newer = put(11, '11', encodeRecord({ k: 'client-2' }));
    expect(await codeOf(replica.apply(BOOK, newer, 'newer'))).toBeUndefined();
    expect(await claimsOf(replica).catch(() => 'newer')).toBe('newer');
  });

  it('[ADM-22] a card is written under client ids of its own device, or under such as nobody claims', async () => {
    const replica = await openTestReplica(await memoryStorage());
    const card = (client: number, of: DeviceKey, by?: DeviceKey) =>
      updateOf(client, (doc) => {
        if (by !== undefined) doc.getMap(CLIENT_CLAIMS).set(String(client), claim(by, client));
        new Book(doc).putCard(cardOf(of));
      });
    expect(await codeOf(replica.apply(BOOK, card(1, ada, ada), 'peer'))).toBeUndefined();
    expect(await codeOf(replica.apply(BOOK, card(2, bob), 'old'))).toBeUndefined();
    expect(await codeOf(replica.apply(BOOK, card(3, ada, bob), 'mallory'))).toBe('update_forbidden_content');
    // Going on under somebody's id, as a hostile program would.
    const base = (await replica.encodeState(BOOK)).update;
    const forged = updateOf(1, (doc) => new Book(doc).putCard(cardOf(bob)), base);
    expect(await codeOf(replica.apply(BOOK, forged, 'mallory'))).toBe('update_forbidden_content');
    // Copies of single runs are collected by whoever takes them in.
    expect(await codeOf(replica.apply(COLLECTED, card(4, bob), 'peer'))).toBeUndefined();
  });

  it('[ACC-17] a contributor may not write under another device’s client id, which a member may forward', async () => {
    const replica = await openTestReplica(await memoryStorage());
    const runs = new RunIndex(replica);
    const devices = new Set([ada.id]);
    const contributor = new Gate({ ...grantOf('contributor'), devices }, runs);
    const send = (gate: Gate, update: Uint8Array): Promise<string | undefined> =>
      codeOf(gate.apply(replica, BOOK, update, 'peer'));
    const mine = updateOf(1, (doc) => {
      doc.getMap(CLIENT_CLAIMS).set('1', claim(ada, 1));
      new Book(doc).putCard(makeCard({ device: ada.id, run: 'mine' as RunId }));
    });
    expect(await send(contributor, mine)).toBeUndefined();
    const theirs = updateOf(2, (doc) => doc.getMap(CLIENT_CLAIMS).set('2', claim(bob, 2)));
    expect(await send(contributor, theirs)).toBe('forbidden');
    expect(await send(Gate.open('member'), theirs)).toBeUndefined();
    // An edit of its own run, which it may make, where the other's next change would have been.
    const base = (await replica.encodeState(BOOK)).update;
    const edit = makeTestEdit({ run: 'mine' as RunId });
    const occupying = updateOf(2, (doc) => new Book(doc).addEdit(edit), base);
    expect(await send(contributor, occupying)).toBe('forbidden');
    expect(
      await send(
        contributor,
        updateOf(77, (doc) => new Book(doc).addEdit(edit), base),
      ),
    ).toBeUndefined();
    expect(await send(Gate.open('member'), occupying)).toBeUndefined();
    const many = clientsUpdate(1_000, LIMITS.contributionClients + 1);
    expect(await send(contributor, many)).toBe('forbidden');
  });

  it('[ADM-23] bounds the client ids that an update brings and that a document has', async () => {
    const replica = await openTestReplica(await memoryStorage());
    const most = LIMITS.updateClients;
    expect(await codeOf(replica.apply(BOOK, clientsUpdate(1, most + 1), 'mallory'))).toBe('update_too_large');
    for (let at = 0; at < LIMITS.documentClients; at += most)
      expect(await codeOf(replica.apply(BOOK, clientsUpdate(1 + at, most), 'peer'))).toBeUndefined();
    expect(await codeOf(replica.apply(BOOK, clientsUpdate(900_000, 1), 'mallory'))).toBe('update_too_large');
    // Those who are there go on.
    const base = (await replica.encodeState(BOOK)).update;
    const next = updateOf(1, (doc) => new Book(doc).addEdit(makeTestEdit()), base);
    expect(await codeOf(replica.apply(BOOK, next, 'peer'))).toBeUndefined();
  }, 60_000);
});

/** An update in which each of so many clients says one small thing. */
function clientsUpdate(first: number, count: number): Uint8Array {
  const encoder = encoding.createEncoder();
  const record = encodeRecord({ k: 'mood' });
  encoding.writeVarUint(encoder, count);
  // As Yjs writes them: the highest first.
  for (let client = first + count - 1; client >= first; client--) {
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarUint(encoder, client);
    encoding.writeVarUint(encoder, 0);
    // An item with a key and byte content, in a map that is named.
    encoding.writeUint8(encoder, 32 | 3);
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarString(encoder, 'x-moods');
    encoding.writeVarString(encoder, `m${client}`);
    encoding.writeVarUint8Array(encoder, record);
  }
  encoding.writeVarUint(encoder, 0);
  return encoding.toUint8Array(encoder);
}
