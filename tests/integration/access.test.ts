import { createHash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import type { BlobDigest, DeviceId, DocumentName, ProjectId, RunId } from '@fieldbook/core';
import { bookName, monthOf, projectIdOf, runDocumentName, utf8 } from '@fieldbook/core';
import { Book, RunDocument } from '@fieldbook/core/documents';
import { entryOf, makeCard, makeTestEdit, testEditId } from '@fieldbook/core/testing';
import { Box } from '../fixtures/box.ts';
import { send } from '../fixtures/agent.ts';
import { enterRoom } from '../fixtures/room.ts';
import { Relay } from '../scaffold/machine.ts';

const [VISION, SPEECH] = [projectIdOf('vision'), projectIdOf('speech')];
const MONTH = monthOf(1_768_478_400_000);
const bookOf = (project: ProjectId): DocumentName => bookName(project, MONTH);
const BOOK = bookOf(VISION);

/** A box that has joined with a token and put runs of its device into a project. */
async function boxWith(relay: Relay, token: string, runs: readonly string[], project = VISION): Promise<Box> {
  const box = await Box.open();
  await box.join(relay.url, token);
  await addCards(box, runs, project);
  await box.settled();
  return box;
}

function addCards(box: Box, runs: readonly string[], project = VISION): Promise<unknown> {
  return box.replica.transact(bookOf(project), (doc) => {
    for (const run of runs) new Book(doc).putCard(makeCard({ run: run as RunId, device: box.key.id, project }));
  });
}

let minted = 40_000;
const editOf = (run: string, device?: DeviceId) =>
  makeTestEdit({ id: testEditId((minted += 1)), run: run as RunId, ...(device === undefined ? {} : { device }) });

const rename = (relay: Relay, token: string, run: string) =>
  relay.api<{ error?: { code: string; message: string } }>(token, 'POST', `/runs/${run}/edits`, [
    { field: 'name', op: 'set', value: `by ${minted++}` },
  ]);

/** How a room ends for who adds an edit of a run in it, or `kept` when others get it. */
async function editInRoom(relay: Relay, token: string, other: string, run: string): Promise<string> {
  const [room, witness] = [enterRoom(relay.url, BOOK, { token }), enterRoom(relay.url, BOOK, { token: other })];
  await Promise.all([room.synced(), witness.synced()]);
  const edit = editOf(run);
  new Book(room.doc).addEdit(edit);
  const kept = witness.until((doc) => doc.getMap('edits').has(edit.id)).then(() => 'kept');
  return Promise.race([kept, room.closed.then(({ code, reason }) => `${code} ${reason}`)]);
}

describe('what each role may do at a relay', () => {
  it('[ACC-13] [ACC-14] over replication, in rooms and over HTTP', async () => {
    const relay = await new Relay().up();
    const roles = ['admin', 'member', 'contributor', 'viewer'] as const;
    const tokens = await Promise.all(roles.map((role) => relay.token(role, role)));
    const [admin, member, contributor, viewer] = tokens as [string, string, string, string];
    await boxWith(relay, member, ['theirs']);
    const box = await boxWith(relay, contributor, ['mine']);

    const status: [string, number][] = [];
    for (const [index, token] of tokens.entries())
      for (const run of ['theirs', 'mine'])
        status.push([`${roles[index]} ${run}`, (await rename(relay, token, run)).status]);
    expect(Object.fromEntries(status)).toEqual({
      'admin theirs': 200,
      'admin mine': 200,
      'member theirs': 200,
      'member mine': 200,
      'contributor theirs': 403,
      'contributor mine': 200,
      'viewer theirs': 403,
      'viewer mine': 403,
    });
    const refused = await rename(relay, contributor, 'theirs');
    expect(refused.body.error).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining("another device's"),
    });
    expect((await relay.api<{ access: string }>(contributor, 'GET', '/device')).body.access).toBe('contributor');

    expect(await editInRoom(relay, admin, member, 'mine')).toBe('kept');
    expect(await editInRoom(relay, contributor, member, 'mine')).toBe('kept');
    expect(await editInRoom(relay, contributor, member, 'theirs')).toMatch(/^4403 A contributor .*another device's/);
    expect(await editInRoom(relay, viewer, member, 'mine')).toBe('4403 This token may only read.');

    // Over replication: one document is refused and named, the rest goes on.
    const stray = bookName(VISION, monthOf(1_795_000_000_000));
    await box.replica.transact(stray, (doc) => new Book(doc).addEdit(editOf('theirs', box.key.id)));
    await box.until(() => box.client!.status().then(({ problem }) => problem?.message.includes(stray) === true));
    const last = editOf('mine', box.key.id);
    await box.replica.transact(BOOK, (doc) => new Book(doc).addEdit(last));
    const history = async (): Promise<string[]> => {
      const { body } = await relay.api<{ edits: { id: string }[] }>(viewer, 'GET', '/runs/mine/history');
      return body.edits.map(({ id }) => id);
    };
    await expect.poll(history).toContain(last.id);
    const mine = await box.edits(BOOK);
    const looker = await Box.open();
    await looker.join(relay.url, viewer);
    await looker.settled();
    expect(await looker.edits(BOOK)).toEqual(mine);
    await looker.addEdits(1, BOOK);
    await looker.until(async () => (await looker.client!.status()).readOnly);
    expect((await looker.client!.status()).toPush).toBeGreaterThan(0);

    // A contributor's own runs stay its own over a restart, for a browser too that has no device.
    await relay.down();
    await relay.up();
    expect((await rename(relay, contributor, 'mine')).status).toBe(200);
    expect((await rename(relay, contributor, 'theirs')).status).toBe(403);
  });

  it('[ACC-14] a contributor’s bundle is judged like everything else it sends', async () => {
    const [from, to] = [await new Relay().up(), await new Relay().up()];
    const [there, member] = await Promise.all([from.token('member', 'ada'), to.token('member', 'ada')]);
    const contributor = await to.token('contributor', 'bob');
    await boxWith(from, there, ['one', 'two']);
    const bundle = await fetch(`${from.url}/api/v1/bundles?project=vision`, {
      headers: { authorization: `Bearer ${there}` },
    });
    const body = Buffer.from(await bundle.arrayBuffer());
    const post = async (
      token: string,
    ): Promise<{ changed: number; added: number; refused: { name: string; code: string }[] }> => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/vnd.fieldbook.bundle' };
      const response = await fetch(`${to.url}/api/v1/bundles`, { method: 'POST', headers, body });
      return (await response.json()) as never;
    };
    const judged = await post(contributor);
    expect(judged.refused).toMatchObject([{ name: BOOK, code: 'forbidden' }]);
    expect((await to.api(member, 'GET', '/runs/one')).status).toBe(404);
    expect((await post(member)).refused).toEqual([]);
    expect((await to.api(member, 'GET', '/runs/one')).status).toBe(200);
  });
});

describe('a token of some projects', () => {
  it('[ACC-15] sees those and nothing else, over replication, in rooms and over HTTP', async () => {
    const relay = await new Relay().up();
    const member = await relay.token('member', 'ada');
    const scoped = await relay.token('member', 'bob', '--project', 'Speech');
    const box = await boxWith(relay, member, ['seen'], VISION);
    await addCards(box, ['said'], SPEECH);
    for (const run of ['seen', 'said'])
      await box.replica.transact(
        runDocumentName(run as RunId),
        (doc) => void doc.getMap('entries').set('x', new Uint8Array([1, 0x76, 0])),
      );
    await box.settled();
    const listed = await relay.api<{ projects: { id: string }[] }>(scoped, 'GET', '/projects');
    expect(listed.body.projects.map(({ id }) => id)).toEqual(['speech']);
    const authorized = { headers: { authorization: `Bearer ${scoped}` } };
    const statuses = [];
    for (const path of [
      '/projects/speech/runs',
      '/projects/vision/runs',
      '/projects/vision/digest',
      '/runs/said',
      '/runs/seen',
      '/runs/seen/history',
      '/runs/seen/files',
      '/runs/seen/series?metric=loss',
      '/documents/workspace',
      `/documents/${bookOf(SPEECH)}`,
      `/documents/${BOOK}`,
      '/documents/run/said',
      '/documents/run/seen',
      '/documents/run/unknown',
      '/bundles/contents',
      '/bundles/contents?project=speech',
      '/bundles/contents?project=vision',
      '/health',
    ])
      statuses.push(`${(await send(relay.url, 'GET', `/api/v1${path}`, authorized)).status} ${path}`);
    expect(statuses).toEqual([
      '200 /projects/speech/runs',
      '404 /projects/vision/runs',
      '404 /projects/vision/digest',
      '200 /runs/said',
      '404 /runs/seen',
      '404 /runs/seen/history',
      '404 /runs/seen/files',
      '404 /runs/seen/series?metric=loss',
      '200 /documents/workspace',
      `200 /documents/${bookOf(SPEECH)}`,
      `403 /documents/${BOOK}`,
      '200 /documents/run/said',
      '403 /documents/run/seen',
      '403 /documents/run/unknown',
      '403 /bundles/contents',
      '200 /bundles/contents?project=speech',
      '404 /bundles/contents?project=vision',
      '403 /health',
    ]);
    expect((await rename(relay, scoped, 'said')).status).toBe(200);
    expect((await rename(relay, scoped, 'seen')).status).toBe(404);

    expect((await enterRoom(relay.url, BOOK, { token: scoped }).closed).code).toBe(4403);
    const room = enterRoom(relay.url, 'run/said', { token: scoped });
    await room.synced();
    expect(room.doc.getMap('entries').size).toBe(1);

    const other = await Box.open();
    await other.join(relay.url, scoped);
    await other.settled();
    const names = [];
    for await (const { name } of other.replica.list()) names.push(name);
    expect(names).toEqual([bookOf(SPEECH), 'run/said', 'workspace']);
    await addCards(box, ['more'], VISION);
    await addCards(box, ['again'], SPEECH);
    await other.until(() => other.replica.read(bookOf(SPEECH), (doc) => doc.getMap('cards').size === 2));
    await other.settled();
    expect(await other.replica.info(BOOK)).toBeUndefined();
    const events = await send(relay.url, 'GET', '/api/v1/sync', authorized);
    expect(JSON.stringify(events.json)).not.toContain('vision');
  });

  it('[ACC-72] [ACC-70] [FIL-16] neither opens nor empties a run of others by a card, a purge, or the names of its blobs', async () => {
    const relay = await new Relay().up();
    const member = await relay.token('member', 'ada');
    const scoped = await relay.token('member', 'bob', '--project', 'speech');
    const box = await boxWith(relay, member, ['secret'], VISION);
    const thief = await Box.open();
    await thief.join(relay.url, scoped);
    const blob = async (text: string): Promise<BlobDigest> => {
      const bytes = utf8(text);
      const digest = createHash('sha256').update(bytes).digest('hex') as BlobDigest;
      const headers = { authorization: `Bearer ${member}` };
      const { status } = await fetch(`${relay.url}/api/v1/blobs/${digest}`, {
        method: 'PUT',
        headers,
        body: Buffer.from(bytes),
      });
      expect(status).toBeLessThan(300);
      return digest;
    };
    const isThere = async (digest: BlobDigest): Promise<boolean> =>
      (await send(relay.url, 'HEAD', `/api/v1/blobs/${digest}`, { headers: { authorization: `Bearer ${member}` } }))
        .status === 200;
    const names = (of: Box, run: string, ...digests: BlobDigest[]): Promise<unknown> =>
      of.replica.transact(runDocumentName(run as RunId), (doc) => {
        for (const digest of digests)
          new RunDocument(doc).putSegment({ ...entryOf.segment(digest), device: of.key.id });
      });
    const [points, own] = [await blob('points of the secret run'), await blob('points of the thief')];
    await names(box, 'secret', points);
    await box.settled();

    const seen = async (): Promise<number[]> => {
      const paths = ['/runs/secret', '/documents/run%2Fsecret', '/runs/own'];
      const answers = paths.map((path) =>
        send(relay.url, 'GET', `/api/v1${path}`, { headers: { authorization: `Bearer ${scoped}` } }),
      );
      return (await Promise.all(answers)).map(({ status }) => status);
    };
    expect(await seen()).toEqual([404, 403, 404]);
    await addCards(thief, ['secret', 'own'], SPEECH);
    await names(thief, 'own', own, points);
    await thief.settled();
    expect(await seen()).toEqual([404, 403, 200]);
    expect((await enterRoom(relay.url, 'run/secret', { token: scoped }).closed).code).toBe(4403);

    await thief.replica.transact(bookOf(SPEECH), (doc) => {
      for (const run of ['secret', 'own'])
        new Book(doc).addEdit({ ...editOf(run, thief.key.id), field: 'purge', op: 'set', value: true });
    });
    await thief.settled();
    await vi.waitFor(async () => expect(await isThere(own)).toBe(false), { timeout: 10_000, interval: 25 });
    expect(await isThere(points)).toBe(true);
    await relay.down();
    await relay.up();
    expect(await seen()).toEqual([404, 403, 404]);
  });
});
