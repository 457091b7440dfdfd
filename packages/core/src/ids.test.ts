import { describe, expect, it } from 'vitest';
import { isFieldbookError } from './errors.ts';
import {
  base32,
  mintId,
  monthOf,
  parseDocumentName,
  parsePath,
  parseRunId,
  projectIdOf,
  utf8,
  utf8Length,
} from './ids.ts';
import { FakeClock, SeededRandom } from './testing/index.ts';

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
  } catch (error) {
    if (isFieldbookError(error)) return error.code;
    throw error;
  }
  return undefined;
};

describe('ids', () => {
  it('[ID-1] mints ids that sort by time and do not repeat', () => {
    const clock = new FakeClock();
    const random = new SeededRandom(1);
    const ids: string[] = [];
    for (let index = 0; index < 1000; index++) {
      ids.push(mintId(clock, random));
      clock.advance(1);
    }
    expect(ids.every((id) => /^[0-9a-hjkmnp-tv-z]{26}$/.test(id))).toBe(true);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(Array.from({ length: 1000 }, () => mintId(clock, random))).size).toBe(1000);
    // The published ULID layout: 1469918176385 ms begins 01ARYZ6S41.
    expect(mintId(new FakeClock(1469918176385), random).startsWith('01aryz6s41')).toBe(true);
  });

  it('[ID-2] accepts plain run ids and refuses what could not be a file name', () => {
    for (const id of ['a', '7', 'resnet-50_v1.2', 'x'.repeat(64)]) expect(parseRunId(id)).toBe(id);
    for (const id of ['', '.', '..', '-a', 'a/b', 'a b', 'é', 'x'.repeat(65), 'a\n']) {
      expect(
        codeOf(() => parseRunId(id)),
        JSON.stringify(id),
      ).toBe('invalid_id');
    }
  });

  it('[ID-3] normalises project names so that offline machines meet', () => {
    for (const name of ['MNIST', ' mnist ', 'ｍｎｉｓｔ', 'Mnist']) expect(projectIdOf(name)).toBe('mnist');
    expect(projectIdOf('Vision / ResNet  50')).toBe('vision-resnet-50');
    expect(projectIdOf('Über Größe')).toBe('über-größe');
    const random = new SeededRandom(3);
    const alphabet = [...'aZ09 ._-/\\é漢ﬁ\u0130🙂\t'];
    for (let round = 0; round < 2000; round++) {
      const name = Array.from({ length: random.int(12) }, () => random.pick(alphabet)).join('');
      let id: string;
      try {
        id = projectIdOf(name);
      } catch {
        continue;
      }
      expect(projectIdOf(id), JSON.stringify(name)).toBe(id);
    }
    for (const name of ['', '  ', '///', '🙂', 'x'.repeat(65)])
      expect(codeOf(() => projectIdOf(name))).toBe('invalid_id');
  });

  it('[ID-4] checks attribute paths', () => {
    for (const path of ['lr', 'params/lr', 'val/per class/f1', 'ö/漢', 'a'.repeat(512)])
      expect(parsePath(path)).toBe(path);
    for (const path of ['', '/a', 'a/', 'a//b', 'a\u0000b', 'a\nb', 'ö'.repeat(257)]) {
      expect(
        codeOf(() => parsePath(path)),
        JSON.stringify(path),
      ).toBe('invalid_path');
    }
  });

  it('[ID-5] knows the month of every time', () => {
    const random = new SeededRandom(5);
    const times = [
      0,
      -1,
      951_782_400_000,
      4_107_542_399_999,
      1_709_164_800_000,
      Date.UTC(2100, 1, 28, 23),
      Date.UTC(2000, 1, 29),
    ];
    for (let round = 0; round < 5000; round++)
      times.push(Math.floor((random.float() * 10_000 - 1970) * 365.2425 * 86_400_000));
    for (const time of times) {
      const date = new Date(time);
      if (date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999) continue;
      expect(monthOf(time)).toBe(date.toISOString().slice(0, 7));
    }
  });

  it('[ID-6] reads document names and refuses others', () => {
    expect(parseDocumentName('workspace')).toEqual({ kind: 'workspace' });
    expect(parseDocumentName('book/mnist/2026-11')).toEqual({ kind: 'book', project: 'mnist', month: '2026-11' });
    expect(parseDocumentName('run/abc')).toEqual({ kind: 'run', run: 'abc' });
    expect(parseDocumentName('note/abc')).toEqual({ kind: 'note', run: 'abc' });
    for (const name of [
      '',
      'workspace/',
      'book/mnist',
      'book/MNIST/2026-11',
      'book/mnist/2026-13',
      'run/',
      'run/a/b',
      'note/',
      'note/a/b',
      'run/..',
      '../x',
    ]) {
      expect(
        codeOf(() => parseDocumentName(name)),
        name,
      ).toBe('invalid_id');
    }
  });

  it('counts UTF-8 bytes as the encoder does and encodes base32 as RFC 4648 groups bits', () => {
    for (const text of ['', 'a', 'é', '漢', '🙂', 'a🙂é漢']) expect(utf8Length(text)).toBe(utf8(text).length);
    expect(base32(new Uint8Array([0xff, 0x00]))).toBe('zw00');
    expect(base32(new Uint8Array([0, 0, 0, 0, 1]))).toBe('00000001');
  });
});
