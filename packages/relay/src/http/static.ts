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
      ...(asked === FRAME ? FRAME_HEADERS : securityHeaders(host)),
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

/** The page that shows pages of runs; `packages/web/public/frame.html`. */
const FRAME = '/frame.html';

/**
 * What it is served with: an origin of its own whoever opens it, its own scripts, and no request of any kind. Where it may be
 * navigated to is for the page around it to say (`frame-src`).
 */
const FRAME_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    'sandbox allow-scripts',
    "default-src 'none'",
    "script-src 'unsafe-inline' 'unsafe-eval' blob: data:",
    "style-src 'unsafe-inline' blob: data:",
    'img-src data: blob:',
    'font-src data: blob:',
    'media-src data: blob:',
    "connect-src 'none'",
    "frame-src 'none'",
    "worker-src 'none'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    "webrtc 'block'",
  ].join('; '),
  // Names no endpoint: neither peer connections nor early connections and look-ups, of which the policy above does not speak.
  'connection-allowlist': '()',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy':
    'camera=(), microphone=(), geolocation=(), display-capture=(), fullscreen=(), clipboard-read=(), clipboard-write=(), usb=(), serial=(), hid=(), midi=()',
};

/** No inline script, no foreign origin, no frame: a note that smuggles markup finds nothing to run with. */
function securityHeaders(host: string): Record<string, string> {
  const own = /^[\w.:[\]-]+$/.test(host) ? ` ws://${host} wss://${host}` : '';
  return {
    'content-security-policy': [
      "default-src 'self'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      "media-src 'self' blob:",
      `frame-src ${framesOf(host)} blob:`,
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

/** The only page that ours may frame, so that what runs in it cannot lead it anywhere. */
function framesOf(host: string): string {
  return /^[\w.:[\]-]+$/.test(host) ? `http://${host}${FRAME} https://${host}${FRAME}` : "'none'";
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
