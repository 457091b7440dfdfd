import { X509Certificate } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { hostname, networkInterfaces } from 'node:os';
import type { Log } from '@fieldbook/core';
import { announceService, isHostName } from '@fieldbook/core/discovery';
import { clock, random, timers } from './ports.ts';

export interface RelayAnnouncement {
  /** Where it listens. */
  address: string;
  port: number;
  /** The host names that it answers to; any when there are none. */
  hosts: readonly string[];
  /** PEM, when it serves https. */
  certificate: Uint8Array | null;
  workspace(): string;
  log: Log;
}

/** Announces this relay on the local network until `stop`. */
export function announceRelay(announcement: RelayAnnouncement): Promise<{ stop(): Promise<void> }> {
  const { address, port, hosts, certificate, workspace, log } = announcement;
  const service = {
    kind: 'relay' as const,
    name: hostname(),
    address,
    port,
    tls: certificate !== null,
    host: hostOf(hosts, certificate),
    workspace,
  };
  const platform = {
    createSocket: (options: Parameters<typeof createSocket>[0] & object) => createSocket(options),
    networkInterfaces,
    clock,
    timers,
  };
  return announceService(service, { platform, random, log });
}

/** The name that others have to use: one that is answered to and that the certificate, if there is one, is for; null when its addresses will do. */
export function hostOf(hosts: readonly string[], certificate: Uint8Array | null): string | null {
  const isName = (text: string): boolean => isHostName(text) && text.toLowerCase() !== 'localhost';
  const allowed = hosts.map((host) => host.replace(/:\d+$/, '')).filter(isName);
  if (certificate === null) return allowed[0] ?? null;
  const parsed = new X509Certificate(certificate);
  const names = (parsed.subjectAltName ?? '').split(', ').flatMap((name) => /^DNS:(.+)$/.exec(name)?.[1] ?? []);
  return allowed.find((host) => parsed.checkHost(host) !== undefined) ?? names.find(isName) ?? allowed[0] ?? null;
}
