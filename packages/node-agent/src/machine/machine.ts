import type { BlobStore, Log } from '@fieldbook/core';
import type { FileBlobStore } from '@fieldbook/core/blobs';
import { HybridClock } from '@fieldbook/core';
import type {
  Api,
  ApiActions,
  FileHealth,
  FollowSource,
  JournalHealth,
  LiveSource,
  SyncSource,
} from '@fieldbook/core/api';
import { createApi } from '@fieldbook/core/api';
import { FilePresence, RequestedFiles } from '@fieldbook/core/files';
import { Author } from '@fieldbook/core/fold';
import { Library } from '@fieldbook/core/library';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { VERSION } from '../version.ts';
import { fileBlobs, sha256 } from './blobs.ts';
import { bundlePlatform } from './bundles.ts';
import type { Config } from './config.ts';
import { readConfig } from './config.ts';
import type { Device } from './device.ts';
import { loadDevice } from './device.ts';
import { restoreGuard } from './guard.ts';
import type { Home } from './home.ts';
import { makeHome } from './home.ts';
import { personName } from './person.ts';
import { clock, gunzip, gzipBytes, random, timers } from './ports.ts';
import { lookingAfter, openLevel } from './store.ts';
import { measureHome } from './usage.ts';
import { introduce, Membership } from './workspace.ts';

/** Everything that one home holds, open in this process: the agent for long, a command of the CLI for a moment. */
export interface Machine {
  home: Home;
  config: Config;
  device: Device;
  replica: Replica;
  library: Library;
  blobs: FileBlobStore;
  /** Which files people have asked for, and which are whole here. */
  requested: RequestedFiles;
  presence: FilePresence;
  membership: Membership;
  author: Author;
  log: Log;
  /** The HTTP API over all of it; `sync`, `live` and `actions` come from who opened the machine. */
  api(parts: {
    sync: SyncSource;
    live: LiveSource;
    follow: FollowSource;
    actions: ApiActions;
    journals(): JournalHealth;
    files(): FileHealth;
    blobs?: BlobStore;
  }): Api;
  close(): Promise<void>;
}

/** Opens a home, making what is missing. Throws `store_locked` while another process has the store. */
export async function openMachine(
  home: Home,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): Promise<Machine> {
  await makeHome(home);
  const config = await readConfig(home);
  const device = await loadDevice(home.device, env);
  const by = await personName(env, config.person);
  const storage = levelStorage(await openLevel(home.store), lookingAfter(home.store));
  const { deflate, inflate } = bundlePlatform;
  const history = { clock, deflate, inflate, ...config.history };
  const guard = await restoreGuard(home);
  const replica = await openReplica({ storage, device: device.id, key: device, random, guard, log, history }).catch(
    async (error: unknown) => {
      await storage.close();
      throw error;
    },
  );
  const library = await Library.open(replica, log);
  const membership = await Membership.open(replica);
  const author = new Author({ device: device.id, by, hybrid: new HybridClock(clock), clock, random });
  const blobs = fileBlobs(home.blobs);
  const requested = new RequestedFiles(replica, log);
  const presence = new FilePresence(blobs, clock);
  await introduce(replica, device);
  return {
    home,
    config,
    device,
    replica,
    library,
    blobs,
    requested,
    presence,
    membership,
    author,
    log,
    api: (parts) =>
      createApi({
        program: { name: 'fieldbook', version: VERSION },
        role: 'agent',
        replica,
        library,
        author,
        series: new SeriesReader(parts.blobs ?? blobs, { gunzip }),
        clock,
        timers,
        log,
        gzip: gzipBytes,
        bundles: { ...bundlePlatform, random, signer: device },
        sha256,
        requested,
        presence,
        travel: config.files,
        workspace: async () => membership.info,
        storage: () => measureHome({ home, storage, replica, blobs }),
        ...parts,
        blobs,
        fetching: parts.blobs ?? blobs,
      }),
    close: async () => {
      library.close();
      requested.close();
      await replica.close();
    },
  };
}
