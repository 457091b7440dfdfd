import type { PeerState, SyncSource } from '@fieldbook/core/api';
import type { Replica } from '@fieldbook/core/replica';
import type { BlobArrival, ReplicationServer, ReplicationSession } from '@fieldbook/core/replication';
import { hiddenAddress, incomingState } from '@fieldbook/core/replication';
import type { Peers } from './peers.ts';
import { timers } from './platform/ports.ts';

const QUIET_MS = 500;

/** The sync state that a relay shows: the relays that it dials, and the machines that are connected to it now. */
export class RelaySync implements SyncSource {
  readonly #replica: Replica;
  readonly #listeners = new Set<() => void>();
  replication: ReplicationServer | undefined;
  peers: Peers | undefined;
  #cancel: (() => void) | undefined;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  /** Every acknowledgement changes the state; listeners hear of it twice a second at most. */
  changed(): void {
    this.#cancel ??= timers.after(QUIET_MS, () => {
      this.#cancel = undefined;
      for (const listener of this.#listeners) listener();
    });
  }

  close(): void {
    this.#cancel?.();
    this.#listeners.clear();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async state(): Promise<{ lastSeq: number; peers: PeerState[]; settled: boolean }> {
    const sessions = this.#connected();
    const dialled = (await this.peers?.states()) ?? [];
    const peers = [...dialled, ...sessions.map((session) => incomingState(session, null, hiddenAddress(session)))];
    const settled = sessions.every((session) => session.settled) && this.peers?.settled !== false;
    return { lastSeq: this.#replica.lastSeq, peers, settled };
  }

  async holders(document: Parameters<SyncSource['holders']>[0]): Promise<string[]> {
    const info = await this.#replica.info(document);
    if (info === undefined) return [];
    const there = this.#connected().filter((session) => session.memory!.holds(document, info.seq));
    return [...((await this.peers?.holders(document)) ?? []), ...there.map(hiddenAddress)];
  }

  blobsComing(): BlobArrival | undefined {
    return this.peers?.blobsComing();
  }

  #connected(): ReplicationSession[] {
    return [...(this.replication?.sessions ?? [])].filter((session) => session.connected);
  }
}
