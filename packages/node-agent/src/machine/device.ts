import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { hostname } from 'node:os';
import { FieldbookError } from '@fieldbook/core';
import type { DeviceKey } from '@fieldbook/core/access';
import { deviceIdOf } from '@fieldbook/core/access';
import { createAtomically, readJsonIfThere } from './files.ts';

/** This machine as a device of its workspace: an Ed25519 key pair made at the first start. */
export interface Device extends DeviceKey {
  /** What people call the machine. */
  name: string;
  /** ms since the epoch. */
  created: number;
}

interface DeviceFile {
  device: string;
  name: string;
  created: number;
  publicKey: string;
  /** PKCS #8 in PEM. */
  privateKey: string;
}

/** The device of a home, made when there is none. `env.FIELDBOOK_HOST` names the machine instead of its host name. */
export async function loadDevice(path: string, env: Readonly<Record<string, string | undefined>>): Promise<Device> {
  const kept = await readJsonIfThere(path);
  if (kept !== undefined) return readDevice(kept, path);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  // The last 32 bytes of the SPKI encoding are the key itself (RFC 8410).
  const raw = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
  const file: DeviceFile = {
    device: deviceIdOf(raw),
    name: env['FIELDBOOK_HOST'] || hostname(),
    created: Date.now(),
    publicKey: Buffer.from(raw).toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
  await createAtomically(path, `${JSON.stringify(file, null, 2)}\n`, 0o600);
  // Read back: another process may have been first, and then its key is ours too.
  return readDevice(await readJsonIfThere(path), path);
}

function readDevice(value: unknown, path: string): Device {
  const file = value as Partial<DeviceFile> | null;
  const publicKey = new Uint8Array(Buffer.from(typeof file?.publicKey === 'string' ? file.publicKey : '', 'base64'));
  if (publicKey.length !== 32 || file?.device !== deviceIdOf(publicKey)) {
    throw new FieldbookError(
      'config_invalid',
      `${path} does not hold this machine's key. Restore it from a backup, or move it away to start as a new device.`,
    );
  }
  const privateKey = createPrivateKey(String(file.privateKey));
  return {
    id: deviceIdOf(publicKey),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
    publicKey,
    name: String(file.name ?? hostname()),
    created: Number(file.created ?? 0),
  };
}
