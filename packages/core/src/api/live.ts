import * as decoding from 'lib0/decoding';
import type { DocumentName, RunId } from '../ids.ts';
import { parseRunId } from '../ids.ts';
import type { Clock, Log, Random, Timers } from '../ports.ts';
import type { Presence } from '../rooms/index.ts';
import { writeAwareness } from '../rooms/index.ts';
import type { LiveSource, LiveValues } from './options.ts';

/** Values are gathered so long: a hundred running runs cost one message a second, not a hundred. */
const GATHER_MS = 1_000;
/** A run that said nothing for so long is not live any more; its card says the rest. */
const LIVE_MS = 60_000;
/** Below what one awareness state may have; the runs that spoke last are in. */
const STATE_CHARS = 200_000;

type Spoken = Omit<LiveValues, 'run'>;

/**
 * The newest values of running runs, passed as y-protocols awareness states `{live: {<run>: {at, metrics}}}` on the
 * room of the book that holds the run's card. One speaker per program and document; nobody stores anything.
 */
export class LiveBoard implements LiveSource {
  readonly #options: { presence: Presence; clock: Clock; timers: Timers; log: Log };
  readonly #client: number;
  readonly #said = new Map<DocumentName, { clock: number; runs: Map<RunId, Spoken>; dirty: boolean }>();
  #cancel: (() => void) | undefined;

  constructor(options: { presence: Presence; clock: Clock; timers: Timers; random: Random; log: Log }) {
    this.#options = options;
    const [a = 1, b = 0, c = 0, d = 0] = options.random.bytes(4);
    this.#client = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  /** Says a running run's newest values within a second. */
  say(document: DocumentName, run: RunId, values: Spoken): void {
    const said = this.#said.get(document) ?? { clock: 0, runs: new Map<RunId, Spoken>(), dirty: true };
    this.#said.set(document, said);
    // To the end: the map is in the order in which runs last spoke.
    said.runs.delete(run);
    said.runs.set(run, values);
    said.dirty = true;
    this.#cancel ??= this.#options.timers.after(GATHER_MS, () => {
      this.#cancel = undefined;
      this.#flush();
    });
  }

  /** Everybody's values: ours, those of other machines, those that pass through. */
  onLive(listener: (values: LiveValues) => void): () => void {
    return this.#options.presence.subscribe((_name, update) => {
      try {
        for (const values of readLive(update)) listener(values);
      } catch (error) {
        this.#options.log.debug('live.unreadable', { error: String(error) });
      }
    });
  }

  close(): void {
    this.#cancel?.();
  }

  #flush(): void {
    const now = this.#options.clock.now();
    for (const [document, said] of this.#said) {
      for (const [run, { at }] of said.runs) if (now - at > LIVE_MS) said.runs.delete(run);
      if (!said.dirty) continue;
      said.dirty = false;
      said.clock += 1;
      const state = new Map([[this.#client, { clock: said.clock, state: stateOf(said.runs) }]]);
      this.#options.presence.receive(document, writeAwareness([this.#client], state), this);
    }
  }
}

function stateOf(runs: ReadonlyMap<RunId, Spoken>): string {
  const parts: string[] = [];
  let length = 0;
  for (const [run, values] of [...runs].reverse()) {
    const part = `${JSON.stringify(run)}:${JSON.stringify(values, finite)}`;
    length += part.length;
    if (length > STATE_CHARS) break;
    parts.push(part);
  }
  return `{"live":{${parts.join(',')}}}`;
}

/** As in the API: JSON has no NaN and no infinities. */
function finite(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function* readLive(update: Uint8Array): Generator<LiveValues> {
  const decoder = decoding.createDecoder(update);
  for (let left = decoding.readVarUint(decoder); left > 0; left--) {
    decoding.readVarUint(decoder);
    decoding.readVarUint(decoder);
    const state = JSON.parse(decoding.readVarString(decoder)) as { live?: unknown } | null;
    const live = state?.live;
    if (typeof live !== 'object' || live === null) continue;
    for (const [run, values] of Object.entries(live) as [string, Partial<Spoken>][]) {
      if (typeof values?.at !== 'number' || typeof values.metrics !== 'object' || values.metrics === null) continue;
      yield { run: parseRunId(run), at: values.at, metrics: values.metrics };
    }
  }
}
