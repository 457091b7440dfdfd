import { join } from 'node:path';

/**
 * Where what a stage said is kept.
 *
 * @param {string} folder
 * @param {string} stage
 */
export function logOf(folder, stage) {
  return join(folder, `${stage.replaceAll(' ', '-')}.log`);
}

/** @param {number} ms */
export function seconds(ms) {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/**
 * The last lines of what a program said, without colours.
 *
 * @param {string} output
 * @param {number} lines
 */
export function tail(output, lines) {
  const all = output
    .replaceAll(/\u001b\[[0-9;]*[A-Za-z]/g, '')
    .trimEnd()
    .split('\n');
  const shown = all.slice(-lines).map((line) => `    ${line}`);
  return [...(all.length > lines ? [`    … ${all.length - lines} lines before`] : []), ...shown].join('\n');
}

/**
 * One line about a stage that has ended.
 *
 * @param {string} name
 * @param {import('./counts.mjs').Counts} counts
 * @param {number} ms
 */
export function stageLine(name, { passed, failed, skipped }, ms) {
  const parts = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(passed + failed > 1 ? [`${passed} passed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
    seconds(ms),
  ];
  return `${failed > 0 ? '✗' : '✓'} ${name.padEnd(18)} ${parts.join(', ')}`;
}
