import { expect, it } from 'vitest';
import { HybridClock } from '../hlc.ts';
import type { DeviceId, ProjectId, RunId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Edit } from '../record/index.ts';
import { FakeClock, SeededRandom } from '../testing/index.ts';
import { Author } from './author.ts';
import { foldRun } from './run.ts';

const RUN = 'run-1' as RunId;
const MNIST = 'mnist' as ProjectId;
const DAY_MS = 24 * 3_600_000;

interface Machine {
  clock: FakeClock;
  author: Author;
  edits: Map<string, Edit>;
}

function machineOf(n: number, random: SeededRandom): Machine {
  const clock = new FakeClock();
  const device = `d${String(n).padStart(24, '0')}` as DeviceId;
  return {
    clock,
    author: new Author({ device, by: `${n}`, hybrid: new HybridClock(clock), clock, random }),
    edits: new Map(),
  };
}

/** Machines whose clocks jump by up to `jumpMs` either way edit one name and meet now and then; edits in the order in which they were made. */
function history(seed: number, jumpMs: number): { machines: Machine[]; made: { edit: Edit; knew: Set<string> }[] } {
  const random = new SeededRandom(seed);
  const machines = Array.from({ length: 3 }, (_, n) => machineOf(n, random));
  const made: { edit: Edit; knew: Set<string> }[] = [];
  for (let step = 0; step < 60; step++) {
    const machine = random.pick(machines);
    if (random.chance(0.4)) machine.clock.advance(Math.round((random.float() * 2 - 1) * jumpMs));
    if (random.chance(0.4)) {
      const other = random.pick(machines);
      for (const edit of other.edits.values()) {
        machine.author.hybrid.observe(edit.at);
        machine.edits.set(edit.id, edit);
      }
    }
    const state = foldRun(RUN, MNIST, [], [...machine.edits.values()]);
    const edit = machine.author.edit(state, { field: 'name', op: 'set', value: `name ${seed} ${step}` });
    if (edit === null) throw new Error('a new name is a change');
    made.push({ edit, knew: new Set(machine.edits.keys()) });
    machine.edits.set(edit.id, edit);
    // What somebody types holds at once, where it is typed.
    expect(foldRun(RUN, MNIST, [], [...machine.edits.values()]).name).toBe(edit.value);
  }
  return { machines, made };
}

it('[HLC-6] however clocks jump within a day, an edit made in the knowledge of another has the later reading', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { made } = history(seed, LIMITS.clockAheadMs / 8);
    const at = new Map(made.map(({ edit }) => [edit.id as string, edit.at]));
    for (const { edit, knew } of made) for (const id of knew) expect(edit.at > at.get(id)!, `seed ${seed}`).toBe(true);
  }
});

it('[HLC-6] however far clocks jump, forwards and back, what was made in the knowledge of an edit holds over it on every replica', () => {
  const random = new SeededRandom(99);
  for (let seed = 1; seed <= 25; seed++) {
    const { made } = history(seed, 4_000 * DAY_MS);
    const all = made.map(({ edit }) => edit);
    const state = foldRun(RUN, MNIST, [], all);
    expect(foldRun(RUN, MNIST, [], random.shuffle(all)).name).toBe(state.name);
    const heads = new Set<string>(state.heads['name']);
    // An edit that somebody knew when they made another is in force nowhere where that other one is.
    for (const { knew } of made) for (const id of knew) expect(heads.has(id), `seed ${seed}`).toBe(false);
    expect(all.find(({ id }) => heads.has(id))).toBeDefined();
    // Each machine's own readings only ever grow.
    for (const device of new Set(all.map((edit) => edit.device))) {
      const own = all.filter((edit) => edit.device === device).map((edit) => edit.at as string);
      expect(own, `seed ${seed}`).toEqual([...new Set(own)].toSorted((a, b) => (a < b ? -1 : 1)));
    }
  }
});
