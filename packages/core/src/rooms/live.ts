import * as decoding from 'lib0/decoding';
import type { LiveSource, LiveValues } from '../api/options.ts';
import type { DocumentName, RunId } from '../ids.ts';
import type { Clock, Random } from '../ports.ts';
import type { Presence } from './presence.ts';
import { writeAwareness } from './presence.ts';

/** A run that said nothing for this long is not talked about any more. */
const QUIET_MS = 60_000;

/**
 * What one program says of the runs on its machine: the state of one speaker per book, a JSON object
 * `{"live": [{run, at, metrics: {path: {step, value}}}]}` with NaN and infinities as strings.
 */
export class LiveVoice {
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #speaker: number;
  readonly #books = new Map<DocumentName, { said: number; runs: Map<RunId, LiveValues> }>();

  constructor(options: { presence: Presence; clock: Clock; random: Random }) {
    this.#presence = options.presence;
    this.#clock = options.clock;
    const bytes = options.random.bytes(4);
    this.#speaker = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  }

  /** Tells everybody in the run's book its newest values. */
  say(book: DocumentName, values: LiveValues): void {
    const spoken = this.#books.get(book) ?? { said: 0, runs: new Map<RunId, LiveValues>() };
    this.#books.set(book, spoken);
    spoken.runs.set(values.run, values);
    for (const [run, { at }] of spoken.runs) if (values.at - at > QUIET_MS) spoken.runs.delete(run);
    this.#tell(book, spoken);
  }

  /** A run ended: its card says the rest. */
  hush(book: DocumentName, run: RunId): void {
    const spoken = this.#books.get(book);
    if (spoken?.runs.delete(run) === true) this.#tell(book, spoken);
  }

  #tell(book: DocumentName, spoken: { said: number; runs: Map<RunId, LiveValues> }): void {
    // Time as the speaker's clock: it rises also over a restart that forgot the last one.
    spoken.said = Math.max(spoken.said + 1, this.#clock.now());
    const state = JSON.stringify({ live: [...spoken.runs.values()] }, plain);
    const update = writeAwareness([this.#speaker], new Map([[this.#speaker, { clock: spoken.said, state }]]));
    this.#presence.receive(book, update, this);
  }
}

/** The live values in everything that is said, from whatever machine. */
export function liveSource(presence: Presence): LiveSource {
  return {
    onLive: (listener) =>
      presence.subscribe((_name, update) => {
        for (const values of liveValuesIn(update)) listener(values);
      }),
  };
}

/** The live values in an awareness update; states that are something else are passed over. */
export function liveValuesIn(update: Uint8Array): LiveValues[] {
  const found: LiveValues[] = [];
  try {
    const decoder = decoding.createDecoder(update);
    for (let left = decoding.readVarUint(decoder); left > 0; left--) {
      decoding.readVarUint(decoder);
      decoding.readVarUint(decoder);
      const state = JSON.parse(decoding.readVarString(decoder)) as { live?: unknown } | null;
      if (!Array.isArray(state?.live)) continue;
      for (const value of state.live) {
        const values = readValues(value);
        if (values !== undefined) found.push(values);
      }
    }
  } catch {
    // Somebody says something that we do not understand; it is gone in a moment.
  }
  return found;
}

function readValues(value: unknown): LiveValues | undefined {
  const { run, at, metrics } = (value ?? {}) as Partial<LiveValues>;
  if (typeof run !== 'string' || typeof at !== 'number' || typeof metrics !== 'object' || metrics === null)
    return undefined;
  const read: Record<string, { step: number; value: number }> = {};
  for (const [path, point] of Object.entries(metrics)) {
    if (typeof point !== 'object' || point === null) continue;
    read[path] = { step: Number(point.step), value: Number(point.value) };
  }
  return { run, at, metrics: read };
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}
