import { describe, expect, it } from 'vitest';
import { joined, logWords, LOG_KINDS, namesIn } from './log.ts';
import type { LogEntry } from './relay.ts';

const entry = (event: string, more: Record<string, unknown> = {}): LogEntry => ({
  time: '2026-11-26T10:00:00.000Z',
  event,
  ...more,
});
const NAMES = new Map([['root0000', 'Root']]);

describe('the audit log, in words', () => {
  it('[ACC-68] says who did what to whom, and what a newer relay writes as it stands', () => {
    const say = (event: string, more?: Record<string, unknown>): string => logWords(entry(event, more), NAMES);
    const sam = { id: 'sam00000', name: 'Sam', role: 'viewer', projects: ['speech'] };
    expect(say('invitation.created', { ...sam, by: 'root0000' })).toBe('Root invited Sam, as viewer of speech');
    expect(say('invitation.created', { ...sam, by: 'gone0000', person: 'eve@example.org' })).toMatch(
      /^eve@example\.org invited/,
    );
    expect(say('token.created', { ...sam, by: 'invitation abcdefgh' })).toBe(
      'Sam came in by an invitation, as viewer of speech',
    );
    expect(say('token.created', { ...sam, projects: null, by: 'command line' })).toBe(
      'Whoever runs the relay made a token for Sam, viewer of everything',
    );
    expect(say('token.revoked', { ...sam, by: 'gone0000' })).toBe('Token gone0000 revoked the token of Sam');
    expect(say('invitation.used', { ...sam, device: 'box', address: '10.0.0.7' })).toBe(
      'The invitation of Sam was used by box, from 10.0.0.7',
    );
    expect(
      say('access.refused', {
        token: null,
        address: '10.0.0.9',
        path: '/api/v1/tokens',
        reason: 'Unknown token.',
        count: 12,
      }),
    ).toBe('Somebody, from 10.0.0.9 was refused at /api/v1/tokens: Unknown token. (12 times more within a minute)');
    expect(say('update.refused', { token: 'root0000', document: 'run/x', reason: 'malformed' })).toBe(
      'A change of Root to run/x was refused: malformed',
    );
    expect(say('retention', { what: 'blobs', count: 3, bytes: 2_000 })).toBe('Let go by age: 3 of blobs, 2.0 kB');
    expect(say('moon.landing', { crew: ['a', 'b'], by: 'nasa' })).toBe('moon.landing, crew ["a","b"], by nasa');
    // Whatever is missing or of another type.
    for (const [, , events] of LOG_KINDS)
      for (const event of events ?? []) {
        expect(say(event)).toMatch(/^[A-Z].* /);
        expect(
          say(event, { name: 7, by: {}, role: [], projects: 'x', address: 0, reason: null, count: '' }),
        ).not.toMatch(/object|undefined/);
      }
  });

  it('[ACC-68] keeps names that only the log still knows, and goes on with what was shown when new lines come', () => {
    const names = namesIn(
      [entry('token.revoked', { id: 'sam00000', name: 'Sam' }), entry('sign-in', { token: 'eve00000', name: 'Eve' })],
      NAMES,
    );
    expect([...names]).toEqual([
      ['root0000', 'Root'],
      ['sam00000', 'Sam'],
      ['eve00000', 'Eve'],
    ]);
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => entry('repair', { id })) as [
      LogEntry,
      LogEntry,
      LogEntry,
      LogEntry,
    ];
    expect(joined([a, b, c], [b, c, d])).toEqual([a, b, c, d]);
    expect(joined([b, c], [b, c, d])).toEqual([b, c, d]);
    expect(joined([a], [b, c])).toBeNull();
    expect(joined([a], [])).toBeNull();
  });
});
