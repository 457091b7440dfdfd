import type { RunId } from '../ids.ts';
import type { Storage } from '../ports.ts';

export interface Amount {
  count: number;
  bytes: number;
}

/** What the keys of a store are for: documents with their logs and snapshots, and what stands beside them. */
export const STORE_KINDS = [
  'workspace',
  'books',
  'runs',
  'notes',
  'log',
  'replaced',
  'private',
  'feed',
  'head',
] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

export interface StoreUsage {
  /** Bytes of all keys and values. */
  live: number;
  /** Of documents `count` is their number, else that of entries. */
  kinds: Record<StoreKind, Amount>;
  /** Bytes by run: its document and its note. */
  runs: Map<RunId, number>;
}

const SLASH = '/'.charCodeAt(0);
/** Keys of one thing each, docs/formats/store.md. */
const BESIDE: Readonly<Record<string, StoreKind>> = { r: 'log', q: 'log', k: 'replaced', x: 'private', f: 'feed' };
const DOCUMENTS: Readonly<Record<string, StoreKind>> = {
  workspace: 'workspace',
  book: 'books',
  run: 'runs',
  note: 'notes',
};
const decoder = new TextDecoder();

/** Reads every entry of a store once, from one snapshot of it, and holds a number per run. */
export async function measureStore(storage: Pick<Storage, 'range'>, pause: () => Promise<void>): Promise<StoreUsage> {
  const kinds = Object.fromEntries(STORE_KINDS.map((kind) => [kind, { count: 0, bytes: 0 }])) as StoreUsage['kinds'];
  const usage: StoreUsage = { live: 0, kinds, runs: new Map() };
  let read = 0;
  for await (const [key, value] of storage.range({})) {
    const bytes = key.length + value.length;
    const letter = String.fromCharCode(key[0] ?? 0);
    const document = key[1] === SLASH && 'duso'.includes(letter) ? nameIn(key) : undefined;
    const [head = '', rest = ''] = document?.split('/', 2) ?? [];
    const kind = document === undefined ? (BESIDE[letter] ?? 'head') : (DOCUMENTS[head] ?? 'head');
    usage.live += bytes;
    kinds[kind].bytes += bytes;
    if (document === undefined || letter === 'd') kinds[kind].count += 1;
    if (kind === 'runs' || kind === 'notes')
      usage.runs.set(rest as RunId, (usage.runs.get(rest as RunId) ?? 0) + bytes);
    if (++read % 256 === 0) await pause();
  }
  return usage;
}

/** The document's name in a key `<letter>/<name>[00 <seq>]`. */
function nameIn(key: Uint8Array): string {
  const end = key.indexOf(0, 2);
  return decoder.decode(key.subarray(2, end === -1 ? key.length : end));
}
