import type { Evicted, EvictRequest } from '@fieldbook/core/api';

export type { Evicted, EvictRequest };

/** What this browser keeps, and what its agent could let go of. */
export interface StorageApi {
  storageUse(): Promise<StorageUse>;
  /** Lets go of what a server has or that can be made again; resolves to the bytes freed, as far as they are known. */
  freeStorage(what: Freeable): Promise<number>;
  /** How much of files and points this browser keeps; null for its own choice. */
  setBudget(bytes: number | null): Promise<void>;
  renameBrowser(name: string): Promise<void>;
  /** On the agent: with `dryRun` only what would go. */
  evict(request: EvictRequest): Promise<Evicted>;
}

export type Freeable = 'files' | 'series' | 'runs';

export interface StorageUse {
  usage: number | null;
  quota: number | null;
  persisted: boolean | null;
  /** Blobs and manifests kept for charts and previews. */
  files: number;
  filesCount: number;
  /** Series as servers answered them. */
  series: number;
  /** Documents in databases of their own: books and the workspace, and runs looked at before. */
  books: number;
  runs: number;
  /** Blobs of bundles that no server has yet; they are never let go of here. */
  unsentBytes: number;
  budget: number | null;
}
