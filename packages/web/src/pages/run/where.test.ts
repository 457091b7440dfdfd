import { expect, it } from 'vitest';
import type { RunId } from '@fieldbook/core';
import type { Http } from '../../worker/http.ts';
import { holdersOf } from '../../worker/run-detail.ts';
import { whereWords } from './where.ts';

const peer = { url: 'https://relay', name: 'Team', connected: true, documents: { total: 2, toGo: 0 } };
const blobs = { total: 3, toGo: 0, bytesToGo: 0, elsewhere: 0, stay: 0 };

async function words(
  places: object | null,
  holders: string[],
  kind = 'agent',
  peers: object[] = [peer],
): Promise<string> {
  const json = async (path: string): Promise<unknown> => {
    if (path === '/sync') return { peers };
    if (!path.includes('/places')) return { holders };
    if (places === null) throw new Error('not known');
    return { peers: [places] };
  };
  const found = await holdersOf({ json } as unknown as Pick<Http, 'json'>, kind, 'r' as RunId, 'p');
  return whereWords(found!);
}

it('[RPL-43] the run page says what is still to go to a relay, and calls nothing there whose points are not', async () => {
  const all = { ...peer, points: blobs, files: blobs };
  expect(await words(all, [peer.url])).toBe('Here and on Team');
  const waiting = { ...all, points: { ...blobs, toGo: 2, bytesToGo: 3_000 } };
  // Its documents are there, its points are not.
  expect(await words(waiting, [peer.url])).toMatch(/^Only on this machine so far; to Team 2 blobs \(.*\) to go$/);
  expect(await words({ ...waiting, connected: false, documents: { total: 2, toGo: 1 } }, [])).toMatch(
    /to Team, which is away, 1 document and 2 blobs/,
  );
  // Agents of before, relays, and machines that share with nobody.
  expect(await words(null, [peer.url])).toBe('Here and on Team');
  expect(await words(null, [])).toContain('has not acknowledged');
  expect(await words(null, [], 'relay')).toBe('On the relay');
  expect(await words(null, [], 'agent', [])).toContain('shares with no relay');
});

it('[RPL-58] the run page says where that is which is not on its machine, and since when that is away', async () => {
  const away = { url: peer.url, name: 'Team', connected: false, since: 1_768_478_400_000 };
  const wordsOf = async (elsewhere: object | null): Promise<string> => {
    const json = async (path: string): Promise<unknown> =>
      path === '/sync' ? { peers: [peer] } : path.includes('/places') ? { peers: [] } : { holders: [], elsewhere };
    return whereWords((await holdersOf({ json } as unknown as Pick<Http, 'json'>, 'agent', 'r' as RunId, 'p'))!);
  };
  expect(await wordsOf({ peers: [away] })).toMatch(
    /^Not on this machine: what it recorded is at Team, not connected since .*2026/,
  );
  expect(await wordsOf({ peers: [{ ...away, name: null, connected: true }] })).toBe(
    'Not on this machine: what it recorded is at https://relay, which did not answer in time',
  );
  expect(await wordsOf(null)).toContain('has not acknowledged');
});
