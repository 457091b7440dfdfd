import type { RunId } from '@fieldbook/core';
import { runDocumentName } from '@fieldbook/core';
import { WebBlobs } from './blobs.ts';
import type { BytesCache } from './bytes.ts';
import { Charts } from './charts/charts.ts';
import { Comparer } from './compare.ts';
import { Consoles } from './console.ts';
import { Contents } from './contents.ts';
import { DataReader } from './data-reader.ts';
import type { Http } from './http.ts';
import type { Keep } from './keep.ts';
import type { WebLibrary } from './library.ts';
import { LocalSeries } from './local-series.ts';
import { Manifests } from './manifests.ts';
import { RunFilesReader } from './run-files.ts';
import { SeriesSource } from './series.ts';
import type { Shelf } from './shelf.ts';
import { TableReader } from './table-reader.ts';

export interface ReadersContext {
  http: Http;
  keep: Keep;
  bytes: BytesCache;
  shelf: Shelf;
  library: WebLibrary;
  /** A run that is being written and that nothing here follows. */
  growsElsewhere: (run: RunId) => boolean;
}

/** All that reads what runs wrote besides their cards: a table of runs does without, so this comes when it is first needed. */
export class Readers {
  readonly contents: Contents;
  readonly consoles: Consoles;
  readonly comparer: Comparer;
  readonly tables: TableReader;
  readonly data: DataReader;
  readonly files: RunFilesReader;
  readonly series: SeriesSource;
  readonly charts: Charts;

  constructor({ http, keep, bytes, shelf, library, growsElsewhere }: ReadersContext) {
    const nameOf = (device: string): string | undefined =>
      library.workspace.devices().find((each) => each.device === device)?.name;
    const manifests = new Manifests(http, bytes, (run) => shelf.get(runDocumentName(run)));
    const local = new LocalSeries(manifests, new WebBlobs(http, bytes));
    this.contents = new Contents(http, bytes);
    this.consoles = new Consoles(manifests, this.contents.blobs);
    this.comparer = new Comparer(manifests, this.contents);
    this.tables = new TableReader(this.contents);
    this.data = new DataReader(this.contents);
    this.files = new RunFilesReader({
      manifests,
      contents: this.contents,
      http,
      nameOf,
      projectOf: (run) => library.projectOf(run)?.id,
      historyOf: (run) => library.projectOf(run)?.fold.history(run) ?? [],
    });
    this.series = new SeriesSource(http, keep, local, ({ run }) => growsElsewhere(run), nameOf);
    this.charts = new Charts({
      series: this.series,
      local,
      project: (id) => library.project(id),
      stateOf: (run) => library.projectOf(run)?.table.glimpse(run),
      now: Date.now,
    });
  }
}
