import { bytes, count } from '../../app/format.ts';
import type { Holders, ToGo } from '../../worker/run-api.ts';

/** Where a run is, and what of it is still to go where, as the server knows. */
export function whereWords({ kind, names, shares, toGo }: Holders): string {
  if (kind === 'relay') return 'On the relay';
  if (!shares) return 'Only on this machine: it shares with no relay';
  const missing = toGo.map(toGoWords);
  if (names.length > 0) return [`Here and on ${names.join(', ')}`, ...missing].join('; ');
  if (missing.length > 0) return `Only on this machine so far; ${missing.join('; ')}`;
  return 'Only on this machine so far: the relay has not acknowledged all of it';
}

function toGoWords({ name, connected, documents, blobs, bytes: size }: ToGo): string {
  const parts: string[] = [];
  if (documents > 0) parts.push(count(documents, 'document'));
  if (blobs > 0) parts.push(`${count(blobs, 'blob')} (${bytes(size)})`);
  return `to ${name}${connected ? '' : ', which is away,'} ${parts.join(' and ')} to go`;
}
