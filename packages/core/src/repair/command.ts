import * as Y from 'yjs';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { Library } from '../library/index.ts';
import type { Rebuilt, RebuildRequest, Replica, WholeDocument } from '../replica/replica.ts';
import { rebuildings } from './generation.ts';
import type { RecordChange, Without } from './rebuild.ts';

/** How `--without` is written. */
export const WITHOUT_ABOUT =
  'client:ID, device:ID, token:ID or commits:FIRST-LAST, as "--log" shows them; may be given several times';

/** Reads `--without` values. Throws `invalid_argument`. */
export function parseWithout(texts: readonly string[]): Without {
  const without = { clients: [] as number[], devices: [] as string[], tokens: [] as string[] };
  let seqs: [number, number] | undefined;
  for (const text of texts) {
    const [kind, value] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)];
    const range = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(value);
    if (kind === 'client' && range !== null && range[2] === undefined) without.clients.push(Number(value));
    else if (kind === 'device' && value !== '') without.devices.push(value);
    else if (kind === 'token' && value !== '') without.tokens.push(value);
    else if (kind === 'commits' && range !== null && seqs === undefined)
      seqs = [Number(range[1]), Number(range[2] ?? range[1])];
    else throw new FieldbookError('invalid_argument', `--without ${text.slice(0, 80)} is none of ${WITHOUT_ABOUT}.`);
  }
  return { ...without, ...(seqs !== undefined && { seqs }) };
}

/** What a repair command was asked. */
export interface RepairOptions {
  without?: readonly string[];
  /** Where the document is to be taken from, or `aside`. */
  from?: string;
  log?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

export interface CompactOptions {
  rebuild?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

/** What a program gives its repair commands. */
export interface RepairPorts {
  replica: Replica;
  now(): number;
  /** A time for people. */
  inWords(ms: number): string;
  print(line: string): void;
  /** The document as `--from` has it. */
  elsewhere(from: string, name: DocumentName): Promise<WholeDocument>;
  /** Something was changed: plain facts for an audit log. */
  done(fields: Readonly<Record<string, string | number | readonly string[]>>): void;
}

/** Shows a document's log, rebuilds it without some of it, or takes it from elsewhere. Throws what these throw, and `invalid_argument`. */
export async function repairDocument(ports: RepairPorts, text: string, options: RepairOptions): Promise<void> {
  const { replica, print, done } = ports;
  const name = nameOf(text);
  const { from, json } = options;
  const dryRun = options.dryRun === true;
  if (options.log === true) {
    for await (const line of logLines(replica, name, ports.inWords)) print(line);
    return;
  }
  if (from === undefined || from === 'aside') {
    const { without = [] } = options;
    const source = from === undefined ? undefined : await newestAside(replica, name);
    const request = { reason: 'repair', dryRun, without: parseWithout(without), ...(source && { source }) };
    await rebuild(ports, name, request, without, json);
    return;
  }
  const whole = await ports.elsewhere(from, name);
  if (dryRun) {
    const bytes = whole.updates.reduce((sum, update) => sum + update.length, 0);
    print(`Would take ${name} of generation ${whole.generation}, ${bytes} bytes. Nothing was changed.`);
    return;
  }
  const { added, removed } = await replica.adopt(name, whole);
  done({ document: name, reason: 'taken from elsewhere', generation: whole.generation, added, removed });
  if (json === true) print(JSON.stringify({ document: name, generation: whole.generation, added, removed }));
  else print(`Took ${name} whole; ${added} of what was only here was added. What was here before lies aside.`);
}

/** The log of a document as a snapshot, or with `rebuild` its records alone under a new generation. Throws `not_found`. */
export async function compactDocument(ports: RepairPorts, text: string, options: CompactOptions): Promise<void> {
  const { replica, print } = ports;
  const name = nameOf(text);
  const before = (await replica.info(name))?.size;
  if (before === undefined) throw new FieldbookError('not_found', `There is no document ${name} here.`);
  const dryRun = options.dryRun === true;
  if (options.rebuild === true) {
    await rebuild(ports, name, { reason: 'compaction', dryRun }, [], options.json);
    return;
  }
  if (!dryRun) await replica.compact(name);
  const after = (await replica.info(name))!.size;
  if (options.json === true) print(JSON.stringify({ document: name, bytesBefore: before, bytesAfter: after }));
  else print(`${name}: ${before} bytes ${dryRun ? 'are stored' : `became ${after}`}.`);
}

async function rebuild(
  { replica, now, print, done }: RepairPorts,
  name: DocumentName,
  request: Omit<RebuildRequest, 'time'>,
  without: readonly string[],
  json: boolean | undefined,
): Promise<void> {
  const names = await runNames(replica);
  const rebuilt = await replica.rebuild(name, { ...request, time: now() });
  if (rebuilt.commit !== undefined) {
    const { generation, removed, restored, records } = rebuilt;
    const counts = { removed: removed.length, restored: restored.length, records };
    done({ document: name, reason: request.reason, without, generation, ...counts });
  }
  if (json === true) print(JSON.stringify(rebuiltAsJson(name, rebuilt), null, 2));
  else for (const line of rebuiltInWords(name, rebuilt, (run) => names.get(run) ?? null)) print(line);
}

async function newestAside(replica: Replica, name: DocumentName): Promise<NonNullable<RebuildRequest['source']>> {
  const [aside] = await replica.asides(name);
  if (aside === undefined) throw new FieldbookError('not_found', `Nothing of ${name} lies aside.`);
  return { parts: await replica.asideParts(aside), generation: aside.generation };
}

async function runNames(replica: Replica): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  const library = await Library.open(replica);
  try {
    for (const { id } of await library.projects())
      await library.eachRun(id, ({ id: run, name }) => {
        if (name !== null) names.set(run, name);
      });
  } catch (error) {
    // Only names are missing then, e.g. because the workspace is the document that is damaged.
    if (!(error instanceof FieldbookError)) throw error;
  } finally {
    library.close();
  }
  return names;
}

function nameOf(text: string): DocumentName {
  parseDocumentName(text);
  return text as DocumentName;
}

/** One line for each commit that is kept: seq, when, how it came, device, token, clients that wrote it, bytes. */
export async function* logLines(
  replica: Replica,
  name: DocumentName,
  inWords: (ms: number) => string,
): AsyncGenerator<string> {
  for await (const { seq, time, source, update } of replica.history(name)) {
    const when = time === null ? '-' : inWords(time);
    const clients = [...Y.decodeStateVector(Y.encodeStateVectorFromUpdate(update)).keys()];
    const from = [source?.via ?? '-', source?.device ?? '-', source?.token ?? '-'].join('  ');
    yield `${seq}  ${when}  ${from}  ${clients.join(',') || '-'}  ${update.length}`;
  }
}

/** What a rebuilding did, or would do, with stable names. */
export function rebuiltAsJson(name: DocumentName, rebuilt: Rebuilt): Record<string, unknown> {
  const { removed, restored, unrestorable, orphans, reachesBack, records, damage, bytesBefore, bytesAfter } = rebuilt;
  return {
    document: name,
    dryRun: rebuilt.commit === undefined,
    generation: rebuilt.generation,
    records,
    removed,
    restored,
    unrestorable,
    orphans,
    damage,
    logReachesBack: reachesBack,
    bytesBefore,
    bytesAfter,
  };
}

/** The same in words; `title` gives the name of a run, when there is one. */
export function rebuiltInWords(name: DocumentName, rebuilt: Rebuilt, title: (run: string) => string | null): string[] {
  const { removed, restored, unrestorable, orphans, damage, records, bytesBefore, bytesAfter } = rebuilt;
  const would = rebuilt.commit === undefined;
  const lines = [
    `${would ? 'Would rebuild' : 'Rebuilt'} ${name} with ${records} records: ${bytesBefore} bytes become ${bytesAfter}.`,
  ];
  for (const what of damage) lines.push(`Damaged: ${what}`);
  if (damage.length > 0)
    lines.push(
      'What is lost with that is not known here; a relay, another machine, a bundle or a backup may have it: --from.',
    );
  if (orphans > 0) lines.push(`${orphans} records are kept though what came before them is lost.`);
  const groups: [string, RecordChange[]][] = [
    ['Left out', removed],
    ['Back as it was before', restored],
    ['Left out, since nothing here has what was there before', unrestorable],
  ];
  for (const [what, changes] of groups) {
    if (changes.length === 0) continue;
    lines.push(`${what}: ${changes.length}`);
    for (const line of byRun(changes, title)) lines.push(`  ${line}`);
  }
  if (!rebuilt.reachesBack)
    lines.push('The log does not reach back to the beginning: of older records only client and device are known.');
  if (would) lines.push('Nothing was changed.');
  else
    lines.push(
      `It is rebuilt for the ${ordinal(rebuildings(rebuilt.generation))} time (generation ${rebuilt.generation}).`,
    );
  return lines;
}

function byRun(changes: readonly RecordChange[], title: (run: string) => string | null): string[] {
  const counts = new Map<string, number>();
  for (const { map, key, run } of changes) {
    const named = run === null ? null : title(run);
    const what = run === null ? `${map} ${key}` : `${map} of ${run}${named === null ? '' : ` (${named})`}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count} × ${what}`);
}

function ordinal(n: number): string {
  const tens = n % 100;
  const last = tens > 10 && tens < 14 ? 0 : n % 10;
  return `${n}${['th', 'st', 'nd', 'rd'][last] ?? 'th'}`;
}
