import type { ProjectId, RunId } from '@fieldbook/core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Alone } from './alone.ts';
import type { Http } from './http.ts';
import type { PeerState, SyncState, Unshared } from './sync-api.ts';
import type { SyncReader } from './sync.ts';
import { shareTabs } from './testing/tabs.ts';

const RELAY = { url: 'https://relay', connected: true, paused: false, problem: null } as PeerState;
const state = (lastSeq: number, ...peers: Partial<PeerState>[]): SyncState => ({
  lastSeq,
  settled: false,
  peers: peers.map((peer) => ({ ...RELAY, pushedThrough: 0, pendingDocuments: 0, pendingBlobs: 0, ...peer })),
});
const one: Unshared = {
  runs: ['a'],
  runCount: 1,
  projects: [{ project: 'digits', runs: 1, changes: true }],
  complete: true,
};

/** A tab of a browser whose agent says `say`, and answers with `answer`. */
function tab(asked: string[], answer: () => Unshared) {
  let listener: Parameters<SyncReader['follow']>[0] = () => undefined;
  let follows = false;
  const reader = {
    follow: (to: typeof listener) => {
      listener = to;
      follows = true;
    },
    stop: () => (follows = false),
  } as unknown as SyncReader;
  const http = { json: async (path: string) => (asked.push(path), answer()) } as unknown as Http;
  const projects: ProjectId[] = [];
  const alone = new Alone(http, reader, (changed) => projects.push(...changed));
  return { alone, projects, say: (said: SyncState) => listener(said), follows: () => follows };
}

describe('what is only on the machine of the agent', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    shareTabs();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('[SYN-4] is asked for soon while no relay is reached, and gone when the relay has it or there is none', async () => {
    const asked: string[] = [];
    const { alone, projects, say } = tab(asked, () => one);
    alone.follow();
    await vi.advanceTimersByTimeAsync(0);
    say(state(5, { connected: false, pendingDocuments: 2 }));
    await vi.advanceTimersByTimeAsync(400);
    expect(asked).toEqual(['/sync/unshared']);
    expect(alone.summary).toEqual({ runs: 1, changes: true, files: 0, reached: false, complete: true });
    expect([alone.has('a' as RunId), alone.has('b' as RunId)]).toEqual([true, false]);
    expect(alone.of('digits' as ProjectId)).toEqual({ runs: 1, changes: true });
    expect(projects).toEqual(['digits']);
    // What moves nothing is no reason to ask again, and what moves all the time is asked about now and then.
    say(state(5, { connected: false, pendingDocuments: 2 }));
    for (let seq = 6; seq < 26; seq++) {
      say(state(seq, { connected: false, pendingDocuments: 2 }));
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(asked).toHaveLength(2);
    say(state(26, { pendingDocuments: 0 }));
    expect(alone.summary).toMatchObject({ runs: 0, changes: false, reached: true });
    expect(alone.has('a' as RunId)).toBe(false);
    say(state(26));
    expect(alone.summary).toBeNull();
  });

  it('[SYN-4] is not what a reached relay is about to have, but what it lacks for long', async () => {
    const asked: string[] = [];
    const { alone, say } = tab(asked, () => one);
    alone.follow();
    await vi.advanceTimersByTimeAsync(0);
    // A run that is being written: always a little ahead, and never for long.
    for (let seq = 5; seq < 100; seq++) {
      say(state(seq, { pendingDocuments: 1 }));
      await vi.advanceTimersByTimeAsync(300);
      if (seq % 10 === 0) say(state(seq, { pendingDocuments: 0 }));
    }
    expect(asked).toEqual([]);
    expect(alone.summary).toMatchObject({ runs: 0, changes: false });
    // One that is written without a pause: only what was there ten seconds ago counts.
    say(state(100, { pendingDocuments: 0 }));
    for (let seq = 101; seq < 140; seq++) {
      say(state(seq, { pendingDocuments: 1 }));
      await vi.advanceTimersByTimeAsync(300);
    }
    expect(asked).toEqual(['/sync/unshared?through=101']);
    expect(alone.summary).toMatchObject({ runs: 1, reached: true });
  });

  it('[SYN-4] is followed by one tab of a browser, which tells the others, and by the next one when that is gone', async () => {
    const asked: string[] = [];
    const [first, second] = [tab(asked, () => one), tab(asked, () => one)];
    first.alone.follow();
    await vi.advanceTimersByTimeAsync(0);
    first.say(state(5, { connected: false, pendingDocuments: 2 }));
    await vi.advanceTimersByTimeAsync(400);
    second.alone.follow();
    await vi.advanceTimersByTimeAsync(0);
    expect([first.follows(), second.follows()]).toEqual([true, false]);
    expect(second.alone.summary).toEqual(first.alone.summary);
    expect(second.alone.has('a' as RunId)).toBe(true);
    expect(asked).toHaveLength(1);
    first.alone.stop();
    await vi.advanceTimersByTimeAsync(0);
    expect([first.follows(), second.follows(), first.alone.summary]).toEqual([false, true, null]);
    second.say(state(6, { pendingDocuments: 0 }));
    expect(second.alone.summary).toMatchObject({ runs: 0 });
    // A tab that follows no agent hears nothing.
    expect(first.alone.summary).toBeNull();
  });
});
