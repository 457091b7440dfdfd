import type { Clock, DeviceId, Random } from '@fieldbook/core';
import type { Keep } from './keep.ts';

export const clock: Clock = { now: () => Date.now() };
export const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) };

/** This browser as an author: a key pair made at its first visit. Tabs of one browser share it. */
export interface BrowserDevice {
  id: DeviceId;
  secretKey: Uint8Array;
  publicKey: Uint8Array;
  created: number;
}

/** The device that this browser keeps, made if there is none. */
export async function browserDevice(keep: Keep): Promise<BrowserDevice> {
  const kept = await keep.get<BrowserDevice>('device');
  if (kept !== undefined) return kept;
  const secretKey = random.bytes(32);
  // Once in a browser's life.
  const { deviceIdOf, publicKeyOf } = await import('./device-key.ts');
  const publicKey = publicKeyOf(secretKey);
  return keep.getOrPut('device', { id: deviceIdOf(publicKey), secretKey, publicKey, created: clock.now() });
}
