import type { BundlePlatform } from '../bundle/index.ts';
import { readBundle } from '../bundle/index.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { Storage } from '../ports.ts';
import type { WholeDocument } from '../replica/replica.ts';
import { splitUpdate } from '../replication/split.ts';
import { readStored } from '../store/index.ts';

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
