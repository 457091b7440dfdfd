import { FieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName, RunId } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { CLIENT_CLAIMS, decodeClientClaim, decodeEdit, parseCardKey } from '../record/index.ts';
import type { RecordChange, UpdateFacts } from '../replica/admission.ts';
import type { RunOwners } from './run-index.ts';

/** What a contributor is judged by. */
export interface Contribution {
  facts: UpdateFacts;
  /** The contributor's devices. */
  own: ReadonlySet<DeviceId>;
  /** Owners of a run before the update; undefined when no card of it has come. */
  ownersOf(run: RunId): RunOwners | undefined;
}

/**
 * Judges an update of a contributor as a whole. Its own are the runs that have a card of one of its devices; a card may be
 * added to a run that is its own or that nobody has, so that nobody makes another's run its own by adding to it. Throws
 * `forbidden` with what it may not, and `details.later` when cards that have not arrived may change the answer.
 */
export function judgeContribution({ facts, own, ownersOf }: Contribution): void {
  const { name, changes, text } = facts;
  const parsed = parseDocumentName(name);
  judgeClients(facts, own);
  const isOwn = (run: RunId): boolean => intersects(ownersOf(run)?.devices, own);
  const isFree = (run: RunId): boolean => ownersOf(run) === undefined || isOwn(run);
  switch (parsed.kind) {
    case 'book':
      judgeBook(name, changes, own, { isOwn, isFree, isKnown: (run) => ownersOf(run) !== undefined });
      return;
    case 'run': {
      if (!isFree(parsed.run)) throw refused(`changes of run ${parsed.run}, which is another device's`);
      for (const { map, key } of changes) {
        const [, , device] = key.split('/');
        const noted = key.startsWith('purged/') && isOwn(parsed.run);
        if (noted) continue;
        if (map !== 'entries' || !own.has(device as DeviceId))
          throw refused(`the entry "${key.slice(0, 120)}" of ${name}`);
      }
      return;
    }
    case 'note':
      if (text && !isFree(parsed.run)) throw refused(`the notes of run ${parsed.run}, which is another device's`);
      return;
    case 'workspace':
      for (const change of changes) judgeDirectory(change, own);
  }
}

/** Under its own devices' client ids, or under such as nobody claims: those of pages. */
function judgeClients({ name, changes, clients }: UpdateFacts, own: ReadonlySet<DeviceId>): void {
  let fresh = 0;
  for (const [client, by] of clients) {
    if (by.device !== undefined && !own.has(by.device))
      throw refused(`what client id ${client} of device ${by.device} writes in ${name}`);
    if (by.fresh) fresh += 1;
  }
  if (fresh > LIMITS.contributionClients)
    throw refused(`${fresh} new client ids of ${name}, where ${LIMITS.contributionClients} are enough`);
  for (const { map, after } of changes) {
    if (map !== CLIENT_CLAIMS) continue;
    const claim = after === undefined ? undefined : decodeClientClaim(after);
    if (claim === undefined || !own.has(claim.device)) throw refused(`a claim of another device in ${name}`);
  }
}

interface Owning {
  isOwn(run: RunId): boolean;
  isFree(run: RunId): boolean;
  isKnown(run: RunId): boolean;
}

function judgeBook(
  name: DocumentName,
  changes: readonly RecordChange[],
  own: ReadonlySet<DeviceId>,
  { isOwn, isFree, isKnown }: Owning,
): void {
  const added = new Set<RunId>();
  for (const { map, key } of changes) {
    if (map !== 'cards') continue;
    const card = parseCardKey(key);
    if (card === undefined || !own.has(card.device)) throw refused(`the card "${key.slice(0, 120)}" of ${name}`);
    if (!isFree(card.run)) throw refused(`a card of run ${card.run}, which is another device's`);
    added.add(card.run);
  }
  for (const { map, key, after } of changes) {
    if (map === 'cards' || map === CLIENT_CLAIMS) continue;
    const run = map === 'edits' && after !== undefined ? decodeEdit(after)?.run : undefined;
    if (run === undefined) throw refused(`"${key.slice(0, 120)}" of "${map}" in ${name}`);
    if (added.has(run) || isOwn(run)) continue;
    throw refused(`an edit of run ${run}, which is another device's`, !isKnown(run));
  }
}

/** A contributor lists the books and devices that its runs need, and changes nothing that is listed. */
function judgeDirectory({ map, key, before, after }: RecordChange, own: ReadonlySet<DeviceId>): void {
  if (map === CLIENT_CLAIMS) return;
  if (map === 'books' && (before === undefined || sameBytes(before, after))) return;
  if (map === 'devices' && own.has(key as DeviceId)) return;
  throw refused(`"${key.slice(0, 120)}" of "${map}" in the workspace`);
}

function refused(what: string, later = false): FieldbookError {
  return new FieldbookError('forbidden', `A contributor adds runs and changes its own; this holds ${what}.`, {
    details: { later },
  });
}

function intersects(some: ReadonlySet<DeviceId> | undefined, others: ReadonlySet<DeviceId>): boolean {
  for (const each of some ?? []) if (others.has(each)) return true;
  return false;
}

function sameBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return a.length === b?.length && a.every((byte, index) => byte === b[index]);
}
