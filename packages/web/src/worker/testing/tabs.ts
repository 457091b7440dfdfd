import { vi } from 'vitest';

/** What tabs of one browser share, for tests: a lock that one has at a time, and channels on which each hears the others. Ends with `vi.unstubAllGlobals`. */
export function shareTabs(): void {
  let last: Promise<unknown> = Promise.resolve();
  const request = (_name: string, ...rest: [work: () => Promise<void>] | [object, () => Promise<void>]) => {
    const turn = last.then(rest.at(-1) as () => Promise<void>);
    last = turn.catch(() => undefined);
    return turn;
  };
  vi.stubGlobal('navigator', { locks: { request } });
  const channels = new Set<{ onmessage: ((event: { data: unknown }) => void) | null }>();
  vi.stubGlobal(
    'BroadcastChannel',
    class {
      onmessage: ((event: { data: unknown }) => void) | null = null;
      constructor() {
        channels.add(this);
      }
      postMessage(data: unknown): void {
        for (const each of channels) if (each !== this) queueMicrotask(() => each.onmessage?.({ data }));
      }
    },
  );
}
