import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bookName, monthOf, projectIdOf } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { makeTestEdit, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { Audit, readAudit } from '../audit.ts';
import { Invitations } from '../invitations.ts';
import { openBlobs, openDirectory, openLevel } from '../platform/data.ts';
import { Tokens } from '../tokens.ts';
import { createBackup } from './create.ts';
import { withLock } from './lock.ts';
import { restoreBackup } from './restore.ts';
import { verifyBackups } from './verify.ts';

const BOOK = bookName(projectIdOf('mnist'), monthOf(1_795_000_000_000));
const SPEC = { role: 'admin', projects: null, expires: null } as const;

/** A relay's data directory with a store, and the commands that an owner runs beside it. */
async function open() {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-restore-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [root, backups] = [join(folder, 'data'), join(folder, 'backups')];
  const data = await openDirectory(root);
  const random = new SeededRandom(7);
  const device = testDevice(random);
  const commit = async (): Promise<void> => {
    const replica = await openReplica({ storage: levelStorage(await openLevel(data.store)), device, random });
    await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
    await replica.close();
  };
  const tokens = await Tokens.open(data.tokens);
  const invitations = await Invitations.open(data.invitations);
  let clock = Date.now();
  const audit = new Audit(data.audit, { now: () => clock });
  return {
    folder,
    root,
    backups,
    data,
    tokens,
    invitations,
    token: (name: string) => tokens.create({ ...SPEC, name }),
    signIn: async (subject: string) => {
      const person = { issuer: 'https://id.example.org', subject, email: null };
      const { token } = await tokens.signIn(person, { ...SPEC, name: subject });
      audit.record('sign-in', { token: token.id, name: subject, by: 'oidc' });
      await audit.flush();
      return { person, id: token.id };
    },
    revoke: async (id: string) => {
      const { role, name } = await tokens.revoke(id);
      audit.record('token.revoked', { id, role, name, by: 'command line' });
      await audit.flush();
    },
    readmit: async (id: string) => {
      const { name } = await tokens.readmit(id);
      audit.record('person.readmitted', { id, name, by: 'command line' });
      await audit.flush();
    },
    /** Times of backups and of lines of the audit log differ from here on. */
    later: async (work: () => Promise<void>): Promise<void> => {
      clock = Math.max(clock, Date.now()) + 1_000;
      await work();
    },
    /** Of a commit of its own, so that it is another than the one before. */
    backup: async () => {
      await commit();
      return createBackup(root, backups);
    },
  };
}

const isIn = async (data: string, secret: string): Promise<boolean> =>
  (await (await Tokens.open(join(data, 'tokens'))).find(secret)) !== undefined;

describe('what a restore brings back', () => {
  it('[OPS-21] a token that was revoked stays so, by an audit log or a later backup, and no invitation comes back', async () => {
    const relay = await open();
    const [stays, logged, inLater] = [await relay.token('a'), await relay.token('b'), await relay.token('c')];
    const invited = await relay.invitations.create({
      ...SPEC,
      name: 'new',
      expires: Date.now() + 1e6,
      tokenLifetime: null,
    });
    const first = await relay.backup();
    await relay.invitations.redeem(invited.secret, 'laptop', relay.tokens);
    await relay.tokens.revoke(inLater.token.id);
    await relay.later(async () => {});
    const second = await relay.backup();
    await relay.later(() => relay.revoke(logged.token.id));

    // From the first: the second says that one is gone, and no log was at hand that says it of the other.
    const [one, two, three] = ['one', 'two', 'three'].map((name) => join(relay.folder, name)) as [
      string,
      string,
      string,
    ];
    const plain = await restoreBackup(relay.backups, one, { at: first.time });
    expect(plain.access).toEqual({
      inForce: 2,
      asOf: first.time,
      knownUntil: second.time,
      revoked: [inLater.token.id],
      invitations: 1,
    });
    expect(await isIn(one, stays.secret)).toBe(true);
    expect(await isIn(one, inLater.secret)).toBe(false);
    const again = await Invitations.open(join(one, 'invitations'));
    const tokens = await Tokens.open(join(one, 'tokens'));
    await expect(again.redeem(invited.secret, 'laptop', tokens)).rejects.toThrow('unknown, was used already');
    const told: unknown[] = [];
    for await (const entry of readAudit(join(one, 'audit.jsonl'))) told.push(entry);
    expect(told).toMatchObject([
      { event: 'restore', backup: first.name, tokens: 2, revoked: [inLater.token.id], invitations: 1, missing: 0 },
    ]);

    // By the log that survived, named by its file or its data directory.
    for (const [to, audit] of [
      [two, relay.root],
      [three, relay.data.audit],
    ] as const) {
      const { access } = await restoreBackup(relay.backups, to, { at: first.time, audit });
      expect(access.revoked.toSorted()).toEqual([inLater.token.id, logged.token.id].toSorted());
      expect(access.knownUntil).toBeGreaterThan(second.time);
      for (const { secret } of [logged, inLater]) expect(await isIn(to, secret)).toBe(false);
      expect(await isIn(to, stays.secret)).toBe(true);
    }
    await expect(
      restoreBackup(relay.backups, join(relay.folder, 'none'), { audit: join(relay.folder, 'nowhere') }),
    ).rejects.toThrow('no audit log');
  });

  it('[OPS-21] of two backups of one second and one commit the later one counts', async () => {
    const relay = await open();
    await relay.backup();
    for (;;) {
      const former = await relay.token('former');
      const one = await createBackup(relay.root, relay.backups);
      await relay.tokens.revoke(former.token.id);
      const two = await createBackup(relay.root, relay.backups);
      // The second was over in between.
      if (one.name !== two.name) continue;
      const to = join(relay.folder, 'to');
      await restoreBackup(relay.backups, to, {});
      expect(await isIn(to, former.secret)).toBe(false);
      return;
    }
  });

  it('[OPS-21] a person who was revoked since cannot sign in, and one who was readmitted since can', async () => {
    const relay = await open();
    const [ada, bob, eve, out] = [
      await relay.signIn('ada'),
      await relay.signIn('bob'),
      await relay.signIn('eve'),
      await relay.signIn('out'),
    ];
    await relay.revoke(out.id);
    const first = await relay.backup();
    const late = { person: { issuer: 'https://id.example.org', subject: 'late', email: null }, id: '' };
    await relay.later(async () => {
      await relay.revoke(ada.id);
      await relay.revoke(eve.id);
      await relay.readmit(eve.id);
      await relay.readmit(out.id);
      late.id = (await relay.signIn('late')).id;
      await relay.revoke(late.id);
    });
    const maySignIn = async (to: string): Promise<string[]> => {
      const tokens = await Tokens.open(join(to, 'tokens'));
      const may: string[] = [];
      for (const { person } of [ada, bob, eve, out, late])
        await tokens.signIn(person, { ...SPEC, name: null }).then(
          () => may.push(person.subject),
          () => undefined,
        );
      return may;
    };
    const byLog = join(relay.folder, 'by-log');
    await restoreBackup(relay.backups, byLog, { at: first.time, audit: relay.root });
    const revoked = await (await Tokens.open(join(byLog, 'tokens'))).revoked();
    expect(revoked.map(({ id }) => id).toSorted()).toEqual([ada.id, late.id].toSorted());
    expect(await maySignIn(byLog)).toEqual(['bob', 'eve', 'out']);
    await relay.backup();
    const byBackup = join(relay.folder, 'by-backup');
    await restoreBackup(relay.backups, byBackup, { at: first.time });
    expect(await maySignIn(byBackup)).toEqual(['bob', 'eve', 'out']);
  });

  it('[OPS-22] blobs that are missing or cut short are counted and named, and not put in place', async () => {
    const relay = await open();
    const store = openBlobs(relay.data.blobs);
    const digests: string[] = [];
    for (const text of ['one', 'two', 'three', 'four']) digests.push(await store.write(new TextEncoder().encode(text)));
    const { blobs } = await relay.backup();
    const pathOf = (root: string, digest: string): string => join(root, digest.slice(0, 2), digest);
    const whole = join(relay.folder, 'whole');
    expect((await restoreBackup(relay.backups, whole, {})).blobs).toEqual({ listed: 4, missing: 0, missed: [] });
    rmSync(join(whole), { recursive: true });
    rmSync(pathOf(join(relay.backups, 'blobs'), digests[1]!));
    // Another file than the relay's own, which it is linked to.
    rmSync(pathOf(join(relay.backups, 'blobs'), digests[2]!));
    writeFileSync(pathOf(join(relay.backups, 'blobs'), digests[2]!), 'thr');
    const damaged = join(relay.folder, 'damaged');
    const restored = await restoreBackup(relay.backups, damaged, {});
    expect(restored.blobs).toMatchObject({ listed: 4, missing: 2 });
    expect(restored.blobs.missed.toSorted()).toEqual([digests[1]!, digests[2]!].toSorted());
    expect(digests.map((digest) => existsSync(pathOf(join(damaged, 'blobs/sha256'), digest)))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    truncateSync(join(relay.backups, 'backups', blobs.file), 70);
    expect((await restoreBackup(relay.backups, join(relay.folder, 'unlisted'), {})).blobs.listed).toBeNull();
  });

  it('[OPS-20] restore and verify wait for nobody and do nothing while another command works there', async () => {
    const relay = await open();
    await relay.backup();
    const lock = join(relay.backups, 'lock');
    const to = join(relay.folder, 'to');
    writeFileSync(lock, JSON.stringify({ host: 'elsewhere', pid: 1 }));
    await expect(restoreBackup(relay.backups, to, {})).rejects.toThrow('Another command works on');
    await expect(verifyBackups(relay.backups, { quick: true })).rejects.toThrow('Another command works on');
    expect(readdirSync(relay.folder).toSorted()).toEqual(['backups', 'data']);
    rmSync(lock);
    await restoreBackup(relay.backups, to, {});
    expect((await verifyBackups(relay.backups, { quick: true })).problems).toEqual([]);
    expect(existsSync(lock)).toBe(false);
    // While they work the others do not.
    await withLock(relay.backups, async () => expect(relay.backup()).rejects.toThrow('Another command'), 'read');
  });

  // Where not even root makes a file.
  it.skipIf(!existsSync('/sys/kernel'))(
    '[OPS-20] who only reads a directory needs no lock where nothing can be written',
    async () => {
      await expect(withLock('/sys/kernel', async () => 'read', 'read')).resolves.toBe('read');
      await expect(withLock('/sys/kernel', async () => 'changed')).rejects.toThrow(/EACCES|EROFS|EPERM/);
    },
  );
});
