import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Http } from './http.ts';

const answers: Response[] = [];
const asked: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  answers.length = asked.length = 0;
  vi.stubGlobal('fetch', async (url: string, { method }: { method: string }) => {
    asked.push(`${method} ${new URL(url).pathname}`);
    return answers.shift()!;
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const busy = (seconds: string | null): Response =>
  new Response('{"error":{"code":"rate_limited","message":"too much","details":{}}}', {
    status: 429,
    headers: seconds === null ? {} : { 'retry-after': seconds },
  });

it('[API-34] the page asks again, after the time that a server says, for what was too much at a time', async () => {
  const http = new Http('http://relay');
  answers.push(busy('3'), busy('3'), new Response('{"digest":"0","size":1}'));
  let done = false;
  const sent = http.putBlob('0'.repeat(64) as never, new Uint8Array(1)).then(() => (done = true));
  await vi.advanceTimersByTimeAsync(2_900);
  expect(asked).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1_700);
  expect([asked.length, done]).toEqual([2, false]);
  await vi.advanceTimersByTimeAsync(4_600);
  await sent;
  expect(asked).toEqual(Array(3).fill(`PUT /api/v1/blobs/${'0'.repeat(64)}`));
});

it('[API-34] the page says what a server says that is busy for long, or again and again', async () => {
  const http = new Http('http://relay');
  for (const first of [busy('60'), busy(null)]) {
    answers.push(first);
    await expect(http.json('/workspace')).rejects.toMatchObject({ code: 'rate_limited' });
  }
  expect(asked).toHaveLength(2);
  for (let time = 0; time < 9; time++) answers.push(busy('1'));
  const refused = http.json('/workspace').catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await refused).toMatchObject({ code: 'rate_limited' });
  expect(asked).toHaveLength(7);
});
