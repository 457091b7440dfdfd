import { describe, expect, it } from 'vitest';
import { LAST_TO_GO, MemoryBytes } from './bytes.ts';

const kept = (key: string, used: number) => ({ key, bytes: new Uint8Array(10), used, size: 10, note: null });

describe('bytes that are kept', () => {
  it('[BST-4] trimming lets go of the longest unused and of nothing that no server has', async () => {
    const bytes = new MemoryBytes();
    for (const each of [kept('new', 3), kept('unsent 1', LAST_TO_GO), kept('old', 1), kept('unsent 2', LAST_TO_GO)])
      await bytes.put(each);
    await bytes.trim(30);
    expect((await bytes.keys('')).toSorted()).toEqual(['new', 'unsent 1', 'unsent 2']);
    await bytes.trim(5);
    expect((await bytes.keys('')).toSorted()).toEqual(['unsent 1', 'unsent 2']);
  });
});
