import { describe, expect, it } from 'vitest';
import type { Link } from '../../ports.ts';

/**
 * The contract of the Link port. `setup` gives the two ends of an open connection, and `settle`, which resolves when
 * everything sent or closed so far has arrived.
 */
export function linkContract(
  name: string,
  setup: () => Promise<{ a: Link; b: Link; settle(): Promise<void>; teardown(): Promise<void> }>,
): void {
  describe(`link contract: ${name}`, () => {
    it('[POR-3] delivers whole messages in order, both ways, never from inside of send', async () => {
      const { a, b, settle, teardown } = await setup();
      const got: number[][] = [];
      let sending = false;
      const receive = (message: Uint8Array): void => {
        expect(sending).toBe(false);
        expect(message.constructor).toBe(Uint8Array);
        got.push([...message.subarray(0, 3)]);
        if (message[0] === 1) b.send(new Uint8Array([9, message[1]!]));
      };
      a.onMessage = receive;
      b.onMessage = receive;
      sending = true;
      for (let index = 0; index < 50; index++) a.send(new Uint8Array([1, index]));
      const reused = new Uint8Array([2, 7, 7]);
      a.send(reused);
      reused.fill(0);
      a.send(new Uint8Array(0));
      expect(a.buffered()).toBeGreaterThanOrEqual(0);
      sending = false;
      await settle();
      const there = got.filter(([kind]) => kind !== 9);
      expect(there).toEqual([...Array.from({ length: 50 }, (_, index) => [1, index]), [2, 7, 7], []]);
      expect(got.filter(([kind]) => kind === 9)).toEqual(Array.from({ length: 50 }, (_, index) => [9, index]));
      expect([a.buffered(), b.buffered()]).toEqual([0, 0]);
      await teardown();
    });

    it('[POR-3] tells both ends of the end exactly once, after what was sent before it', async () => {
      const { a, b, settle, teardown } = await setup();
      const said: string[] = [];
      a.onMessage = () => said.push('a: message');
      b.onMessage = (message) => said.push(`b: ${message[0]}`);
      a.onClose = () => said.push('a closed');
      b.onClose = (code, reason) => said.push(`b closed: ${code} ${reason}`);
      a.send(new Uint8Array([5]));
      a.close(4401, 'no token');
      expect(said.filter((line) => line.includes('closed'))).toEqual([]);
      await settle();
      a.close(4400, 'again');
      a.send(new Uint8Array([6]));
      b.send(new Uint8Array([6]));
      b.close(4400, 'again');
      await settle();
      expect(said.filter((line) => line.startsWith('b'))).toEqual(['b: 5', 'b closed: 4401 no token']);
      expect(said.filter((line) => line.startsWith('a'))).toEqual(['a closed']);
      await teardown();
    });
  });
}
