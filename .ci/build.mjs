// npm run build [-- NAME… --force]: builds what is stale.
import { build, TARGETS } from './lib/targets.mjs';

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const unknown = names.filter((name) => !TARGETS.some((target) => target.name === name));
if (unknown.length > 0) {
  console.error(
    `No such target: ${unknown.join(', ')}. There are: ${TARGETS.map((target) => target.name).join(', ')}.`,
  );
  process.exit(2);
}
const { built, failed, output } = build({
  ...(names.length > 0 ? { names } : {}),
  force: process.argv.includes('--force'),
  say: (line) => console.log(line),
});
if (failed.length > 0) {
  console.error(output);
  console.error(`Not built: ${failed.join(', ')}.`);
  process.exit(1);
}
console.log(built.length === 0 ? 'Everything is built.' : `Built ${built.join(', ')}.`);
