import type { DeviceId, DocumentName } from '../ids.ts';
import { parseDeviceId, utf8 } from '../ids.ts';
import { FieldbookError } from '../errors.ts';
import { FieldReader } from './fields.ts';
import { decodeRecord, encodeRecord } from './value.ts';

/** The map of a document that holds its claims. Older programs take it in unread, as every map of a newer version. */
export const CLIENT_CLAIMS = 'x-clients';

/**
 * A device's claim of a Yjs client id in one document. Key in `x-clients`: the client id in decimal. The signature is over
 * `claimText`, so the claim proves itself to whoever has it, from whomever.
 */
export interface ClientClaim {
  kind: 'client';
  device: DeviceId;
  /** 32 bytes; the device id derives from it. */
  publicKey: Uint8Array;
  /** 64 bytes, Ed25519. */
  signature: Uint8Array;
}

/** What a device signs to claim a client id; the first line keeps it apart from everything else that a device signs. */
export function claimText(document: DocumentName, client: number): Uint8Array {
  return utf8(`fieldbook client id 1\n${document}\n${client}`);
}

export function encodeClientClaim({ device, publicKey, signature }: ClientClaim): Uint8Array {
  return encodeRecord({ k: 'client', d: device, P: publicKey, S: signature });
}

/** About 150 bytes; newer versions have room. */
export const CLAIM_BYTES = 512;

/** Throws `record_malformed`, `record_too_large`; undefined for a kind or version that this program does not know. */
export function decodeClientClaim(bytes: Uint8Array): ClientClaim | undefined {
  const object = decodeRecord(bytes, CLAIM_BYTES);
  if (object?.k !== 'client') return undefined;
  const fields = new FieldReader(object, 'A claim of a client id');
  const [publicKey, signature] = [fields.bytes('P'), fields.bytes('S')];
  if (publicKey?.length !== 32 || signature?.length !== 64)
    throw new FieldbookError('record_malformed', 'A claim of a client id has no key or no signature.');
  return { kind: 'client', device: fields.id('d', parseDeviceId), publicKey, signature };
}
