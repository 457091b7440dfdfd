// npm test [-- --long] [-- --only NAME,GROUP]: installs what is missing, then runs every check and every test.
//
// The last line of output is `N passed, N failed`; the exit status is 0 exactly when nothing failed. What each stage
// said lies in tests/.output/.
import { tooOld } from './lib/node-version.mjs';

const complaint = tooOld(process.versions.node);
if (complaint !== null) {
  console.error(complaint);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

// Only now, because an old Node could not parse what follows.
const { endWithParent } = await import('./lib/orphan.mjs');
endWithParent();
const { main } = await import('./lib/suite.mjs');
process.exitCode = await main(process.argv.slice(2));
