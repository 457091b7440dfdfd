import { describe, expect, it, vi } from 'vitest';
import { Repeated } from './repeated.ts';

describe('a question that is asked again and again', () => {
  it('[WEB-86] is asked again by what changes after a failure, and by what had changed meanwhile', async () => {
    const open: { resolve: (answer: string) => void; reject: (error: Error) => void }[] = [];
    const taken: string[] = [];
    const repeated = new Repeated(async () => {
      taken.push(await new Promise<string>((resolve, reject) => open.push({ resolve, reject })));
    });
    const first = repeated.run();
    open[0]!.reject(new Error('no server'));
    await expect(first).rejects.toThrow('no server');
    expect(repeated.isAsking).toBe(false);
    const second = repeated.run();
    await repeated.run();
    expect([repeated.isAsking, open.length]).toEqual([true, 2]);
    open[1]!.reject(new Error('no server'));
    await expect.poll(() => open.length).toBe(3);
    open[2]!.resolve('here');
    await second;
    expect([repeated.isAsking, open.length, taken]).toEqual([false, 3, ['here']]);
  });

  it('[WEB-86] with a pause is asked no sooner than that after the last answer, once for all that changed', async () => {
    vi.useFakeTimers();
    try {
      let asked = 0;
      const repeated = new Repeated(async () => void (asked += 1), 3_000);
      void repeated.run();
      for (let change = 0; change < 20; change++) {
        await vi.advanceTimersByTimeAsync(100);
        void repeated.run();
      }
      expect(asked).toBe(1);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(asked).toBe(2);
      await vi.advanceTimersByTimeAsync(10_000);
      expect([asked, repeated.isAsking]).toEqual([2, false]);
      void repeated.run();
      expect(asked).toBe(3);
    } finally {
      vi.useRealTimers();
    }
  });
});
