import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { install } from './install.mjs';
import { ROOT } from './paths.mjs';
import { build } from './targets.mjs';

/** What `npm start` runs; the relay is started by those who want one. */
const NEEDED = ['core', 'node-agent', 'web'];

/**
 * Makes the agent runnable. With nothing to do it asks no network and takes a fraction of a second.
 *
 * @param {(line: string) => void} say progress for a person
 * @returns {string | null} the program's path, or null after having said what went wrong
 */
export function prepare(say) {
  const installed = install(say);
  if (!installed.ok) {
    console.error(installed.output);
    console.error('The packages could not be installed: npm ci failed, see above.');
    return null;
  }
  const { failed, output } = build({ names: NEEDED, say });
  if (failed.length > 0) {
    console.error(output);
    console.error(`These parts could not be built: ${failed.join(', ')}, see above.`);
    return null;
  }
  const program = join(ROOT, 'packages/node-agent/bin/fieldbook.mjs');
  if (!existsSync(program)) {
    console.error(`There is no agent in this checkout: ${program} is missing.`);
    return null;
  }
  return program;
}
