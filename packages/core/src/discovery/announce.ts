import { isFieldbookError } from '../errors.ts';
import type { Log, Random } from '../ports.ts';
import { PROTOCOL_VERSIONS } from '../replication/protocol.ts';
import { encodeAnnouncement, SALT_BYTES, workspaceTag } from './announcement.ts';
import { Announcer } from './announcer.ts';
import type { MulticastPlatform } from './multicast.ts';
import { Multicast } from './multicast.ts';

/** What a program has itself announced as. */
export interface AnnouncedService {
  kind: 'agent' | 'relay';
  /** What people call it. */
  name: string;
  /** Where it listens. */
  address: string;
  port: number;
  tls: boolean;
  /** What it has to be called by, where its addresses will not do: a certificate, or a list of allowed hosts. */
  host: string | null;
  /** The id of its workspace as of now. */
  workspace(): string;
}

/**
 * Announces a program on the local network until `stop`, which takes it back. A network that cannot be used is logged and no error: a
 * program that nobody discovers works as before.
 */
export async function announceService(
  service: AnnouncedService,
  { platform, random, log }: { platform: MulticastPlatform; random: Random; log: Log },
): Promise<{ stop(): Promise<void> }> {
  let multicast: Multicast;
  try {
    multicast = await Multicast.open(platform, { watch: true });
  } catch (error) {
    if (!isFieldbookError(error)) throw error;
    log.warn('discovery.unavailable', { error: error.message });
    return { stop: () => Promise.resolve() };
  }
  const salt = random.bytes(SALT_BYTES);
  const { kind, name, port, tls, host } = service;
  let said: string | undefined;
  const announcer = new Announcer({
    multicast,
    clock: platform.clock,
    timers: platform.timers,
    random,
    name,
    port,
    listens: service.address,
    txt: () =>
      encodeAnnouncement({
        kind,
        versions: PROTOCOL_VERSIONS,
        tls,
        host,
        workspace: workspaceTag(service.workspace(), salt),
      }),
    named: (now, interfaces) => {
      const says = JSON.stringify([now, interfaces]);
      if (says === said) return;
      said = says;
      if (interfaces.length === 0) log.warn('discovery.no_network', {});
      else log.info('discovery.announced', { name: now, port, interfaces });
    },
  });
  announcer.start();
  return { stop: () => announcer.stop() };
}
