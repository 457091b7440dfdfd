import type { RunId } from '@fieldbook/core';
import type { Series, SeriesReader } from '@fieldbook/core/series';
import type { SeriesQuery } from './api.ts';
import type { WebBlobs } from './blobs.ts';
import type { Manifests } from './manifests.ts';

/** Decoded columns in the worker's memory: five series of a million points as they are, or the levels of a screen of charts. */
const CACHE_BYTES = 64 * 1024 * 1024;

/** Series made in this browser, by the reader that agents use, of manifests and blobs. */
export class LocalSeries {
  readonly #manifests: Pick<Manifests, 'of'>;
  readonly #blobs: WebBlobs;
  #reader: Promise<SeriesReader> | undefined;

  constructor(manifests: Pick<Manifests, 'of'>, blobs: WebBlobs) {
    this.#manifests = manifests;
    this.#blobs = blobs;
  }

  /**
   * Undefined when the run's manifest cannot be had here, or bytes that came are broken. Throws `peer_unreachable` when bytes are neither kept here nor to be
   * had, and what the server says.
   */
  async read(query: SeriesQuery, points: number): Promise<{ series: Series; fresh: boolean } | undefined> {
    const manifest = await this.#manifests.of(query.run as RunId);
    if (manifest === undefined) return undefined;
    const { entries, fresh } = manifest;
    this.#blobs.know(entries);
    const reader = await this.#open();
    const series = await reader.read({
      entries,
      metric: query.metric,
      x: query.x,
      ...(query.from === null ? {} : { from: query.from }),
      ...(query.to === null ? {} : { to: query.to }),
      maxPoints: points,
    });
    if (series.corrupt.length === 0) return { series, fresh };
    // Ranges are not verified by the blob's name. Whether they broke here or lie there so, the server can say.
    for (const { digest } of series.corrupt) await this.#blobs.forget(digest);
    return undefined;
  }
  /** Paths of all metrics of a run, sorted: also those that are too many for its card. Undefined when its manifest cannot be had here. */
  async metrics(run: RunId): Promise<string[] | undefined> {
    const manifest = await this.#manifests.of(run);
    if (manifest === undefined) return undefined;
    this.#blobs.know(manifest.entries);
    return (await this.#open()).metrics(manifest.entries);
  }

  /** Parquet is loaded with the first chart and not with the page. */
  async #open(): Promise<SeriesReader> {
    this.#reader ??= import('./segments.ts').then(
      ({ SeriesReader: Reader }) => new Reader(this.#blobs, { cacheBytes: CACHE_BYTES }),
    );
    return this.#reader.catch((error: unknown) => {
      this.#reader = undefined;
      throw error;
    });
  }
}
