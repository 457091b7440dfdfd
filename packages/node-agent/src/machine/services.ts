import type { RunId } from '@fieldbook/core';
import { bookName, monthOf, runDocumentName } from '@fieldbook/core';
import type { Api, FollowSource } from '@fieldbook/core/api';
import { BlobPull } from '@fieldbook/core/replication';
import { liveSource, LiveVoice, Presence } from '@fieldbook/core/rooms';
import { checkBlobs, evict, FileKeeper, findIncomplete, repairBlobs, Spools } from '../files/index.ts';
import type { Ingest, LiveMetrics } from '../ingest/index.ts';
import { startIngest } from '../ingest/index.ts';
import { copyDemo } from './demo.ts';
import { Following, runOf } from './following.ts';
import { changeConfig } from './config.ts';
import type { Machine } from './machine.ts';
import { clock, random, timers } from './ports.ts';
import { Relays } from './relays.ts';
import { diskOf } from './store.ts';

/** What works on a machine besides answering: ingest, replication, live values. */
export interface Services {
  api: Api;
  presence: Presence;
  relays: Relays;
  following: Following;
  ingest: Ingest;
  files: FileKeeper;
  close(): Promise<void>;
}

/** `watch`: go on taking journals in and exchanging with relays (an agent), or only when asked to (a command). */
export async function openServices(machine: Machine, { watch }: { watch: boolean }): Promise<Services> {
  const { replica, device, log, home, config } = machine;
  const presence = new Presence(clock);
  const voice = new LiveVoice({ presence, clock, random });
  const following = await Following.open(replica, config.follow, timers);
  const relays = await Relays.open(machine, presence, following);
  const reading = relays.fetching(machine.blobs);
  const points = new BlobPull({
    replica,
    blobs: machine.blobs,
    fetch: (digest) => reading.read(digest),
    requested: machine.requested,
    pointsOf: (name) => following.isPinned(runOf(name)),
    onFetched: (name) => relays.offer([name]),
    timers,
    log,
  });
  const files = new FileKeeper({
    replica,
    blobs: machine.blobs,
    device: device.id,
    spools: new Spools(home.journals, config.journals),
    clock,
    timers,
    log,
    disk: () => diskOf(home.blobs),
  });
  const ingest = await startIngest({
    replica,
    blobs: machine.blobs,
    spool: files,
    home,
    directories: config.journals,
    clock,
    timers,
    device: device.id,
    log,
    watch,
    onLive: (values) => void say(machine, voice, values),
  });
  if (watch) {
    relays.start();
    // It looks at all run documents once, which most machines have no reason for.
    if (following.pinned.length > 0) points.start();
    files.start();
  }
  const care = { replica, blobs: machine.blobs, fetching: relays.fetching(machine.blobs), device: device.id, clock };
  const api = machine.api({
    sync: relays,
    live: liveSource(presence),
    follow: followSource(
      machine,
      relays,
      following,
      watch
        ? (run) => {
            points.start();
            points.look(runDocumentName(run));
          }
        : undefined,
    ),
    blobs: relays.fetching(machine.blobs),
    journals: () => {
      const { writers, running, problems } = ingest.status();
      return { writers, running, problems: problems.map(({ path, code, message }) => ({ path, code, message })) };
    },
    files: () => files.status(),
    actions: {
      join: (request) => relays.join(request),
      adopt: (id, name) => machine.membership.adopt(id, name),
      leave: (request) => relays.leave(request),
      pause: (request) => relays.pause(request),
      limit: (request) => relays.limit(request),
      retry: async () => {
        await relays.retry();
        points.retry();
      },
      demo: async () => {
        const loaded = await copyDemo(home);
        await ingest.drain();
        return loaded;
      },
      drain: async () => {
        await ingest.drain();
        await files.drain();
        relays.start();
      },
      evict: (request) =>
        evict(
          {
            replica,
            blobs: machine.blobs,
            clock,
            random,
            peers: relays.blobPeers(),
            holders: (document) => relays.holders(document),
          },
          request,
        ),
      checkBlobs: (after) => checkBlobs(care, after),
      findIncomplete: () => findIncomplete(care),
      repairBlobs: (digests) => repairBlobs(care, digests),
    },
  });
  return {
    api,
    presence,
    relays,
    following,
    ingest,
    files,
    close: async () => {
      api.close();
      await ingest.close();
      await files.close();
      await points.stop();
      await relays.close();
      following.close();
    },
  };
}

function followSource(
  { home }: Machine,
  relays: Relays,
  following: Following,
  pointsOf?: (run: RunId) => void,
): FollowSource {
  return {
    state: async () => ({
      ...following.settings,
      pinned: following.pinned,
      elsewhere: await relays.elsewhere(),
    }),
    change: async (follow) => {
      await changeConfig(home, { follow });
      await following.change(follow);
    },
    pin: async (run, pinned) => {
      await following.pin(run, pinned);
      pointsOf?.(run);
    },
    bring: (run) => relays.bring(run),
  };
}

/** Live values go to the room of the book that holds the run's card, where everybody looks who looks at the project. */
async function say(machine: Machine, voice: LiveVoice, { run, project, at, metrics }: LiveMetrics): Promise<void> {
  const state = await machine.library.run(project, run).catch(() => undefined);
  if (state !== undefined) voice.say(bookName(project, monthOf(state.created)), { run, at, metrics });
}
