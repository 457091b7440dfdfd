import type { Api, LiveValues, SyncState } from '@fieldbook/core/api';
import { FieldbookError } from '@fieldbook/core';
import type { Machine } from './machine.ts';

/** What works on a machine besides answering: ingest, replication, live values. */
export interface Services {
  api: Api;
  /** Resolves when everything in the journals is taken in and durable. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export async function openServices(machine: Machine, _options: { watch: boolean }): Promise<Services> {
  const live = new Set<(values: LiveValues) => void>();
  const state = async (): Promise<SyncState> => ({ lastSeq: machine.replica.lastSeq, peers: [], settled: true });
  const drain = async (): Promise<void> => undefined;
  const later = (): never => {
    throw new FieldbookError('not_supported', 'Not yet.');
  };
  const api = machine.api({
    sync: { state, holders: async () => [], onChange: () => () => undefined },
    live: {
      onLive: (listener) => {
        live.add(listener);
        return () => live.delete(listener);
      },
    },
    actions: { join: later, leave: later, demo: later, drain },
  });
  return { api, drain, close: async () => api.close() };
}
