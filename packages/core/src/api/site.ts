/**
 * The pages of the web UI as a server answers for them: which file a path gets, and with which headers. Agent and relay serve the
 * same files; the policy that keeps what a run recorded from running in them is written once.
 */

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

/** Names that carry a hash of their content never mean something else. */
const HASHED = /^\/assets\/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;
const INDEX = '/index.html';
/** What a policy can name: anything else in a Host header names nothing. */
const HOST = /^[\w.:[\]-]+$/;

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

/**
 * The file that a request's path gets, of those that `has` knows by `/name`; null for none. Paths of the app's own pages get
 * `index.html`; names of runs and projects may end in what looks like a file's (`/r/lr-0.1`).
 */
export function siteFile(path: string, has: (name: string) => boolean): string | null {
  const asked = decoded(path);
  if (asked !== '/' && has(asked)) return asked;
  if (endingOf(asked) !== '' && !/^\/[pr]\//.test(asked)) return null;
  return has(INDEX) ? INDEX : null;
}

/**
 * Headers of one of the files: its type, how long it may be kept, and what it may do. `host` is the request's, and
 * `sockets` the schemes by which a page connects back to it.
 */
export function siteHeaders(name: string, host: string, sockets: readonly ('ws' | 'wss')[]): Record<string, string> {
  return {
    ...(name === FRAME ? FRAME_HEADERS : pageHeaders(host, sockets)),
    'cache-control': HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-type': TYPES[endingOf(name)] ?? 'application/octet-stream',
  };
}

/** No inline script, no foreign origin, one frame: a note or a run's name that smuggles markup finds nothing to run with. */
function pageHeaders(host: string, sockets: readonly string[]): Record<string, string> {
  const named = HOST.test(host);
  const back = named ? sockets.map((scheme) => ` ${scheme}://${host}`).join('') : '';
  // The only page that ours may frame, so that what runs in it cannot lead it anywhere.
  const frames = named ? `http://${host}${FRAME} https://${host}${FRAME}` : "'none'";
  return {
    'content-security-policy': [
      "default-src 'self'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      "media-src 'self' blob:",
      `frame-src ${frames} blob:`,
      `connect-src 'self'${back}`,
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

/** From the last dot of the last part on; empty for a part that only begins with one. */
function endingOf(path: string): string {
  return /[^/](\.[^./]*)$/.exec(path)?.[1] ?? '';
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return '/';
  }
}
