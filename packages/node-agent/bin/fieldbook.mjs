#!/usr/bin/env node
// Nothing but the way in, in syntax that an old Node can still read and refuse politely.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`fieldbook needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

const main = await import('../dist/program/main.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.error(`fieldbook is not built (${error.message}).\nRun "npm run build" in the repository, or "npm start".`);
  process.exit(1);
});
await main.main(process.argv.slice(2));
