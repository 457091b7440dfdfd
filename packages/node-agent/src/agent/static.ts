import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** Where the build of `@fieldbook/web` lies in this repository. */
export const WEB_DIST = fileURLToPath(new URL('../../../web/dist', import.meta.url));

/**
 * The files of the web UI. Only what was there when it was listed is ever served, so no path can lead out of the
 * directory. A name with a content hash never changes; everything else is asked for again each time.
 */
export class StaticSite {
  readonly #root: string;
  #files: Promise<Map<string, string>> | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  /** The answer for a path; paths of the app's own pages get `index.html`. `origin` is where the page connects back to. */
  async respond(path: string, ifNoneMatch: string | undefined, host: string): Promise<ApiResponse> {
    const files = await this.#list();
    const asked = safeDecode(path);
    const file = files.get(asked === '/' ? '/index.html' : asked);
    // Names of runs and projects may end in what looks like a file's: /r/lr-0.1
    if (file === undefined && extname(asked) !== '' && !/^\/[pr]\//.test(asked))
      return this.#respondText(404, 'There is no such file.\n');
    const found = file ?? files.get('/index.html');
    if (found === undefined)
      return this.#respondText(
        503,
        'The web UI is not built. Run "npm run build" in the repository; the API and the CLI work without it.\n',
      );
    const name = file === undefined ? '/index.html' : asked;
    const bytes = new Uint8Array(await readFile(found));
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    const hashed = /^\/assets\/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/.test(name);
    const headers = {
      ...(name === FRAME ? FRAME_HEADERS : securityHeaders(host)),
      etag,
      'cache-control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    };
    if (ifNoneMatch === etag) return { status: 304, headers, body: null };
    return {
      status: 200,
      headers: { ...headers, 'content-type': TYPES[extname(found)] ?? 'application/octet-stream' },
      body: bytes,
    };
  }

  #respondText(status: number, text: string): ApiResponse {
    // Not built yet may be built the next moment.
    this.#files = undefined;
    return {
      status,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
      body: new TextEncoder().encode(text),
    };
  }

  async #list(): Promise<Map<string, string>> {
    this.#files ??= listFiles(this.#root);
    return this.#files;
  }
}

async function listFiles(root: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  let entries: Dirent[];
  try {
    entries = await readdir(root, { recursive: true, withFileTypes: true });
  } catch {
    return files;
  }
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(`/${relative(root, path).split(sep).join('/')}`, path);
  }
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

/** No inline script, no foreign origin, no frame: a note or a run's name that smuggles markup finds nothing to run with. */
function securityHeaders(host: string): Record<string, string> {
  return {
    'content-security-policy': [
      "default-src 'self'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      "media-src 'self' blob:",
      `frame-src ${framesOf(host)} blob:`,
      `connect-src 'self' ws://${host}`,
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

function safeDecode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return '/';
  }
}
