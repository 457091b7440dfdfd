import { FieldbookError } from '@fieldbook/core';
import { Audit } from '../audit.ts';
import { PeerList, peerUrl } from '../peer-list.ts';
import { openDirectory } from '../platform/data.ts';
import type { DataOption } from './program.ts';

interface JsonOption extends DataOption {
  json?: boolean;
}

/** `peer add`: works while the relay runs, which notices within a second. The token never stands in a process list or a history. */
export async function addPeer(link: string, options: JsonOption & { token?: string }): Promise<void> {
  const [address, fragment] = link.split('#', 2);
  const url = peerUrl(address!);
  const inLink = new URLSearchParams(fragment ?? '').get('token');
  const given = options.token === '-' ? (await readStdin()).trim() : options.token;
  const token = given ?? inLink ?? '';
  if (token === '')
    throw new FieldbookError(
      'invalid_argument',
      `Give a member's token of ${url}: --token - reads it from stdin. Whoever runs that relay makes one with "fieldbook-relay token create".`,
    );
  const { list, audit } = await openList(options);
  await list.add(url, token);
  audit.record('peer.added', { url, by: 'command line' });
  await audit.close();
  if (options.json === true) print({ url });
  else
    process.stderr.write(
      `Added ${url}. A running relay connects within a second; GET /api/v1/sync says how it goes.\n`,
    );
}

export async function listPeers(options: JsonOption): Promise<void> {
  const peers = (await (await openList(options)).list.list()).map(({ url, added }) => ({ url, added }));
  if (options.json === true) print({ peers });
  else if (peers.length === 0)
    process.stderr.write('There are no peers; add another relay with "fieldbook-relay peer add".\n');
  else
    for (const { url, added } of peers)
      process.stdout.write(`${url}  since ${new Date(added).toISOString().slice(0, 16).replace('T', ' ')}\n`);
}

export async function removePeer(link: string, options: JsonOption): Promise<void> {
  const url = peerUrl(link);
  const { list, audit } = await openList(options);
  await list.remove(url);
  audit.record('peer.removed', { url, by: 'command line' });
  await audit.close();
  if (options.json === true) print({ removed: url });
  else process.stderr.write(`Removed ${url}. What was exchanged stays on both sides.\n`);
}

async function openList({ data }: DataOption): Promise<{ list: PeerList; audit: Audit }> {
  const directory = await openDirectory(data);
  return {
    list: await PeerList.open(directory.peers),
    audit: new Audit(directory.audit, {
      failed: (error) => process.stderr.write(`warning: the audit log cannot be written: ${String(error)}\n`),
    }),
  };
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
