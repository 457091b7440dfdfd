import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';
import type { BatchOperation, Clock, Log, Storage } from '../ports.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import { seal, unseal } from './checked.ts';
import * as keys from './keys.ts';

/** Where a commit came from, as far as this machine can tell. */
export interface CommitSource {
  /** `local`, `replication`, `room`, `bundle`, `repair`. */
  via: string;
  /** The device that is connected, which may pass on what others made. */
  device: string | null;
  /** The replica at the other end. */
  replica: string | null;
  /** The id of the token that it came with, never the token. */
  token: string | null;
}

/** One commit as it was admitted. */
export interface LoggedCommit {
  seq: number;
  /** ms since the epoch by this machine's clock; null when it was not written down. */
  time: number | null;
  source: CommitSource | null;
  update: Uint8Array;
}

export interface HistoryOptions {
  clock: Clock;
  /** Bytes of what compactions took out of the logs, over all documents; the oldest goes first. */
  maxBytes: number;
  maxAgeMs: number;
  /** Raw DEFLATE; `inflate` must refuse to grow beyond `size`. */
  deflate(bytes: Uint8Array): Promise<Uint8Array>;
  inflate(bytes: Uint8Array, size: number): Promise<Uint8Array>;
}

/** What is kept for repair beside the documents. */
export interface HistoryStats {
  chunks: number;
  bytes: number;
}

interface Chunk {
  name: DocumentName;
  time: number;
  seq: number;
  bytes: number;
}

const FORMAT = 1;
/** Of one chunk before it is compressed: what a repair holds at a time. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const HEAD_BYTES = 4 * 1024;
const CHUNK_MAX = 2 ** 31;

/**
 * Every admitted update with where it came from. While a commit is in its document's log only the source is written
 * beside it, in the same batch; when a compaction takes it out of the log, its bytes move into a compressed chunk, in
 * the batch that removes them. So nothing is written twice on the way to an acknowledgement, and what is kept is never
 * ahead of a commit.
 */
export class History {
  readonly #storage: Storage;
  readonly #options: HistoryOptions;
  readonly #log: Log | undefined;
  /** Oldest first. */
  #chunks: Chunk[] = [];
  #bytes = 0;

  private constructor(storage: Storage, options: HistoryOptions, log: Log | undefined) {
    this.#storage = storage;
    this.#options = options;
    this.#log = log;
  }

  static async open(storage: Storage, options: HistoryOptions, log?: Log): Promise<History> {
    const history = new History(storage, options, log);
    for await (const [key, value] of storage.range(keys.prefixRange('q/'))) {
      try {
        const fields = decodeRecord(unseal(value, 'An entry of the log'), HEAD_BYTES) ?? {};
        const chunk = {
          name: fields['n'] as DocumentName,
          time: Number(fields['t']),
          seq: keys.seqOf(key),
          bytes: Number(fields['b']),
        };
        history.#chunks.push(chunk);
        history.#bytes += chunk.bytes;
      } catch (error) {
        log?.warn('history.entry_unreadable', { error: asFieldbookError(error).message });
      }
    }
    return history;
  }

  get stats(): HistoryStats {
    return { chunks: this.#chunks.length, bytes: this.#bytes };
  }

  /** What goes into the batch of a commit. */
  sourceOf(name: DocumentName, seq: number, source: CommitSource | undefined): BatchOperation {
    const { via = 'local', device = null, replica = null, token = null } = source ?? {};
    const fields = {
      v: via,
      t: this.#options.clock.now(),
      ...(device && { d: device }),
      ...(replica && { r: replica }),
      ...(token && { k: token }),
    };
    return { type: 'put', key: keys.sourceKey(name, seq), value: seal(encodeRecord(fields)) };
  }

  /**
   * What goes into the batch that removes a document's commits up to and including `through` from its log: they as chunks,
   * and the oldest chunks out. `written` must be called once that batch is on disk.
   */
  async archive(
    name: DocumentName,
    generation: number,
    through: number,
  ): Promise<{ operations: BatchOperation[]; written(): void }> {
    const now = this.#options.clock.now();
    const operations: BatchOperation[] = [];
    const added: { chunk: Chunk; value: Uint8Array }[] = [];
    let bytes = this.#bytes;
    for await (const commits of inPieces(this.#live(name, through))) {
      const { seq } = commits.at(-1)!;
      const value = await this.#encode(generation, commits);
      added.push({ chunk: { name, time: now, seq, bytes: value.length }, value });
      bytes += value.length;
    }
    const { maxBytes, maxAgeMs } = this.#options;
    const isTooMuch = (chunk: Chunk): boolean => bytes > maxBytes || now - chunk.time > maxAgeMs;
    const dropped = new Set<Chunk>();
    for (const chunk of this.#chunks) {
      if (!isTooMuch(chunk)) break;
      dropped.add(chunk);
      bytes -= chunk.bytes;
      operations.push(
        { type: 'del', key: keys.chunkKey(chunk.name, chunk.seq) },
        { type: 'del', key: keys.chunkAgeKey(chunk.time, chunk.seq) },
      );
    }
    while (added.length > 0 && isTooMuch(added[0]!.chunk)) bytes -= added.shift()!.chunk.bytes;
    for (const { chunk, value } of added) {
      const entry = seal(encodeRecord({ n: name, t: now, b: chunk.bytes }));
      operations.push(
        { type: 'put', key: keys.chunkKey(name, chunk.seq), value },
        { type: 'put', key: keys.chunkAgeKey(now, chunk.seq), value: entry },
      );
    }
    return {
      operations,
      // Compactions of other documents may have come in between.
      written: () => {
        this.#chunks = [...this.#chunks.filter((chunk) => !dropped.has(chunk)), ...added.map(({ chunk }) => chunk)];
        this.#bytes = this.#chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
      },
    };
  }

  /** What is too old or too much now, and goes in a batch; `written` must be called once that is on disk. */
  expired(): { operations: BatchOperation[]; chunks: number; bytes: number; written(): void } {
    const now = this.#options.clock.now();
    const { maxBytes, maxAgeMs } = this.#options;
    const operations: BatchOperation[] = [];
    const dropped = new Set<Chunk>();
    let left = this.#bytes;
    for (const chunk of this.#chunks) {
      if (left <= maxBytes && now - chunk.time <= maxAgeMs) break;
      left -= chunk.bytes;
      dropped.add(chunk);
      operations.push(
        { type: 'del', key: keys.chunkKey(chunk.name, chunk.seq) },
        { type: 'del', key: keys.chunkAgeKey(chunk.time, chunk.seq) },
      );
    }
    return {
      operations,
      chunks: dropped.size,
      bytes: this.#bytes - left,
      written: () => {
        this.#chunks = this.#chunks.filter((chunk) => !dropped.has(chunk));
        this.#bytes = this.#chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
      },
    };
  }

  /** What is kept of a document's commits of `generation`, oldest first, each once; `current` is what its log is of. A damaged part is passed over and logged. */
  async *read(name: DocumentName, generation: number, current: number): AsyncGenerator<LoggedCommit> {
    let last = 0;
    const range = { gte: keys.chunkKey(name, 0), lte: keys.chunkKey(name, Number.MAX_SAFE_INTEGER) };
    for await (const [key, value] of this.#storage.range(range)) {
      try {
        const chunk = await this.#decode(unseal(value, `Part ${keys.seqOf(key)} of its log`));
        for (const commit of chunk.commits) {
          last = Math.max(last, commit.seq);
          if (chunk.generation === generation) yield commit;
        }
      } catch (error) {
        this.#log?.warn('history.part_unreadable', { name, error: asFieldbookError(error).message });
      }
    }
    if (generation !== current) return;
    for await (const commit of this.#live(name, Number.MAX_SAFE_INTEGER)) if (commit.seq > last) yield commit;
  }

  /** Commits that are still in the log. */
  async *#live(name: DocumentName, through: number): AsyncGenerator<LoggedCommit> {
    const sources = new Map<number, Uint8Array>();
    const sourced = { gte: keys.sourceKey(name, 0), lte: keys.sourceKey(name, through) };
    for await (const [key, value] of this.#storage.range(sourced)) sources.set(keys.seqOf(key), value);
    const logged = { gte: keys.logKey(name, 0), lte: keys.logKey(name, through) };
    for await (const [key, value] of this.#storage.range(logged)) {
      const seq = keys.seqOf(key);
      try {
        yield { seq, update: unseal(value, `Update ${seq}`), ...readSource(sources.get(seq)) };
      } catch (error) {
        this.#log?.warn('history.update_unreadable', { name, seq, error: asFieldbookError(error).message });
      }
    }
  }

  async #encode(generation: number, commits: readonly LoggedCommit[]): Promise<Uint8Array> {
    const body = encoding.createEncoder();
    encoding.writeVarUint(body, generation);
    encoding.writeVarUint(body, commits.length);
    for (const { seq, time, source, update } of commits) {
      encoding.writeVarUint(body, seq);
      const said = source === null ? EMPTY : encodeRecord({ ...source, t: time });
      encoding.writeVarUint8Array(body, said);
      encoding.writeVarUint8Array(body, update);
    }
    const raw = encoding.toUint8Array(body);
    const encoder = encoding.createEncoder();
    encoding.writeUint8(encoder, FORMAT);
    encoding.writeVarUint(encoder, raw.length);
    encoding.writeUint8Array(encoder, await this.#options.deflate(raw));
    return seal(encoding.toUint8Array(encoder));
  }

  async #decode(value: Uint8Array): Promise<{ generation: number; commits: LoggedCommit[] }> {
    const outer = decoding.createDecoder(value);
    const format = decoding.readUint8(outer);
    const size = decoding.readVarUint(outer);
    if (format !== FORMAT || size > CHUNK_MAX)
      throw new FieldbookError('store_version', 'It was written by a newer version.');
    const body = decoding.createDecoder(await this.#options.inflate(decoding.readTailAsUint8Array(outer), size));
    const generation = decoding.readVarUint(body);
    const commits: LoggedCommit[] = [];
    for (let left = decoding.readVarUint(body); left > 0; left--) {
      const seq = decoding.readVarUint(body);
      const said = decoding.readVarUint8Array(body);
      const fields = said.length === 0 ? undefined : decodeRecord(said, HEAD_BYTES);
      const text = (key: string): string | null => (typeof fields?.[key] === 'string' ? fields[key] : null);
      const source =
        fields === undefined
          ? null
          : { via: text('via') ?? '', device: text('device'), replica: text('replica'), token: text('token') };
      const time = typeof fields?.['t'] === 'number' ? fields['t'] : null;
      commits.push({ seq, time, source, update: decoding.readVarUint8Array(body).slice() });
    }
    return { generation, commits };
  }
}

const EMPTY = utf8('');

function readSource(value: Uint8Array | undefined): { time: number | null; source: CommitSource | null } {
  if (value === undefined) return { time: null, source: null };
  const fields = decodeRecord(unseal(value, 'Where an update came from'), HEAD_BYTES) ?? {};
  const text = (key: string): string | null => (typeof fields[key] === 'string' ? fields[key] : null);
  const source = { via: text('v') ?? '', device: text('d'), replica: text('r'), token: text('k') };
  return { time: typeof fields['t'] === 'number' ? fields['t'] : null, source };
}

async function* inPieces(commits: AsyncIterable<LoggedCommit>): AsyncGenerator<LoggedCommit[]> {
  let piece: LoggedCommit[] = [];
  let bytes = 0;
  for await (const commit of commits) {
    if (piece.length > 0 && bytes + commit.update.length > CHUNK_BYTES) {
      yield piece;
      piece = [];
      bytes = 0;
    }
    piece.push(commit);
    bytes += commit.update.length;
  }
  if (piece.length > 0) yield piece;
}
