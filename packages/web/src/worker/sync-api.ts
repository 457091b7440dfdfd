import type { DeviceId } from '@fieldbook/core';
import type { PeerState, SyncState } from '@fieldbook/core/api';

export type { PeerState, SyncState };

/** Where everything is, as the page asks for it. */
export interface SyncApi {
  /** Tells the server's sync state now and whenever it changes, null while no server answers; until the next call, or `stopSync`. */
  followSync(listener: (state: SyncState | null) => void): Promise<void>;
  stopSync(): Promise<void>;
  onlyHere(): Promise<OnlyHere>;
  /** When each machine and browser last wrote a record that is here. */
  lastWritten(): Promise<LastWritten[]>;
  join(url: string, token: string | null): Promise<PeerState>;
  leave(url: string): Promise<void>;
  pauseSync(url: string, paused: boolean): Promise<void>;
  /** `bytesPerS` in each direction; null for as much as there is. */
  limitSync(url: string, bytesPerS: number | null): Promise<void>;
  retrySync(): Promise<void>;
}

/** `GET /sync/only-here`. */
export interface OnlyHere {
  documents: number;
  projects: { project: string; title: string }[];
  runs: { id: string; project: string | null; name: string | null }[];
  runCount: number;
  files: { run: string; path: string; size: number | null }[];
  fileCount: number;
  fileBytes: number;
  elsewhere: { device: DeviceId; name: string | null; files: number; bytes: number }[];
  complete: boolean;
}

/** `GET /sync/unshared`. */
export interface Unshared {
  runs: readonly string[];
  runCount: number;
  projects: readonly ({ project: string } & AloneCount)[];
  complete: boolean;
}

/** What of a project is on this machine and on no relay. */
export interface AloneCount {
  runs: number;
  /** Cards or edits. */
  changes: boolean;
}

/** What is on this machine and on no relay. */
export interface AloneSummary extends AloneCount {
  files: number;
  /** A relay takes what is sent to it: it is on its way. */
  reached: boolean;
  /** False when there are more. */
  complete: boolean;
}

export interface LastWritten {
  device: DeviceId;
  /** ms since the epoch. */
  at: number;
  /** Runs that it records. */
  runs: number;
}
