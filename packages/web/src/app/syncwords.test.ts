import type { DeviceId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { Session } from '../worker/api.ts';
import { syncWords } from './syncwords.ts';

const session = (change: Partial<Session>): Session => ({
  connection: { state: 'online' },
  server: { kind: 'relay', name: 'relay', version: '1', workspace: null },
  device: { id: 'd' as DeviceId, name: 'Chrome' },
  person: 'Ada',
  suggestedPerson: null,
  hasToken: true,
  signedInAs: null,
  entryProblem: null,
  refusal: null,
  unsaved: 0,
  books: { listed: 0, loaded: 0 },
  storage: { problem: null, notice: null, persisted: null, usage: null, quota: null },
  carried: { documents: 0, blobs: 0, problem: null },
  alone: null,
  ...change,
});

describe('the words of the sync mark', () => {
  it('[WEB-1] never say saved while an edit is not acknowledged', () => {
    expect(syncWords(session({})).text).toBe('Saved on the relay');
    for (const connection of [
      { state: 'online' },
      { state: 'offline' },
      { state: 'connecting' },
      { state: 'refused', code: 4403, reason: 'no' },
    ] as const) {
      const words = syncWords(session({ connection, unsaved: 3 }));
      expect(`${words.text} ${words.more}`).not.toMatch(/saved/i);
      expect(words.more).toContain('3 edits');
    }
  });

  it('[SYN-4] say what is only on this machine, calmly, and never over an edit that is only in this browser', () => {
    const alone = { runs: 12, changes: true, files: 0, reached: false, complete: true };
    expect(syncWords(session({ alone }))).toEqual({
      tone: 'away',
      brief: '12 here',
      text: '12 runs only on this machine',
      more: 'Everything you changed is on the agent. 12 runs are not on the relay yet: Sync says why. Until the relay has everything, losing this machine would lose it.',
    });
    const words = (change: Partial<typeof alone>) => syncWords(session({ alone: { ...alone, ...change } }));
    expect(words({ reached: true })).toMatchObject({ tone: 'busy', text: '12 runs only on this machine' });
    expect(words({ reached: true }).more).toContain('12 runs are not on the relay yet, but on the way.');
    expect(words({ runs: 1 }).more).toContain('1 run is not on the relay yet');
    expect(words({ runs: 0 })).toMatchObject({ text: 'Changes only on this machine', brief: 'Here' });
    expect(words({ runs: 2, files: 3 }).text).toBe('2 runs and 3 files only on this machine');
    expect(words({ runs: 200_000, complete: false }).text).toBe('At least 200,000 runs only on this machine');
    expect(words({ runs: 0, changes: false }).text).toBe('Saved on the relay');
    expect(syncWords(session({ alone, unsaved: 3 })).text).toBe('3 edits not yet on the relay');
    expect(syncWords(session({ alone, connection: { state: 'offline' } })).text).toBe('Offline');
  });

  it('say why, and what to do, when the server says no', () => {
    expect(
      syncWords(session({ connection: { state: 'refused', code: 4401, reason: '' }, hasToken: false })),
    ).toMatchObject({ tone: 'bad', text: 'Needs a token' });
    const over = {
      connection: { state: 'refused', code: 4401, reason: '' },
      hasToken: false,
      signedInAs: 'Ada',
    } as const;
    expect(syncWords(session(over))).toMatchObject({ tone: 'bad', text: 'Signed out' });
    expect(syncWords(session({ refusal: 'This token may only read.', unsaved: 1 })).more).toBe(
      'The relay says: This token may only read. 1 edit only in this browser.',
    );
    expect(syncWords(null).tone).toBe('busy');
  });
});
