import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { Log } from '@fieldbook/core';
import type { AnnouncedService, MulticastPlatform } from '@fieldbook/core/discovery';
import { announceService } from '@fieldbook/core/discovery';
import { clock, random, timers } from './ports.ts';

/** This machine's interfaces and sockets, for multicast DNS. */
export const multicastPlatform: MulticastPlatform = {
  createSocket: (options) => createSocket(options),
  networkInterfaces,
  clock,
  timers,
};

/** Announces this agent on the local network until `stop`. */
export function announceAgent(
  service: Omit<AnnouncedService, 'kind' | 'tls' | 'host'>,
  log: Log,
): Promise<{ stop(): Promise<void> }> {
  return announceService(
    { ...service, kind: 'agent', tls: false, host: null },
    { platform: multicastPlatform, random, log },
  );
}
