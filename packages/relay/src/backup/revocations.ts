import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import type { AuditEntry } from '../audit.ts';
import { readAudit } from '../audit.ts';
import { syncDirectory, writeAtomically } from '../platform/files.ts';
import type { Person, Revoked } from '../tokens.ts';
import { Tokens } from '../tokens.ts';
import type { Manifest } from './manifest.ts';
import { LAYOUT } from './manifest.ts';

/** Who a restored relay lets in. */
export interface RestoredAccess {
  /** Tokens that let somebody in. */
  inForce: number;
  /** The tokens are those of this moment, ms since the epoch. */
  asOf: number;
  /** Until when it is known what was revoked, ms since the epoch: the last thing that a later backup or an audit log says. */
  knownUntil: number;
  /** Ids of tokens that the backup has and that were revoked after it. */
  revoked: string[];
  /** Invitations that the backup has; none is brought back. */
  invitations: number;
}

/** What somebody's audit log lacks of a person whom no backup has: it is by the id that they are kept out. */
const UNKNOWN: Person = { issuer: 'unknown', subject: 'unknown', email: null };

/**
 * Takes out of the state of a backup, which lies in `data`, what was taken back since, as far as later backups (oldest first) and audit
 * logs say: a token that any later one lacks is revoked, and a person stays as was said last. No invitation stays: which of them were
 * used since is not known for sure, and another is quickly made.
 */
export async function takeBackAccess(options: {
  data: string;
  from: string;
  chosen: Manifest;
  later: readonly Manifest[];
  /** Audit logs, each the file that was being written. */
  audits: readonly string[];
}): Promise<RestoredAccess> {
  const { data, from, chosen, later, audits } = options;
  const [directory, invitations] = [join(data, 'tokens'), join(data, 'invitations')];
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const open = (await readdir(invitations).catch(() => [] as string[])).filter((name) => name.endsWith('.json')).length;
  await rm(invitations, { recursive: true, force: true });
  const tokens = await Tokens.open(directory);
  const before = tokens.list();
  const people = new Map<string, Person>();
  const gone = new Set<string>();
  let marks = await tokens.revoked();
  const learn = (known: readonly { id: string; person?: Person }[]): void => {
    for (const { id, person } of known) if (person !== undefined) people.set(id, person);
  };
  learn(before);
  learn(marks);
  for (const { name } of later) {
    const path = join(from, LAYOUT.state, name, 'tokens');
    // A relay that never ran has none.
    if (before.length === 0 && !(await isThere(path))) continue;
    const then = await Tokens.open(await mustBeThere(path));
    const there = new Set(then.list().map(({ id }) => id));
    for (const { id } of before) if (!there.has(id)) gone.add(id);
    marks = await then.revoked();
    learn(then.list());
    learn(marks);
  }
  const since = later.at(-1)?.time ?? chosen.time;
  const out = new Map(marks.map((mark) => [mark.id, mark]));
  let knownUntil = since;
  for (const entry of await entriesOf(audits)) {
    const [time, id] = [Date.parse(entry.time), String(entry['id'])];
    knownUntil = Math.max(knownUntil, time);
    if (entry.event === 'sign-in' && entry['by'] === 'oidc' && !people.has(String(entry['token'])))
      people.set(String(entry['token']), UNKNOWN);
    const person = people.get(id);
    // The id of a token is never used again; a person keeps theirs, and of what was said of one before this the marks know.
    if (entry.event === 'token.revoked' && (person === undefined || time >= since)) gone.add(id);
    if (person === undefined || time < since) continue;
    const name = typeof entry['name'] === 'string' ? entry['name'] : null;
    if (entry.event === 'token.revoked') out.set(id, { id, name, person, revoked: time });
    if (entry.event === 'person.readmitted') out.delete(id);
  }
  await keepOut(directory, out);
  const revoked = before.map(({ id }) => id).filter((id) => gone.has(id) || out.has(id));
  for (const id of revoked) await rm(join(directory, `${id}.json`));
  await syncDirectory(directory);
  const left = await Tokens.open(directory);
  const inForce = left.list().filter((token) => !left.isOver(token)).length;
  return { inForce, asOf: chosen.time, knownUntil, revoked, invitations: open };
}

/** Makes the marks of persons who may not sign in exactly these. One that cannot be read stays. */
async function keepOut(directory: string, out: ReadonlyMap<string, Revoked>): Promise<void> {
  for (const { id } of await (await Tokens.open(directory)).revoked())
    if (!out.has(id)) await rm(join(directory, `${id}.revoked`));
  for (const [id, mark] of out)
    if (/^[0-9a-z]{8}$/.test(id))
      await writeAtomically(join(directory, `${id}.revoked`), `${JSON.stringify(mark, null, 2)}\n`);
}

async function mustBeThere(directory: string): Promise<string> {
  if (await isThere(directory)) return directory;
  // Going on would let in whoever was revoked by then.
  throw new FieldbookError(
    'storage_failed',
    `${directory} is missing: which tokens were revoked by then is not known.`,
  );
}

async function isThere(directory: string): Promise<boolean> {
  return (await stat(directory).catch(() => undefined))?.isDirectory() === true;
}

/** What audit logs say, each line once, in the order of time. */
async function entriesOf(audits: readonly string[]): Promise<AuditEntry[]> {
  const entries = new Map<string, AuditEntry>();
  for (const path of audits)
    for await (const entry of readAudit(path))
      if (RELEVANT.has(entry.event) && Number.isFinite(Date.parse(entry.time)))
        entries.set(JSON.stringify(entry), entry);
  return [...entries.values()].sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

const RELEVANT: ReadonlySet<string> = new Set(['token.revoked', 'person.readmitted', 'sign-in']);
