import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { formatBytes, plural } from '../format.ts';
import { Progress } from '../terminal.ts';
import type { Say } from './doctor.ts';

interface Check {
  checked: number;
  bytes: number;
  corrupt: string[];
  next: string | null;
}

interface Incomplete {
  run: string;
  path: string;
  missing: string[];
}

interface Repair {
  repaired: string[];
  failed: string[];
  setAside: number;
  swept: number;
}

/** One request; each blob may have to be fetched. */
const BATCH = 16;
const REPAIR_MS = 60 * 60_000;
/** A list of chunks that came back names chunks that may be missing as well, and that is all the depth there is. */
const ROUNDS = 3;
const SHOWN = 10;

/** Reads and hashes every blob and looks for what is missing; with `repair` brings both back from other replicas. */
export async function checkBlobs(cli: Cli, client: Client, { ok, bad }: Say, repair: boolean): Promise<void> {
  const progress = new Progress(cli.terminal, 'Checking blobs …');
  try {
    const { checked, bytes, corrupt } = await checkAll(client, progress);
    let damaged = corrupt;
    let incomplete = await missing(client);
    if (repair) {
      const done = await repairAll(client, progress, damaged, incomplete);
      damaged = damaged.filter((digest) => !done.repaired.has(digest));
      incomplete = await missing(client);
      progress.end();
      const told = [
        ...(done.repaired.size === 0 ? [] : [`${plural(done.repaired.size, 'blob')} brought back`]),
        ...(done.setAside === 0 ? [] : [`${done.setAside} damaged moved to blobs/corrupt`]),
        ...(done.swept === 0 ? [] : [`${plural(done.swept, 'half-written file')} of crashes removed`]),
      ];
      ok('repair', told.length === 0 ? 'there was nothing to repair' : told.join(', '));
    }
    progress.end();
    const read = `${plural(checked, 'blob')}, ${formatBytes(bytes)}, every one read and hashed`;
    const advice = repair
      ? 'No joined relay that answers has them: look on the machines that made these runs, or in a backup of blobs/.'
      : 'fieldbook doctor --repair moves damaged ones aside and fetches them from a relay that has them.';
    if (damaged.length === 0) ok('blobs', read);
    else bad('blobs', `${read}; ${damaged.length} damaged: ${some(damaged)}`, advice);
    if (incomplete.length === 0) ok('files', 'everything that ought to be here is here');
    else {
      const what = incomplete.map((one) => `${one.path} of ${one.run} (${plural(one.missing.length, 'blob')})`);
      bad('files', `missing: ${some(what)}`, advice);
    }
  } finally {
    progress.end();
  }
}

async function repairAll(
  client: Client,
  progress: Progress,
  damaged: readonly string[],
  incomplete: readonly Incomplete[],
): Promise<{ repaired: Set<string>; setAside: number; swept: number }> {
  const repaired = new Set<string>();
  const asked = new Set<string>();
  let [setAside, swept] = [0, 0];
  let gaps = incomplete;
  for (let round = 0; round < ROUNDS; round++) {
    const named = new Set([...damaged, ...gaps.flatMap((one) => one.missing)]);
    const digests = [...named].filter((digest) => !asked.has(digest));
    // The first round is asked in any case: it also sweeps.
    if (round > 0 && digests.length === 0) break;
    for (let from = 0; from === 0 || from < digests.length; from += BATCH) {
      const batch = digests.slice(from, from + BATCH);
      for (const digest of batch) asked.add(digest);
      progress.update(`Repairing: ${from + batch.length} of ${plural(digests.length, 'blob')}`);
      const body = { digests: batch };
      const answer = await client.call<Repair>('POST', '/blobs/repair', { body, timeoutMs: REPAIR_MS });
      for (const digest of answer.repaired) repaired.add(digest);
      setAside += answer.setAside;
      swept += answer.swept;
    }
    gaps = await missing(client);
  }
  return { repaired, setAside, swept };
}

async function checkAll(client: Client, progress: Progress): Promise<Omit<Check, 'next'>> {
  const all = { checked: 0, bytes: 0, corrupt: [] as string[] };
  let after: string | null = null;
  do {
    const page: Check = await client.call<Check>('POST', '/blobs/check', { body: { after } });
    all.checked += page.checked;
    all.bytes += page.bytes;
    all.corrupt.push(...page.corrupt);
    after = page.next;
    // Digests are spread evenly: where the last one lies, is how far we are.
    const share = after === null ? 100 : Math.floor((Number.parseInt(after.slice(0, 6), 16) / 0x1000000) * 100);
    progress.update(`Checking blobs: ${share} %, ${formatBytes(all.bytes)}, ${all.corrupt.length} damaged`);
  } while (after !== null);
  return all;
}

async function missing(client: Client): Promise<Incomplete[]> {
  const call = { body: {}, timeoutMs: REPAIR_MS };
  return (await client.call<{ incomplete: Incomplete[] }>('POST', '/blobs/incomplete', call)).incomplete;
}

function some(texts: readonly string[]): string {
  const rest = texts.length - SHOWN;
  return `${texts.slice(0, SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
