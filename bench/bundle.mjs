import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { CACHE, ROOT } from '../.ci/lib/paths.mjs';

const ENTRY = 'virtual:fieldbook-bench';

/**
 * Bundles a benchmark with the packages' sources into one plain file of JavaScript, so that what is measured is the
 * code that users run and not a loader's transformation of it. Installed packages stay where they are.
 *
 * @param {string} name
 * @returns {Promise<string>} the file; it exports `bench` and `harness`
 */
export async function bundleBench(name) {
  const source = ['ts', 'mjs'].map((ending) => join(ROOT, `bench/${name}.bench.${ending}`)).find(existsSync);
  if (source === undefined) throw new Error(`There is no benchmark ${name}.`);
  const conditions = ['source', 'module', 'node', 'production'];
  const outDir = join(CACHE, 'bench');
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions },
    ssr: { noExternal: [/^@fieldbook\//], resolve: { conditions, externalConditions: ['node'] } },
    plugins: [
      {
        name: 'fieldbook-bench',
        resolveId: (id) => (id === ENTRY ? `\0${ENTRY}` : null),
        load: (id) =>
          id === `\0${ENTRY}`
            ? `export { default as bench } from ${JSON.stringify(source)};
               export * as harness from ${JSON.stringify(join(ROOT, 'bench/harness.ts'))};`
            : null,
      },
    ],
    build: {
      ssr: true,
      target: 'node20',
      outDir,
      emptyOutDir: false,
      copyPublicDir: false,
      minify: false,
      sourcemap: true,
      rolldownOptions: { input: { [name]: ENTRY }, output: { entryFileNames: '[name].mjs', codeSplitting: false } },
    },
  });
  return join(outDir, `${name}.mjs`);
}
