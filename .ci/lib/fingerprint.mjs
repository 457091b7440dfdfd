import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const SKIPPED = new Set(['node_modules', 'dist', '.git']);

/**
 * SHA-256 over the names and bytes of all files in `inputs` (files or folders under `root`; missing ones count as
 * absent). Bytes, not times: a fresh clone, a checkout and a restored cache get the right answer. The tree is a few
 * hundred small files, so this costs tens of milliseconds.
 *
 * @param {string} root
 * @param {readonly string[]} inputs
 * @param {(path: string) => boolean} [counts] says which files count; all do without it
 * @returns {string}
 */
export function fingerprint(root, inputs, counts = () => true) {
  const hash = createHash('sha256');
  for (const path of inputs.flatMap((input) => filesUnder(root, input)).sort()) {
    if (!counts(path)) continue;
    const bytes = readFileSync(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/**
 * The files at or under `path`, relative to `root`; nothing if there is none.
 *
 * @param {string} root
 * @param {string} path
 * @returns {string[]}
 */
export function filesUnder(root, path) {
  const found = statSync(join(root, path), { throwIfNoEntry: false });
  if (found === undefined) return [];
  if (!found.isDirectory()) return [path];
  /** @type {string[]} */
  const files = [];
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const inside = `${path}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name)) files.push(...filesUnder(root, inside));
    } else if (entry.isFile()) files.push(inside);
  }
  return files;
}
