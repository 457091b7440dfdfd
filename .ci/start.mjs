// npm start: from a fresh clone, or the tenth time today, to a running agent.
//
// Installs and builds what is missing and nothing else, then becomes `fieldbook up --foreground` with the arguments
// that were given: the program is imported, not spawned, so there is one process to stop and signals need no courier.
import { tooOld } from './lib/node-version.mjs';

const complaint = tooOld(process.versions.node);
if (complaint !== null) {
  console.error(complaint);
  process.exit(1);
}

// Only now, because an old Node could not parse what follows.
const { endWithParent } = await import('./lib/orphan.mjs');
endWithParent();
const { prepare } = await import('./lib/prepare.mjs');
const program = prepare((line) => console.log(line));
if (program === null) process.exit(1);

process.argv = [process.execPath, program, 'up', '--foreground', ...process.argv.slice(2)];
const { pathToFileURL } = await import('node:url');
await import(pathToFileURL(program).href);
