import { build } from '../../.ci/lib/targets.mjs';

/**
 * Builds what is stale. A target that fails is said and not thrown: `tsc` emits in spite of type errors, which are
 * another check's business, and the tests of the other packages can still run.
 */
export function buildForTests(names: readonly string[]): void {
  const { failed, output } = build({ names });
  if (failed.length === 0) return;
  // A package's errors come again with each package that needs it.
  const lines = [...new Set(output.trimEnd().split('\n'))].slice(0, 20).join('\n');
  console.warn(`${lines}\nNot built cleanly: ${failed.join(', ')}. Tests run with what there is.`);
}
