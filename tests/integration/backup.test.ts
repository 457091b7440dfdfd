import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { DocumentName } from '@fieldbook/core';
import { bookName, monthOf, projectIdOf, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { makeCard, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { Tokens } from '@fieldbook/relay';
import { BOOK, Box } from '../fixtures/box.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import type { Program } from '../scaffold/program.ts';
import { startProgram } from '../scaffold/program.ts';

const OTHER: DocumentName = bookName(projectIdOf('cifar'), monthOf(1_795_000_000_000));

interface Running {
  url: string;
  program: Program;
}

async function serve(data: string): Promise<Running> {
  const program = startProgram('fieldbook-relay', ['serve', '--port', '0', '--data', data], {
    FIELDBOOK_HOME: data,
    FIELDBOOK_RELAY_ARCHIVE_KEEP: '30 d',
  });
  const [, url] = await program.says(/running at (http:\S+)/);
  return { url: url!, program };
}

/** Runs a command to its end; what it says as JSON. */
async function relay<T>(home: string, code: number, ...args: string[]): Promise<T> {
  const program = startProgram('fieldbook-relay', [...args, '--json'], { FIELDBOOK_HOME: home });
  const ended = await program.ended;
  expect([args, ended.code, ended.code === code ? '' : program.output()]).toEqual([args, code, '']);
  return (code === 0 || program.output().startsWith('{') ? JSON.parse(program.output()) : program.output()) as T;
}

interface Manifest {
  name: string;
  seq: number;
  snapshot: { file: string };
  blobs: { count: number; bytes: number };
  segments: { file: string }[];
}

/** What a replica has of a document: its records, and how far each client id. */
function stateOf(box: Box, name: DocumentName): Promise<unknown> {
  return box.replica.read(name, (doc) => ({
    records: ['edits', 'cards', 'devices', 'projects'].map((map) =>
      [...doc.getMap(map)]
        .map(([key, value]) => [key, Buffer.from(value as Uint8Array).toString('hex')])
        .sort((a, b) => (a[0]! < b[0]! ? -1 : 1)),
    ),
    clocks: [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort((a, b) => a[0] - b[0]),
  }));
}

/** The edits of a store that nobody has open. */
async function editsIn(path: string): Promise<string[]> {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(path, { keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  const random = new SeededRandom(1);
  const replica = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
  const edits: string[] = [];
  for (const name of [BOOK, OTHER])
    edits.push(...(await replica.read(name, (doc) => [...new Book(doc).edits()].map(([id]) => id))));
  await replica.close();
  return edits.toSorted((a, b) => (a < b ? -1 : 1));
}

describe('backup and restore of a relay', () => {
  it('[OPS-8] [OPS-9] [OPS-10] [OPS-11] a relay that is lost comes back from its backups and its peers, as of any moment', async () => {
    const folder = emptyFolder('backup');
    const [data, backups] = [join(folder, 'data'), join(folder, 'backups')];
    let running = await serve(data);
    const { secret: token } = await (
      await Tokens.open(join(data, 'tokens'))
    ).create({ role: 'member', projects: null, name: 'ada', expires: null });
    const [ada, bob] = [await Box.open(), await Box.open()];
    const join2 = async (): Promise<void> => {
      await Promise.all([ada, bob].map((box) => box.leave()));
      for (const box of [ada, bob]) await box.join(running.url, token);
    };
    await join2();
    // What the relay itself writes, under its own client id in the book.
    await ada.replica.transact(BOOK, (doc) =>
      new Book(doc).putCard(makeCard({ device: ada.key.id, created: 1_795_000_000_000 })),
    );
    await ada.settled();
    const { run, project } = makeCard();
    const rename = async (name: string): Promise<string> => {
      for (;;) {
        const response = await fetch(`${running.url}/api/v1/runs/${run}/edits?project=${project}`, {
          method: 'POST',
          body: JSON.stringify([{ field: 'name', op: 'set', value: name }]),
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        });
        // The table of runs follows the store a moment later.
        if (response.status === 404) continue;
        const { edits } = (await response.json()) as { edits: [{ id: string }] };
        const [{ id }] = edits;
        await ada.until(async () => (await ada.edits()).includes(id));
        return id;
      }
    };
    const named = await rename('of the first hour');
    const blob = Buffer.from('bytes of a segment');
    const digest = await ada.blobs.write(new Uint8Array(blob));
    const put = await fetch(`${running.url}/api/v1/blobs/${digest}`, {
      method: 'PUT',
      body: blob,
      headers: { authorization: `Bearer ${token}` },
    });
    expect(put.status).toBeLessThan(300);
    const first = [named, ...(await ada.addEdits(20)), ...(await bob.addEdits(5, OTHER))];
    await Promise.all([ada.settled(), bob.settled()]);

    // A backup while both write: some of it is in, and what is in is whole.
    let isDone = false;
    const made = relay<Manifest>(folder, 0, 'backup', 'create', '--data', data, '--to', backups).finally(
      () => (isDone = true),
    );
    const meanwhile: string[] = [];
    while (!isDone) {
      meanwhile.push(...(await ada.addEdits(1)), ...(await bob.addEdits(1, OTHER)));
      await Promise.all([ada.settled(), bob.settled()]);
    }
    const one = await made;
    expect(one.seq).toBeGreaterThan(0);
    expect(one.blobs).toMatchObject({ count: 1, bytes: blob.length });

    // Acknowledged, and a moment later the process is gone: the archive has not synced yet.
    const good = [...first, ...meanwhile, ...(await ada.addEdits(7)), ...(await bob.addEdits(3, OTHER))];
    await Promise.all([ada.settled(), bob.settled()]);
    await running.program.stop('SIGKILL');
    running = await serve(data);
    await join2();
    await Promise.all([ada.settled(), bob.settled()]);
    const after = await ada.addEdits(2);
    await ada.settled();
    good.push(...after);
    const clean = Date.now();
    while (Date.now() <= clean + 2) await new Promise((resolve) => setTimeout(resolve, 1));
    const bad = await bob.addEdits(4);
    await Promise.all([ada.settled(), bob.settled()]);
    const two = await relay<Manifest>(folder, 0, 'backup', 'create', '--data', data, '--to', backups);
    expect(two.segments.length).toBeGreaterThan(one.segments.length);
    expect(readdirSync(join(backups, 'blobs', digest.slice(0, 2)))).toEqual([digest]);
    // Never backed up: only the peers have it.
    const late = [await rename('of an hour that no backup has'), ...(await ada.addEdits(6))];
    await Promise.all([ada.settled(), bob.settled()]);
    await running.program.stop('SIGKILL');
    const book = await stateOf(ada, BOOK);
    rmSync(data, { recursive: true });
    await Promise.all([ada.leave(), bob.leave()]);

    expect(await relay(folder, 0, 'backup', 'verify', '--from', backups)).toMatchObject({
      backups: 2,
      blobs: 1,
      problems: [],
    });

    // As it was before the bad edits, for who has nothing else.
    const then = join(folder, 'then');
    await relay(folder, 0, 'restore', '--from', backups, '--data', then, '--at', new Date(clean).toISOString());
    running = await serve(then);
    const looker = await Box.open();
    await looker.join(running.url, token);
    await looker.until(async () => (await looker.edits()).length + (await looker.edits(OTHER)).length === good.length);
    await looker.settled();
    expect([...(await looker.edits()), ...(await looker.edits(OTHER))].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      good.toSorted((a, b) => (a < b ? -1 : 1)),
    );
    expect(
      await (
        await fetch(`${running.url}/api/v1/blobs/${digest}`, { headers: { authorization: `Bearer ${token}` } })
      ).text(),
    ).toBe(blob.toString());
    await looker.leave();
    await running.program.stop();

    // By the number of a commit: the snapshot alone.
    const seqs = join(folder, 'seq');
    expect(
      await relay(folder, 0, 'restore', '--from', backups, '--data', seqs, '--seq', String(one.seq)),
    ).toMatchObject({ seq: one.seq, replayed: 0 });

    // All of it, and what came after it from the peers.
    const again = join(folder, 'again');
    await relay(folder, 0, 'restore', '--from', backups, '--data', again);
    running = await serve(again);
    expect(running.program.output()).toContain('store.copy_detected');
    await join2();
    late.push(await rename('of the new relay'));
    const carol = await Box.open();
    await carol.join(running.url, token);
    const everything = good.length + bad.length + late.length;
    await carol.until(async () => (await carol.edits()).length + (await carol.edits(OTHER)).length === everything);
    await Promise.all([ada, bob, carol].map((box) => box.settled()));
    for (const name of [BOOK, OTHER, WORKSPACE_DOCUMENT]) {
      const [a, b, c] = await Promise.all([ada, bob, carol].map((box) => stateOf(box, name)));
      expect(b).toEqual(a);
      expect(c).toEqual(a);
    }
    // The restored relay said who it is under a client id of its own.
    const clocks = (state: unknown): Map<number, number> => new Map((state as { clocks: [number, number][] }).clocks);
    const [before, now] = [clocks(book), clocks(await stateOf(ada, BOOK))];
    // Had it gone on under the old one, a clock that the peers have would now have two contents.
    for (const [id, clock] of before) expect(now.get(id)).toBe(clock);
    expect(now.size).toBeGreaterThan(before.size);
    await running.program.stop();

    // The archive alone goes from the first backup to the end of the second: over the kill, too.
    const chain = join(folder, 'chain');
    cpSync(backups, chain, { recursive: true });
    rmSync(join(chain, 'backups', `${two.name}.json`));
    const whole = join(folder, 'whole');
    expect(await relay(folder, 0, 'restore', '--from', chain, '--data', whole)).toMatchObject({ seq: two.seq });

    expect(await editsIn(join(whole, 'store'))).toEqual([...good, ...bad].toSorted((a, b) => (a < b ? -1 : 1)));

    // A segment that is missing, a flipped bit.
    const archive = join(chain, 'archive', readdirSync(join(chain, 'archive'))[0]!);
    const segment = join(archive, two.segments.at(-2)!.file);
    rmSync(segment);
    const nothing = await relay<object>(folder, 1, 'restore', '--from', chain, '--data', join(folder, 'none'));
    expect(JSON.stringify(nothing)).toContain('lacks segment');
    expect(await relay(folder, 1, 'backup', 'verify', '--from', chain)).toMatchObject({
      problems: [expect.stringContaining('lacks segment')],
    });
    const snapshot = join(backups, 'snapshots', two.snapshot.file);
    const flipped = readFileSync(snapshot);
    flipped[flipped.length >> 1]! ^= 4;
    writeFileSync(snapshot, flipped);
    writeFileSync(join(backups, 'blobs', digest.slice(0, 2), digest), 'other bytes of the same');
    const verified = await relay<{ problems: string[] }>(folder, 1, 'backup', 'verify', '--from', backups);
    expect(verified.problems.join('\n')).toMatch(/is damaged at byte|is not the snapshot/);
    expect(verified.problems.join('\n')).toContain(`Blob ${digest} has other bytes`);
  });

  it('[OPS-21] [OPS-22] a relay that is restored lets in nobody who was revoked, and the command says what is not there', async () => {
    const folder = emptyFolder('restore');
    const [data, backups, again] = [join(folder, 'data'), join(folder, 'backups'), join(folder, 'again')];
    let running = await serve(data);
    const tokens = await Tokens.open(join(data, 'tokens'));
    const [owner, former] = [
      await tokens.create({ role: 'admin', projects: null, name: 'owner', expires: null }),
      await tokens.create({ role: 'admin', projects: null, name: 'former', expires: null }),
    ];
    const call = async (method: string, path: string, secret: string, body?: unknown): Promise<Response> =>
      fetch(`${running.url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const bytes = Buffer.from('a blob that the backup loses');
    const digest = createHash('sha256').update(bytes).digest('hex');
    const put = await fetch(`${running.url}/api/v1/blobs/${digest}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${owner.secret}` },
      body: bytes,
    });
    expect(put.status).toBeLessThan(300);
    await (await call('POST', '/invitations', owner.secret, { role: 'member' })).text();
    await relay(folder, 0, 'backup', 'create', '--data', data, '--to', backups);
    expect((await call('DELETE', `/tokens/${former.token.id}`, owner.secret)).status).toBe(200);
    expect((await call('GET', '/tokens', former.secret)).status).toBe(401);
    await running.program.stop();
    rmSync(join(backups, 'blobs', digest.slice(0, 2), digest));

    const restore = startProgram(
      'fieldbook-relay',
      ['restore', '--from', backups, '--data', again, '--audit', join(data, 'audit.jsonl')],
      { FIELDBOOK_HOME: folder },
    );
    expect((await restore.ended).code).toBe(1);
    const said = restore.output();
    expect(said).toContain('Tokens: 1 in force, as of');
    expect(said).toContain(`Left out, being revoked since: ${former.token.id}.`);
    expect(said).toMatch(/What was revoked after \S+Z is not known here/);
    expect(said).toContain('Left out: 1 invitations');
    expect(said).toContain(`1 of 1 blobs that the backup lists are missing in ${backups} or cut short:\n  ${digest}\n`);
    running = await serve(again);
    expect((await call('GET', '/tokens', former.secret)).status).toBe(401);
    expect((await call('GET', '/tokens', owner.secret)).status).toBe(200);
    expect(await (await call('GET', '/invitations', owner.secret)).json()).toEqual({ invitations: [] });
    await running.program.stop();
  });
});
