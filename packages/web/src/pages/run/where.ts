import { bytes, count, moment } from '../../app/format.ts';
import type { Holders, ToGo } from '../../worker/run-api.ts';

/** Where a run is, and what of it is still to go where, as the server knows. */
export function whereWords({ kind, names, shares, toGo, elsewhere }: Holders): string {
  if (elsewhere.length > 0)
    return `Not on this machine: what it recorded is at ${elsewhere.map(awayWords).join(', and at ')}`;
  if (kind === 'relay') return 'On the relay';
  if (!shares) return 'Only on this machine: it shares with no relay';
  const missing = toGo.map(toGoWords);
  if (names.length > 0) return [`Here and on ${names.join(', ')}`, ...missing].join('; ');
  if (missing.length > 0) return `Only on this machine so far; ${missing.join('; ')}`;
  return 'Only on this machine so far: the relay has not acknowledged all of it';
}

function awayWords({ name, connected, since }: Holders['elsewhere'][number]): string {
  if (connected) return `${name}, which did not answer in time`;
  return since === null ? `${name}, which is not connected` : `${name}, not connected since ${moment(since)}`;
}

function toGoWords({ name, connected, documents, blobs, bytes: size }: ToGo): string {
  const parts: string[] = [];
  if (documents > 0) parts.push(count(documents, 'document'));
  if (blobs > 0) parts.push(`${count(blobs, 'blob')} (${bytes(size)})`);
  return `to ${name}${connected ? '' : ', which is away,'} ${parts.join(' and ')} to go`;
}
