import { fileURLToPath } from 'node:url';

/** The root folder of the repository, wherever the command was started from. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/[/\\]$/, '');

/** Where the machinery keeps what can be deleted at any time. */
export const CACHE = `${ROOT}/node_modules/.cache/fieldbook`;
