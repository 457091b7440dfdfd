import { utf8 } from '@fieldbook/core';
import type { ApiResponse } from '@fieldbook/core/api';
import type { Home } from '../machine/home.ts';
import { openMachine } from '../machine/machine.ts';
import { jsonLog, parseLogLevel } from '../machine/ports.ts';
import { openServices } from '../machine/services.ts';
import type { Call, Client } from './client.ts';
import { decodeAnswer, pathOf } from './client.ts';

/**
 * The same API with no agent: the store is opened in this process, what lies in the journals is taken in, and
 * everything is closed again. While it is open an agent cannot start; commands hold it for as long as they take.
 */
export async function openDirect(home: Home, env: Readonly<Record<string, string | undefined>>): Promise<Client> {
  const log = jsonLog((line) => void process.stderr.write(line), parseLogLevel(env['FIELDBOOK_LOG']));
  const machine = await openMachine(home, env, log);
  const services = await openServices(machine, { watch: false }).catch(async (error: unknown) => {
    await machine.close();
    throw error;
  });
  const close = async (): Promise<void> => {
    await services.close();
    await machine.close();
  };
  try {
    await services.ingest.drain();
  } catch (error) {
    await close();
    throw error;
  }
  const ask = async (method: 'GET' | 'POST', path: string, call: Call, headers: object = {}): Promise<ApiResponse> => {
    const [bare, search = ''] = pathOf(path, call.query).split('?', 2);
    return services.api.handle({
      method,
      path: bare!,
      query: [...new URLSearchParams(search)],
      headers: { 'content-type': 'application/json', ...headers },
      body: call.body === undefined ? null : utf8(JSON.stringify(call.body)),
      access: { role: 'owner', name: null },
    });
  };
  return {
    kind: 'direct',
    url: null,
    call: async <T>(method: 'GET' | 'POST', path: string, call: Call = {}) => {
      const answer = await ask(method, path, call);
      return decodeAnswer<T>(
        answer.status,
        answer.body instanceof Uint8Array ? new TextDecoder().decode(answer.body) : '',
      );
    },
    download: async (path, query, headers) => {
      const { status, headers: answered, body } = await ask('GET', path, { ...(query && { query }) }, headers);
      if (status >= 400) decodeAnswer(status, body instanceof Uint8Array ? new TextDecoder().decode(body) : '');
      return {
        status,
        headers: answered,
        body: body instanceof Uint8Array ? once(body) : (body ?? once(new Uint8Array(0))),
      };
    },
    upload: async <T>(path: string, type: string, body: AsyncIterable<Uint8Array>) => {
      const answer = await services.api.handle({
        method: 'POST',
        path: pathOf(path),
        query: [],
        headers: { 'content-type': type },
        body: null,
        stream: body,
        access: { role: 'owner', name: null },
      });
      return decodeAnswer<T>(
        answer.status,
        answer.body instanceof Uint8Array ? new TextDecoder().decode(answer.body) : '',
      );
    },
    close,
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield await Promise.resolve(bytes);
}
