import type { RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { Columns, SeriesFacts } from './columns.ts';
import { ColumnStore } from './columns.ts';

const RUN = 'a' as RunId;
const running = (count: number): SeriesFacts => ({ running: true, updated: 1, count });
const live = (step: number, value: number) => ({
  at: step * 10,
  metrics: new Map([['loss', value]]),
  steps: new Map([['loss', step]]),
});

/** A run that goes on: what its machine has recorded, and what was asked of it. */
class Machine {
  steps: number[] = [];
  readonly asked: (number | null)[] = [];
  sent = 0;
  now = 0;
  readonly store = new ColumnStore(
    async (_run, _metric, from) => this.#read(from),
    () => this.now,
  );

  record(...steps: number[]): void {
    this.steps.push(...steps);
  }

  async #read(from: number | null): Promise<Columns> {
    this.asked.push(from);
    const steps = Float64Array.from(this.steps.filter((step) => from === null || step >= from)).sort();
    this.sent += steps.length;
    return {
      steps,
      times: steps.map((step) => step * 10),
      values: steps.map((step) => step / 2),
      origin: 'fresh',
      note: null,
    };
  }

  async shown(facts: SeriesFacts = running(0)): Promise<number[]> {
    return [...(await this.store.of(RUN, 'loss', facts)).steps];
  }

  /** What asks in the background has answered. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }
}

describe('series that grow', () => {
  it('[CHT-13] are read once, then only what is new is asked for, and live values show before it', async () => {
    const machine = new Machine();
    machine.record(0, 1, 2);
    expect(await machine.shown()).toEqual([0, 1, 2]);
    machine.store.take(RUN, live(9, 4.5));
    machine.store.take(RUN, live(9, 4.5));
    machine.store.take(RUN, live(3, 1.5));
    expect(await machine.shown()).toEqual([0, 1, 2, 9]);
    expect(machine.asked).toEqual([null]);
    // What was logged between two live values comes later, and takes nothing away.
    machine.record(2, 3, 4, 5);
    machine.now += 5_000;
    await machine.shown();
    await machine.settled();
    expect(await machine.shown()).toEqual([0, 1, 2, 2, 3, 4, 5, 9]);
    expect(machine.asked).toEqual([null, 2]);
    machine.record(6, 7, 8, 9);
    machine.now += 5_000;
    await machine.shown();
    await machine.settled();
    expect(await machine.shown()).toEqual([0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(machine.asked).toEqual([null, 2, 5]);
  });

  it('[CHT-13] send no more than they grow, however often they are drawn', async () => {
    const machine = new Machine();
    for (let step = 0; step < 2_000; step++) {
      machine.record(step);
      machine.store.take(RUN, live(step, step));
      machine.now += 100;
      await machine.shown();
      await machine.settled();
    }
    const shown = await machine.shown();
    expect(shown.length).toBe(2_000);
    // Once each, and the last step again with each question.
    expect(machine.sent).toBeLessThan(2_000 + machine.asked.length + 1);
    expect(machine.asked.length).toBeLessThan(120);
  });

  it('[CHT-13] are read whole when a card knows of points further back, and when the run has ended', async () => {
    const machine = new Machine();
    machine.record(5, 6);
    await machine.shown();
    machine.record(1, 7);
    await machine.shown(running(4));
    await machine.settled();
    expect(await machine.shown(running(4))).toEqual([1, 5, 6, 7]);
    machine.record(8);
    expect(await machine.shown({ running: false, updated: 2, count: 5 })).toEqual([1, 5, 6, 7, 8]);
    const asked = machine.asked.length;
    expect(await machine.shown({ running: false, updated: 2, count: 5 })).toEqual([1, 5, 6, 7, 8]);
    expect(machine.asked.length).toBe(asked);
  });

  it('[CHT-13] what is made of them is made again only when they have grown, and memory is bounded', async () => {
    const machine = new Machine();
    machine.record(0, 1);
    let made = 0;
    const derive = () => machine.store.derive(RUN, 'loss', running(0), 'k', () => (made += 1));
    await derive();
    await derive();
    expect(made).toBe(1);
    machine.store.take(RUN, live(2, 1));
    await derive();
    expect(made).toBe(2);
    const big = new Float64Array(2_000_000);
    const store = new ColumnStore(
      async () => ({ steps: big, times: big, values: big, origin: 'fresh', note: null }),
      () => 0,
    );
    for (let index = 0; index < 6; index++)
      await store.of(`r${index}` as RunId, 'loss', { running: false, updated: 1, count: 0 });
    expect(store.bytes).toBeLessThan(100 * 1024 * 1024);
  });
});
