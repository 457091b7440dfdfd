// The process of one benchmark; started by run.mjs with: the bundled file, what to do, whether it is a smoke run.
import { pathToFileURL } from 'node:url';

const [, , file = '', what, smoke] = process.argv;
const { bench, harness } = await import(pathToFileURL(file).href);

if (what === 'describe') {
  process.send?.({ about: bench.about, needs: bench.needs ?? [] }, () => process.exit(0));
} else {
  const machine = harness.describeMachine();
  const rows = await bench.run({ smoke: smoke === 'true', machine });
  if (rows.length === 0) throw new Error('The benchmark returned no rows.');
  for (const row of rows) harness.row(row);
  // What a benchmark leaves open does not keep its process.
  process.send?.({ bench: bench.name, machine, rows }, () => process.exit(0));
}
