import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this package: it is looked for upwards, as a module runs from the sources, from `dist`, or as part of the bundled program. */
export const PACKAGE_FOLDER = above(dirname(fileURLToPath(import.meta.url)));

function above(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('The program lies in no package: package.json is missing.');
  return above(parent);
}
