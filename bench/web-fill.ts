import { openReplica } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { loadDevice } from '../packages/node-agent/src/machine/device.ts';
import { restoreGuard } from '../packages/node-agent/src/machine/guard.ts';
import { homeOf, makeHome } from '../packages/node-agent/src/machine/home.ts';
import { random } from '../packages/node-agent/src/machine/ports.ts';
import { openLevel } from '../packages/node-agent/src/machine/store.ts';
import { changesOf } from '../tests/e2e/fill.ts';
import type { Filling } from '../tests/e2e/fill.ts';

/**
 * Writes made-up runs into the store of a home before its agent starts. 100,000 runs through an agent's rooms take
 * minutes, since it judges every card; what is made here needs no judge.
 */
export async function fillHome(path: string, fillings: readonly Filling[]): Promise<void> {
  const home = homeOf({ FIELDBOOK_HOME: path });
  await makeHome(home);
  const device = await loadDevice(home.device, {});
  const storage = levelStorage(await openLevel(home.store));
  const replica = await openReplica({
    storage,
    device: device.id,
    random,
    guard: await restoreGuard(home),
    trusting: true,
  });
  try {
    for (const filling of fillings)
      for (const { document, change } of changesOf(filling)) await replica.transact(document, change);
    await replica.flush();
  } finally {
    await replica.close();
  }
}
