import { describe, expect, it } from 'vitest';
import type { TokenLine } from './relay.ts';
import { endWords, problemWords, revokeWords, scopeWords, spanWords, tokensShown } from './words.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 26);

function token(id: string, more: Partial<TokenLine> = {}): TokenLine {
  return { id, role: 'member', projects: null, name: id, created: NOW - DAY, expires: null, lastUsed: null, ...more };
}

describe('who may come in, in words', () => {
  it('[ACC-68] says what a token is for and when it ends', () => {
    expect(
      [null, [], ['a'], ['a', 'b'], ['a', 'b', 'c', 'd', 'e', 'f']].map((projects) => scopeWords(projects)),
    ).toEqual(['everything', 'no project', 'a', 'a and b', 'a, b, c and 3 others']);
    expect([null, NOW + 12 * DAY, NOW + 3 * 365 * DAY, NOW - DAY].map((expires) => endWords({ expires }, NOW))).toEqual(
      ['when revoked', 'in 12 days', 'in 3 years', 'over since yesterday'],
    );
    expect([30_000, 90 * 60_000, DAY, 90 * DAY].map(spanWords)).toEqual(['1 min', '2 h', '24 h', '90 days']);
  });

  it('[ACC-68] says what ends with a token, whose it is, and when nobody could let people in after it', () => {
    const [root, ada] = [token('root', { role: 'admin' }), token('ada', { name: 'Ada' })];
    const person = { issuer: 'https://id.example', subject: '1', email: 'eve@example.org' };
    const eve = token('eve', { name: 'Eve', role: 'admin', person });
    const say = (which: TokenLine, all: TokenLine[]): string => revokeWords(which, all, 'root', NOW);
    expect(say(ada, [root, ada])).toContain('needs a new invitation');
    expect(say(ada, [root, ada])).not.toMatch(/this browser|Nobody else/);
    expect(say(root, [root, ada])).toMatch(/token of this browser.*Nobody else here is an admin/);
    expect(say(root, [root, eve])).not.toContain('Nobody else');
    // One of some projects, or one whose time is over, lets nobody in everywhere.
    const weak = [token('v', { role: 'admin', projects: ['vision'] }), token('o', { role: 'admin', expires: NOW - 1 })];
    expect(say(root, [root, ...weak])).toContain('Nobody else');
    expect(say(eve, [root, eve])).toContain('Eve cannot sign in again until somebody lets them in here');
    expect(say(weak[1]!, [root, ...weak])).toMatch(/^It is over/);
  });

  it('[ACC-68] finds tokens by all words of their name, person, role and projects, in any order of each column', () => {
    const person = { issuer: 'https://id.example', subject: 'g-17', email: 'eve@example.org' };
    const all = [
      token('t1', { name: 'gpu-10', created: NOW - 3 * DAY, lastUsed: NOW, expires: NOW + DAY }),
      token('t2', { name: 'gpu-9', created: NOW - 2 * DAY, projects: ['vision'] }),
      token('t3', {
        name: null,
        created: NOW - DAY,
        role: 'viewer',
        person,
        lastUsed: NOW - DAY,
        expires: NOW + 2 * DAY,
      }),
    ];
    const shown = (words: string, order: Parameters<typeof tokensShown>[1]['order'], descending = false): string =>
      tokensShown(all, { words, order, descending })
        .map(({ id }) => id)
        .join(' ');
    expect(shown('', 'name')).toBe('t2 t1 t3');
    expect(shown('', 'created', true)).toBe('t3 t2 t1');
    expect(shown('', 'lastUsed', true)).toBe('t1 t3 t2');
    expect(shown('', 'expires')).toBe('t1 t3 t2');
    expect(shown('', 'expires', true)).toBe('t2 t3 t1');
    expect([
      shown('EVE@', 'name'),
      shown('gpu vision', 'name'),
      shown('viewer g-17', 'name'),
      shown('gpu viewer', 'name'),
    ]).toEqual(['t3', 't2', 't3', '']);
  });

  it('[ACC-68] says of each error what to do', () => {
    expect(problemWords('not_found', 'There is no token x; see "fieldbook-relay token list".')).not.toContain(
      'fieldbook-relay',
    );
    expect(problemWords('rate_limited', 'Too many requests.')).toMatch(/^Too many requests\. .*wait a moment/);
    expect(problemWords('peer_unreachable', 'Nobody answers.')).toContain('look at the lists before you repeat it');
    expect(problemWords('invalid_argument', 'The name is too long.')).toBe('The name is too long.');
  });
});
