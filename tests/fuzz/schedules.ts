import type { DeviceId } from '@fieldbook/core';
import { openReplica } from '@fieldbook/core/replica';
import type { RestoreGuard } from '@fieldbook/core/store';
import type { FaultStorage } from '@fieldbook/core/testing';
import { afterPowerCut, FakeClock, memoryStorage, SeededRandom, testDevice } from '@fieldbook/core/testing';
import type { Machine, Tally } from './convergence.ts';
import { NOTHING, playSchedule } from './convergence.ts';

/** What lies beside a store and tells it from a copy. */
interface Beside {
  fingerprint: string;
  count: number | undefined;
}

let places = 0;

/** A machine on a disk in memory that outlives its replicas, and forgets what was not fsynced at a power cut. */
function memoryMachine(random: SeededRandom, device: DeviceId, start: number, disk?: FaultStorage): Machine {
  let storage = disk;
  let beside: Beside = { fingerprint: `place ${places++}`, count: undefined };
  let copy: { storage: FaultStorage; beside: Beside } | undefined;
  const clock = new FakeClock(start);
  const guard = (): RestoreGuard => ({
    fingerprint: beside.fingerprint,
    readCounter: () => Promise.resolve(beside.count),
    writeCounter: (count) => {
      beside.count = count;
      return Promise.resolve();
    },
  });
  return {
    device,
    clock,
    open: async () => openReplica({ storage: (storage ??= await memoryStorage()), device, random, guard: guard() }),
    async powerCut() {
      storage = await afterPowerCut(storage!);
    },
    async backUp() {
      copy = { storage: await afterPowerCut(storage!), beside: { ...beside } };
    },
    async restore(unnoticed) {
      if (copy === undefined) return false;
      // Once more from the copy: what is written from now on must not change it.
      storage = await afterPowerCut(copy.storage);
      if (unnoticed) beside = { ...copy.beside };
      return true;
    },
    clone: async () => memoryMachine(random, device, clock.now(), await afterPowerCut(storage!)),
  };
}

/** Plays the schedule of a seed. */
export async function play(seed: number, steps: number, tally: Tally): Promise<void> {
  const random = new SeededRandom(seed);
  const machines = Array.from({ length: 2 + random.int(4) }, () =>
    memoryMachine(random, testDevice(random), 1_768_478_400_000 + random.int(40) * 86_400_000),
  );
  await playSchedule(random, machines, steps, tally);
}

/** What each hundred schedules must produce: a third to a half of what they did when this was written. */
const ENOUGH: Tally = {
  edits: 500,
  cards: 400,
  conflicts: 50,
  attributeConflicts: 5,
  attributeEdits: 80,
  settled: 8,
  addsOverRemoves: 1,
  purges: 2,
  afterPurge: 2,
  restarts: 50,
  powerCuts: 50,
  partitions: 100,
  syncs: 800,
  lateLetters: 40,
  repeats: 300,
  refusedGaps: 90,
  severalMonths: 20,
  sessions: 300,
  cutSessions: 30,
  restores: 10,
  unnoticed: 4,
  forgotten: 10,
  clones: 8,
  clockJumps: 40,
  newer: 60,
};

/** Plays `count` schedules from seed `from` on. Resolves to what happened too seldom in them: a fuzz that tests nothing is none. */
export async function playMany(from: number, count: number): Promise<string[]> {
  const tally: Tally = { ...NOTHING };
  const began = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    try {
      await play(seed, 80, tally);
    } catch (error) {
      throw new Error(`FIELDBOOK_SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`convergence fuzz, seeds ${from} to ${from + count - 1}, ${seconds} s:`, JSON.stringify(tally));
  return Object.entries(ENOUGH)
    .filter(([what, least]) => tally[what as keyof Tally] < Math.floor((least * count) / 100))
    .map(([what]) => what);
}

/** The first seed; `FIELDBOOK_SEED` says another. */
export const FIRST_SEED = Number(process.env.FIELDBOOK_SEED ?? 1);
