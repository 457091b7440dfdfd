import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { followDirectory } from './followed-directory.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'fieldbook-followed-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const fail = (error: unknown): void => {
  throw error;
};

describe('a directory that is followed', () => {
  afterEach(() => vi.useRealTimers());

  it('[OPS-12] is looked at when something changes in it', async () => {
    const path = folder();
    const began = performance.now();
    const looked = new Promise<void>((resolve) => {
      const stop = followDirectory(path, async () => resolve(), fail);
      onTestFinished(stop);
    });
    writeFileSync(join(path, 'new'), '');
    await looked;
    // By the notification, long before the look that comes by itself.
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  it('[OPS-12] wakes nobody for a minute without that, and twice a second only where the system tells of nothing', () => {
    vi.useFakeTimers();
    let looks = 0;
    const look = async (): Promise<void> => void (looks += 1);
    const stop = followDirectory(folder(), look, fail);
    vi.advanceTimersByTime(59_000);
    expect(looks).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(looks).toBe(1);
    stop();
    const stopBlind = followDirectory(join(folder(), 'absent'), look, fail);
    vi.advanceTimersByTime(2_000);
    expect(looks).toBe(5);
    stopBlind();
    vi.advanceTimersByTime(120_000);
    expect(looks).toBe(5);
  });
});
