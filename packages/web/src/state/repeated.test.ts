import { describe, expect, it } from 'vitest';
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
});
