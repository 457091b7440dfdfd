import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { ApiResponse } from '@fieldbook/core/api';
import { siteFile, siteHeaders } from '@fieldbook/core/api';
import { PACKAGE_FOLDER } from '../package-folder.ts';

/** Where the build of `@fieldbook/web` lies in this repository. */
export const WEB_DIST = join(PACKAGE_FOLDER, '../web/dist');

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

  /** The answer for a path; paths of the app's own pages get `index.html`. `host` is where the page connects back to. */
  async respond(path: string, ifNoneMatch: string | undefined, host: string): Promise<ApiResponse> {
    const files = await this.#list();
    const name = siteFile(path, (each) => files.has(each));
    if (name === null) {
      return files.has('/index.html')
        ? this.#respondText(404, 'There is no such file.\n')
        : this.#respondText(
            503,
            'The web UI is not built. Run "npm run build" in the repository; the API and the CLI work without it.\n',
          );
    }
    const bytes = new Uint8Array(await readFile(files.get(name)!));
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    const headers = { ...siteHeaders(name, host, ['ws']), etag };
    return ifNoneMatch === etag ? { status: 304, headers, body: null } : { status: 200, headers, body: bytes };
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
