import { describe, expect, it } from 'vitest';
import { plainText, spansOf } from './ansi.ts';

const ESC = '\u001b';
const look = (text: string): unknown[] =>
  spansOf(text).map(({ text: words, ...rest }) => [
    words,
    Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null && value !== false)),
  ]);

describe('colours of a console', () => {
  it('[CON-6] the 16, the 256 and all 16 million colours, and the weights, until they are taken back', () => {
    expect(look(`a${ESC}[31mred${ESC}[0mb`)).toEqual([
      ['a', {}],
      ['red', { fg: 1 }],
      ['b', {}],
    ]);
    expect(look(`${ESC}[1;4;92;43mx${ESC}[22;24my${ESC}[39;49mz`)).toEqual([
      ['x', { bold: true, underline: true, fg: 10, bg: 3 }],
      ['y', { fg: 10, bg: 3 }],
      ['z', {}],
    ]);
    expect(look(`${ESC}[38;5;208ma${ESC}[48;5;16mb${ESC}[38;5;250mc${ESC}[38;5;9md`)).toEqual([
      ['a', { fg: '#ff8700' }],
      ['b', { fg: '#ff8700', bg: '#000000' }],
      ['c', { fg: '#bcbcbc', bg: '#000000' }],
      ['d', { fg: 9, bg: '#000000' }],
    ]);
    expect(look(`${ESC}[38;2;40;90;160;1mq${ESC}[mz`)).toEqual([
      ['q', { fg: '#285aa0', bold: true }],
      ['z', {}],
    ]);
    expect(look(`${ESC}[2;3;7;9mx`)).toEqual([['x', { dim: true, italic: true, inverse: true, strike: true }]]);
  });

  it('[CON-6] what is no colour does nothing, however it is broken', () => {
    expect(look(`${ESC}[2Jclear${ESC}[10;5Hmove`)).toEqual([
      ['clear', {}],
      ['move', {}],
    ]);
    expect(look(`${ESC}]0;title\u0007a${ESC}]8;;http://x${ESC}\\link${ESC}]8;;${ESC}\\`)).toEqual([
      ['a', {}],
      ['link', {}],
    ]);
    expect(look(`${ESC}[38;2;999;0;0mx${ESC}[38;5my`)).toEqual([
      ['x', {}],
      ['y', {}],
    ]);
    expect(look(`end${ESC}`)).toEqual([['end', {}]]);
    expect(look(`end${ESC}[3`)).toEqual([['end', {}]]);
    expect(look('')).toEqual([]);
    expect(look('a\tb\u0000\u0007c\u202ed')).toEqual([['a\tbcd', {}]]);
    expect(look('<img src=x onerror=alert(1)>')).toEqual([['<img src=x onerror=alert(1)>', {}]]);
  });

  it('[CON-2] what is searched and copied is the text without them', () => {
    expect(plainText(`lo${ESC}[1mss${ESC}[0m: ${ESC}[38;2;1;2;3m0.5${ESC}[K`)).toBe('loss: 0.5');
    expect(plainText('plain')).toBe('plain');
  });
});
