import type { RunDocument } from '../documents/index.ts';
import type { RunId } from '../ids.ts';
import type { SegmentEntry } from '../record/index.ts';
import { segmentKey, tailKey } from '../record/index.ts';
import { sealSegment } from '../series/segment.ts';
import type { IntakeContext } from './intake-context.ts';
import type { WriterState } from './writer-state.ts';

/** A segment whose bytes are durable, for the transaction that names it. */
export class Sealed {
  readonly #entry: SegmentEntry;

  private constructor(entry: SegmentEntry) {
    this.#entry = entry;
  }

  /** Seals the unsealed points of a writer up to its next ordinal; the state is not changed. */
  static async make(context: IntakeContext, run: RunId, state: WriterState): Promise<Sealed> {
    const { device, blobs, pause, compressor } = context;
    const cover = { writer: state.writer, first: state.coverFrom, last: state.next - 1 };
    const sealed = await sealSegment({ run, ...cover }, state.points.from(0), state.metrics.names, {
      pause,
      compressor,
      effort: 'fast',
    });
    const digest = await blobs.write(sealed.bytes);
    const { points, startTime, endTime } = sealed;
    const size = sealed.bytes.length;
    const entry = { ...cover, device, digest, size, points, startTime, endTime };
    return new Sealed({ kind: 'segment', ...entry, levels: [], extra: {} });
  }

  /** Names the segment and removes the tail entries that it covers. */
  apply(document: RunDocument, slots: number): void {
    const { writer, device, last } = this.#entry;
    const known = document.get(segmentKey(this.#entry));
    // When a journal is taken in again, what was merged since covers more: it stays.
    if (known?.kind !== 'segment' || known.last <= last) document.putSegment(this.#entry);
    for (let slot = 0; slot < slots; slot++) document.remove(tailKey(writer, device, slot));
  }
}
