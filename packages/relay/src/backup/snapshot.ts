import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { BatchOperation, Storage } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import { feedSeqOf } from '@fieldbook/core/store';
import { FrameWriter, readFrames } from './frames.ts';

const FRAME_BYTES = 256 * 1024;
const BATCH_BYTES = 8 * 1024 * 1024;

interface End {
  format: 1;
  entries: number;
}

/**
 * Everything of a store as payloads of frames, read from one snapshot of it: the order of keys is one range, whatever is
 * committed meanwhile. The last payload says how many entries there were.
 */
export async function* dumpStore(storage: Storage): AsyncGenerator<Uint8Array> {
  let encoder = encoding.createEncoder();
  let entries = 0;
  for await (const [key, value] of storage.range({})) {
    encoding.writeVarUint8Array(encoder, key);
    encoding.writeVarUint8Array(encoder, value);
    entries += 1;
    if (encoding.length(encoder) < FRAME_BYTES) continue;
    yield Buffer.concat([KIND_ENTRIES, encoding.toUint8Array(encoder)]);
    encoder = encoding.createEncoder();
  }
  if (encoding.length(encoder) > 0) yield Buffer.concat([KIND_ENTRIES, encoding.toUint8Array(encoder)]);
  const end: End = { format: 1, entries };
  yield Buffer.concat([KIND_END, new TextEncoder().encode(JSON.stringify(end))]);
}

const KIND_ENTRIES = new Uint8Array([1]);
const KIND_END = new Uint8Array([2]);

/** Entries of a dump. Throws `storage_failed` when the end is missing or does not fit. */
export async function* dumpedEntries(payloads: AsyncIterable<Uint8Array>): AsyncGenerator<[Uint8Array, Uint8Array]> {
  let entries = 0;
  let ended = false;
  for await (const payload of payloads) {
    if (ended) throw new FieldbookError('storage_failed', 'The snapshot goes on behind its end.');
    const body = payload.subarray(1);
    if (payload[0] === KIND_END[0]) {
      const end = JSON.parse(new TextDecoder().decode(body)) as End;
      if (end.format !== 1 || end.entries !== entries)
        throw new FieldbookError('storage_failed', `The snapshot has ${entries} entries instead of ${end.entries}.`);
      ended = true;
      continue;
    }
    const decoder = decoding.createDecoder(body);
    while (decoding.hasContent(decoder)) {
      const key = decoding.readVarUint8Array(decoder).slice();
      yield [key, decoding.readVarUint8Array(decoder).slice()];
      entries += 1;
    }
  }
  if (!ended) throw new FieldbookError('storage_failed', 'The snapshot ends too early.');
}

/** Writes a dump to a new file; gives what was in it, `seq` being the last commit. */
export async function writeSnapshot(
  path: string,
  payloads: AsyncIterable<Uint8Array>,
): Promise<{ sha256: string; bytes: number; entries: number; seq: number }> {
  const writer = await FrameWriter.create(path);
  const written = async function* (): AsyncGenerator<Uint8Array> {
    for await (const payload of payloads) {
      await writer.append(payload);
      yield payload;
    }
  };
  let entries = 0;
  let seq = 0;
  // Read while it is written: a stream that was cut short must not become a backup.
  for await (const [key] of dumpedEntries(written())) {
    entries += 1;
    seq = Math.max(seq, feedSeqOf(key) ?? 0);
  }
  const sha256 = await writer.close();
  return { sha256, bytes: writer.bytes, entries, seq };
}

/** Puts a snapshot into an empty store. */
export async function loadSnapshot(path: string, storage: Storage): Promise<number> {
  let batch: BatchOperation[] = [];
  let bytes = 0;
  let entries = 0;
  for await (const [key, value] of dumpedEntries(readFrames(path, { torn: false }))) {
    batch.push({ type: 'put', key, value });
    entries += 1;
    bytes += key.length + value.length;
    if (bytes < BATCH_BYTES) continue;
    await storage.batch(batch, { sync: false });
    batch = [];
    bytes = 0;
  }
  await storage.batch(batch, { sync: true });
  return entries;
}
