import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as keys from './keys.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

async function keysOf(userAgent: string): Promise<Pick<typeof keys, 'isTrashKey' | 'KEYS'>> {
  vi.stubGlobal('navigator', { userAgent });
  return import('./keys.ts');
}

describe('the key for the trash', () => {
  it('is Delete, and on a Mac, whose keyboards have none, also the one that is there', async () => {
    const mac = await keysOf('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)');
    expect([mac.isTrashKey('Backspace'), mac.isTrashKey('Delete'), mac.isTrashKey('d')]).toEqual([true, true, false]);
    const listed = mac.KEYS.flatMap((group) => group.keys).find(([, does]) => does === 'Move to the trash');
    expect(listed?.[0]).toBe('⌫');
  });

  it('is no key that deletes letters elsewhere', async () => {
    const other = await keysOf('Mozilla/5.0 (X11; Linux x86_64)');
    expect([other.isTrashKey('Backspace'), other.isTrashKey('Delete')]).toEqual([false, true]);
  });
});
