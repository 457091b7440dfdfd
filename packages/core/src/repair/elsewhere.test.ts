import { expect, it } from 'vitest';
import * as Y from 'yjs';
import type { DocumentName } from '../ids.ts';
import type { ElsewherePorts } from './elsewhere.ts';
import { documentElsewhere } from './elsewhere.ts';

const NAME = 'book/mnist/2026-11' as DocumentName;
const asked: { address: string; headers: Record<string, string> }[] = [];

function ports(answer: { status: number; generation?: string; body?: Uint8Array; says?: unknown }): ElsewherePorts {
  const never = (): never => {
    throw new Error('asked for');
  };
  return {
    platform: undefined as never,
    tokenFor: (origin) => (origin === 'https://relay:4280' ? 'fbt_secret' : undefined),
    fetch: async (address, { headers }) => {
      asked.push({ address, headers });
      return {
        ok: answer.status === 200,
        status: answer.status,
        headers: { get: (name) => (name === 'fieldbook-generation' ? (answer.generation ?? null) : null) },
        json: async () => answer.says,
        arrayBuffer: async () => new Uint8Array(answer.body ?? []).buffer,
      };
    },
    stat: async () => undefined,
    read: never,
    openStorage: never,
  };
}

it('a document at an address is asked for with the token of that server and nobody else’s, and says its generation', async () => {
  const doc = new Y.Doc();
  doc.getMap('edits').set('a', new Uint8Array([1]));
  const body = Y.encodeStateAsUpdate(doc);
  const found = await documentElsewhere(ports({ status: 200, generation: '7', body }), 'https://relay:4280/p/x', NAME);
  expect(found).toEqual({ generation: 7, updates: [body] });
  await documentElsewhere(ports({ status: 200, body }), 'http://other', NAME);
  expect(asked).toEqual([
    { address: `https://relay:4280/api/v1/documents/${NAME}`, headers: { authorization: 'Bearer fbt_secret' } },
    { address: `http://other/api/v1/documents/${NAME}`, headers: {} },
  ]);
});

it('what an address or a path does not have is said in words', async () => {
  const says = { error: { message: 'No such document.' } };
  await expect(documentElsewhere(ports({ status: 404, says }), 'http://other', NAME)).rejects.toMatchObject({
    code: 'not_found',
    message: `other does not give ${NAME}: No such document.`,
  });
  await expect(documentElsewhere(ports({ status: 200, generation: 'x' }), 'http://other', NAME)).rejects.toMatchObject({
    code: 'protocol_violation',
  });
  const unreachable = { ...ports({ status: 200 }), fetch: async () => Promise.reject(new Error('refused')) };
  await expect(documentElsewhere(unreachable, 'http://other', NAME)).rejects.toMatchObject({
    code: 'peer_unreachable',
  });
  await expect(documentElsewhere(ports({ status: 200 }), '/no/such', NAME)).rejects.toMatchObject({
    code: 'not_found',
  });
});
