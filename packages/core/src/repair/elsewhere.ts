import type { BundlePlatform } from '../bundle/index.ts';
import { readBundle } from '../bundle/index.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { Storage } from '../ports.ts';
import type { WholeDocument } from '../replica/replica.ts';
import { splitUpdate } from '../replication/split.ts';
import { readStored } from '../store/index.ts';

/** What a program gives to look for a document elsewhere. */
export interface ElsewherePorts {
  platform: BundlePlatform;
  /** The token for a server, as `https://relay:4280`; undefined where none is needed. */
  tokenFor(origin: string): Promise<string | undefined> | string | undefined;
  fetch(
    address: string,
    init: { headers: Record<string, string> },
  ): Promise<{
    ok: boolean;
    status: number;
    headers: { get(name: string): string | null };
    json(): Promise<unknown>;
    arrayBuffer(): Promise<ArrayBuffer>;
  }>;
  /** What lies at a path; undefined when nothing does. */
  stat(path: string): Promise<{ isFile(): boolean } | undefined>;
  read(path: string): AsyncIterable<Uint8Array>;
  openStorage(path: string): Promise<Storage>;
}

/**
 * A document as it is elsewhere: at another machine (`from` is its address), in a bundle (a file) or in a backup of a store
 * (a folder). Throws `peer_unreachable`, `not_found`, `protocol_violation`, and what reading a bundle or a store throws.
 */
export async function documentElsewhere(
  ports: ElsewherePorts,
  from: string,
  name: DocumentName,
): Promise<WholeDocument> {
  const origin = /^https?:\/\/[^/?#]+/.exec(from)?.[0];
  if (origin !== undefined) return documentAtPeer(ports, origin, name);
  const found = await ports.stat(from);
  if (found === undefined) throw new FieldbookError('not_found', `There is no ${from}.`);
  if (found.isFile()) return documentInBundle(ports.platform, ports.read(from), name);
  const storage = await ports.openStorage(from);
  try {
    return await documentInStore(storage, name);
  } finally {
    await storage.close();
  }
}

async function documentAtPeer(
  { fetch, tokenFor }: ElsewherePorts,
  origin: string,
  name: DocumentName,
): Promise<WholeDocument> {
  const host = origin.replace(/^https?:\/\//, '');
  const address = `${origin}/api/v1/documents/${name.split('/').map(encodeURIComponent).join('/')}`;
  const token = await tokenFor(origin);
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(address, { headers }).catch((error: unknown) => {
    throw new FieldbookError('peer_unreachable', `${host} does not answer.`, { cause: error });
  });
  if (!answer.ok) {
    const said = ((await answer.json().catch(() => ({}))) as { error?: { message?: string } }).error?.message;
    throw new FieldbookError('not_found', `${host} does not give ${name}: ${said ?? answer.status}`);
  }
  return documentInAnswer(answer.headers.get('fieldbook-generation'), new Uint8Array(await answer.arrayBuffer()));
}

/** A document as a bundle has it. Throws `not_found`, and what `readBundle` throws. */
export async function documentInBundle(
  platform: BundlePlatform,
  chunks: AsyncIterable<Uint8Array>,
  name: DocumentName,
): Promise<WholeDocument> {
  const updates: Uint8Array[] = [];
  let generation = 0;
  for await (const piece of readBundle(platform, chunks)) {
    if (piece.kind !== 'document' || piece.part.name !== name) continue;
    ({ generation } = piece.part);
    updates.push(piece.part.update);
  }
  if (updates.length === 0) throw new FieldbookError('not_found', `The bundle does not hold the whole of ${name}.`);
  return { generation, updates };
}

/** A document as a copy of a store has it, which is not changed. Throws `not_found`, `store_corrupt`. */
export async function documentInStore(storage: Storage, name: DocumentName): Promise<WholeDocument> {
  const found = await readStored(storage, name);
  if (found === undefined) throw new FieldbookError('not_found', `The backup has no document ${name}.`);
  return { generation: found.generation, updates: found.parts.flatMap((part) => splitUpdate(part)) };
}

/** A document as another machine answers it over HTTP. */
export function documentInAnswer(generation: string | null, body: Uint8Array): WholeDocument {
  const number = generation === null ? 0 : Number(generation);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new FieldbookError('protocol_violation', 'The other side does not say of what generation its document is.');
  return { generation: number, updates: splitUpdate(body) };
}
