import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { canInstallPackages, installPackages } from './debian.mjs';

const NAMES = ['google-chrome', 'google-chrome-stable', 'chrome', 'chromium', 'chromium-browser'];
const APPLICATIONS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/** The one command for somebody who has to install it by hand. */
const ADVICE = process.platform === 'darwin' ? 'brew install --cask google-chrome' : 'sudo apt-get install -y chromium';

/**
 * A Chrome or Chromium of this machine: `FIELDBOOK_CHROMIUM`, else one on the path, else where macOS keeps it.
 *
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {string | null} the path of the program
 */
export function findChromium(env = process.env) {
  const named = env['FIELDBOOK_CHROMIUM'];
  if (named) return isProgram(named) ? named : null;
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...candidates, ...(process.platform === 'darwin' ? APPLICATIONS : [])].find(isProgram) ?? null;
}

/**
 * As `findChromium`, and installs Debian's where that is possible without asking.
 *
 * @param {(line: string) => void} say
 * @param {string} log
 * @returns {Promise<{ path: string } | { advice: string }>}
 */
export async function provideChromium(say, log) {
  const found = findChromium();
  if (found !== null) return { path: found };
  const named = process.env['FIELDBOOK_CHROMIUM'];
  if (named) return { advice: `FIELDBOOK_CHROMIUM names ${named}, which is not a program.` };
  if (canInstallPackages()) {
    say('installing Chromium (apt-get install chromium) …');
    await installPackages(['chromium'], log);
    const installed = findChromium();
    if (installed !== null) return { path: installed };
  }
  return { advice: `The browser tests need Chrome or Chromium. Run: ${ADVICE}` };
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
