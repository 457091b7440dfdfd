import type { BundleImport, BundleManifest } from '@fieldbook/core/bundle';

/** Bundles, as the page asks for them. */
export interface BundleApi {
  /**
   * What a file says of itself, read from its first and last bytes. A sealed one needs its passphrase, with which all of it is opened.
   * Throws `bundle_corrupt`, `bundle_version`.
   */
  peekBundle(file: Blob, passphrase: string | null): Promise<BundlePreview | SealedBundle>;
  /** Takes a bundle in; one at a time. Throws what `BundleImport` is about, and `closed` after `cancelBundle`. */
  importBundle(file: Blob, onProgress: (progress: BundleProgress) => void): Promise<BundleOutcome>;
  cancelBundle(): Promise<void>;
  /** What a bundle of this would hold; the server says. */
  bundleContents(which: BundleWhich): Promise<BundleContents>;
  /** Makes one on the server and gives it out piece by piece, each when the last was taken. `about` is how large it gets at most. */
  exportBundle(
    which: BundleWhich,
    onPiece: (piece: Uint8Array<ArrayBuffer>, about: number) => void | Promise<void>,
  ): Promise<void>;
  stopExport(): Promise<void>;
}

export interface BundleWhich {
  project: string | null;
  query: string | null;
  files: boolean;
}

export type BundleContents = Omit<BundleManifest, 'extra'>;

export interface BundlePreview {
  manifest: BundleManifest;
  /** What was behind the passphrase; null for a plain file. It is what `importBundle` takes then. */
  plain: Blob | null;
  size: number;
  /** Where it would be taken in: sent to the agent, or read by this browser. */
  into: 'agent' | 'browser';
  /** It is of the workspace that this page shows; null when that is not known. */
  sameWorkspace: boolean | null;
}

export interface SealedBundle {
  sealed: true;
  /** Why the passphrase that was given does not open it; null when none was. */
  wrong: string | null;
}

export interface BundleProgress {
  bytes: number;
  size: number;
}

export interface BundleOutcome extends Omit<BundleImport, 'manifest' | 'signer'> {
  /** Whose signature holds; null without one. */
  signer: { device: string; name: string | null; known: boolean } | null;
  into: 'agent' | 'browser';
  /** Documents and blobs that are in this browser only until a server is reached. */
  unsentDocuments: number;
  unsentBlobs: number;
}
