import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { ApiResponse } from '@fieldbook/core/api';
import { siteFile, siteHeaders } from '@fieldbook/core/api';

/**
 * The files of the web UI, which hold nothing of anybody's and need no token. Only what was there when the directory
 * was listed is ever served, so no path leads out of it.
 */
export class StaticSite {
  readonly #root: string;
  #files: Map<string, string> | undefined;
  /** A few megabytes, that whoever reads slowly or not at all shares with everybody: nobody needs a token to ask. */
  readonly #kept = new Map<string, { of: string; file: Promise<SiteFile> }>();

  constructor(root: string) {
    this.#root = root;
  }

  /** The answer for a path; paths of the app's own pages get `index.html`. `host` is where the page connects back to. */
  async respond(path: string, ifNoneMatch: string | undefined, host: string): Promise<ApiResponse> {
    const files = (this.#files ??= await listFiles(this.#root));
    const name = siteFile(path, (each) => files.has(each));
    if (name === null) {
      const built = files.has('/index.html');
      // Not built now may be built the next moment.
      if (!built) this.#files = undefined;
      return text(
        built ? 404 : 503,
        built ? 'There is no such file.\n' : 'The web UI is not built; the relay works without it.\n',
      );
    }
    const { bytes, etag } = await this.#read(files.get(name)!);
    const headers = { ...siteHeaders(name, host, ['ws', 'wss']), etag };
    return ifNoneMatch === etag ? { status: 304, headers, body: null } : { status: 200, headers, body: bytes };
  }

  /** As it is now, once for all who ask. */
  async #read(path: string): Promise<SiteFile> {
    const { mtimeMs, size } = await stat(path);
    const of = `${mtimeMs} ${size}`;
    const known = this.#kept.get(path);
    if (known?.of === of) return known.file;
    const file = readSiteFile(path);
    this.#kept.set(path, { of, file });
    file.catch(() => this.#kept.delete(path));
    return file;
  }
}

interface SiteFile {
  bytes: Uint8Array;
  etag: string;
}

async function readSiteFile(path: string): Promise<SiteFile> {
  const bytes = new Uint8Array(await readFile(path));
  return { bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` };
}

async function listFiles(root: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(`/${relative(root, path).split(sep).join('/')}`, path);
  }
  return files;
}

function text(status: number, body: string): ApiResponse {
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  return { status, headers, body: new TextEncoder().encode(body) };
}
