import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { FieldbookError } from '@fieldbook/core';
import type { RelayConfig } from '../config/index.ts';
import { listen } from '../http/server.ts';
import type { RelayMetrics } from './metrics.ts';

const TOKEN_BYTES_MIN = 16;

/** A listener for `GET /metrics` that has started; null when the configuration has none. */
export interface MetricsListener {
  port: number;
  close(): void;
}

/**
 * Metrics have a port of their own, on loopback unless the configuration says otherwise, and then only for who shows the token
 * of `metrics.tokenFile`: they tell how much a team works and on what, and the relay's own port may be open to the world.
 */
export async function serveMetrics(config: RelayConfig, metrics: RelayMetrics): Promise<MetricsListener | null> {
  const port = config['metrics.port'];
  if (port === null) return null;
  const file = config['metrics.tokenFile'];
  const token = file === null ? undefined : readToken(file);
  const server: Server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    const answer = (status: number, text: string, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', ...headers });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    request.resume();
    if (request.url?.split('?')[0] !== '/metrics') return answer(404, 'Metrics are at /metrics.\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'Metrics can only be read.\n');
    const shown = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined && (shown === undefined || !timingSafeEqual(hashOf(shown), hashOf(token)))) {
      metrics.refused('unauthorized');
      return answer(401, 'This needs the token of metrics.tokenFile.\n', { 'www-authenticate': 'Bearer' });
    }
    metrics.registry.text().then(
      (text) => answer(200, text),
      (error: unknown) => answer(500, `${String(error)}\n`),
    );
  });
  const bound = await listen(server, port, config['metrics.host']);
  metrics.watchLoop();
  return {
    port: bound,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function readToken(path: string): string {
  let token: string;
  try {
    token = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new FieldbookError('config_invalid', `metrics.tokenFile: ${path} cannot be read: ${String(error)}`, {
      cause: error,
    });
  }
  if (token.length < TOKEN_BYTES_MIN)
    throw new FieldbookError(
      'config_invalid',
      `metrics.tokenFile: ${path} must hold at least ${TOKEN_BYTES_MIN} characters.`,
    );
  return token;
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
