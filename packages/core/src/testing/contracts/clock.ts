import { describe, expect, it } from 'vitest';
import type { Clock, Random } from '../../ports.ts';

/** The contracts of the Clock and Random ports, as far as a program can tell. */
export function clockContract(name: string, clock: Clock): void {
  describe(`clock contract: ${name}`, () => {
    it('[POR-1] tells ms since the Unix epoch as a finite number', () => {
      const now = clock.now();
      expect(Number.isFinite(now)).toBe(true);
      expect(now).toBeGreaterThan(1_700_000_000_000);
      expect(clock.now() - now).toBeLessThan(60_000);
    });
  });
}

export function randomContract(name: string, random: Random): void {
  describe(`random contract: ${name}`, () => {
    it('[POR-2] gives as many bytes as asked for, fresh ones each time', () => {
      for (const length of [0, 1, 16, 1000]) expect(random.bytes(length)).toHaveLength(length);
      expect(random.bytes(16).constructor).toBe(Uint8Array);
      const seen = new Set(Array.from({ length: 1000 }, () => random.bytes(8).join()));
      expect(seen.size).toBe(1000);
      const mean = random.bytes(100_000).reduce((sum, byte) => sum + byte, 0) / 100_000;
      expect(Math.abs(mean - 127.5)).toBeLessThan(2);
    });
  });
}
