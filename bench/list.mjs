import { readdirSync } from 'node:fs';

/** @returns {string[]} the names of the benchmarks: every `<name>.bench.ts` or `<name>.bench.mjs` of this folder */
export function listBenches() {
  return readdirSync(new URL('.', import.meta.url))
    .map((file) => /^([a-z0-9-]+)\.bench\.(?:ts|mjs)$/.exec(file)?.[1])
    .filter((name) => name !== undefined)
    .sort();
}
