import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import type { ApiResponse } from '@fieldbook/core/api';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.map': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
};

interface StaticFile {
  path: string;
  type: string;
  immutable: boolean;
}

/**
 * The files of the web UI, which hold nothing of anybody's and need no token. Only what was there when the directory
 * was listed is ever served, so no path leads out of it.
 */
export class StaticSite {
  readonly #root: string;
  #files: Map<string, StaticFile> | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  /** The answer for a path; paths of the app's own pages get `index.html`. */
  async respond(path: string, ifNoneMatch: string | undefined, host: string): Promise<ApiResponse> {
    this.#files ??= await listFiles(this.#root);
    const asked = decode(path);
    const file = this.#files.get(asked) ?? (extname(asked) === '' ? this.#files.get('/index.html') : undefined);
    if (file === undefined) {
      const built = this.#files.has('/index.html');
      // Not built now may be built the next moment.
      if (!built) this.#files = undefined;
      return text(
        built ? 404 : 503,
        built ? 'There is no such file.\n' : 'The web UI is not built; the relay works without it.\n',
      );
    }
    const bytes = new Uint8Array(await readFile(file.path));
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    const headers = {
      ...securityHeaders(host),
      etag,
      'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    };
    if (ifNoneMatch === etag) return { status: 304, headers, body: null };
    return { status: 200, headers: { ...headers, 'content-type': file.type }, body: bytes };
  }
}

async function listFiles(root: string): Promise<Map<string, StaticFile>> {
  const files = new Map<string, StaticFile>();
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = `/${relative(root, path).split(sep).join('/')}`;
    // Names that carry a hash of their content never mean something else.
    const immutable = /^\/assets\/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/.test(name);
    files.set(name, { path, immutable, type: TYPES[extname(name)] ?? 'application/octet-stream' });
  }
  const index = files.get('/index.html');
  if (index !== undefined) files.set('/', index);
  return files;
}

/** No inline script, no foreign origin, no frame: a note that smuggles markup finds nothing to run with. */
function securityHeaders(host: string): Record<string, string> {
  const own = /^[\w.:[\]-]+$/.test(host) ? ` ws://${host} wss://${host}` : '';
  return {
    'content-security-policy': [
      "default-src 'self'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      `connect-src 'self'${own}`,
      "worker-src 'self'",
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  };
}

function text(status: number, body: string): ApiResponse {
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  return { status, headers, body: new TextEncoder().encode(body) };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return '/';
  }
}
