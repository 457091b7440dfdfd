import { LIMITS } from '../limits.ts';

/** Ranges of code points, both ends in it, and whether it means all others. */
export interface CharSet {
  ranges: readonly (readonly [number, number])[];
  negated: boolean;
}

export type PatternNode =
  | { kind: 'set'; set: CharSet }
  | { kind: 'assert'; what: 'start' | 'end' | 'boundary' | 'inside' }
  | { kind: 'sequence'; parts: PatternNode[] }
  | { kind: 'choice'; parts: PatternNode[] }
  | { kind: 'repeat'; part: PatternNode; min: number; max: number };

/** A fault of a pattern: `position` counts from the pattern's first character. */
export class PatternFault extends Error {
  readonly position: number;
  constructor(position: number, message: string) {
    super(message);
    this.position = position;
  }
}

const DIGIT: readonly (readonly [number, number])[] = [[0x30, 0x39]];
const WORD: readonly (readonly [number, number])[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: readonly (readonly [number, number])[] = [
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_END: readonly (readonly [number, number])[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, CharSet>> = {
  d: { ranges: DIGIT, negated: false },
  D: { ranges: DIGIT, negated: true },
  w: { ranges: WORD, negated: false },
  W: { ranges: WORD, negated: true },
  s: { ranges: SPACE, negated: false },
  S: { ranges: SPACE, negated: true },
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const REPEAT = /^\{(\d{1,4})(?:(,)(\d{1,4})?)?\}/;
const MAX_CODE_POINT = 0x10ffff;

/**
 * Reads a regular expression: characters, `.`, classes, `\d \w \s`, groups, `|`, `* + ? {m,n}`, `^ $ \b`. What would
 * need backtracking (references, look-around) is not part of it. Throws `PatternFault`.
 */
export function parsePattern(source: string): PatternNode {
  if (source.length > LIMITS.patternLength) {
    throw new PatternFault(LIMITS.patternLength, `A pattern has at most ${LIMITS.patternLength} characters`);
  }
  return new PatternReader(source).read();
}

class PatternReader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): PatternNode {
    const node = this.#choice();
    if (this.#at < this.#source.length) throw new PatternFault(this.#at, 'There is a ")" that closes nothing');
    return node;
  }

  #choice(): PatternNode {
    const parts = [this.#sequence()];
    while (this.#source[this.#at] === '|') {
      this.#at += 1;
      parts.push(this.#sequence());
    }
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(): PatternNode {
    const parts: PatternNode[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) parts.push(this.#repeated());
    return { kind: 'sequence', parts };
  }

  #repeated(): PatternNode {
    const part = this.#single();
    const bounds = this.#bounds();
    if (bounds === undefined) return part;
    if (part.kind === 'assert') throw new PatternFault(this.#at - 1, 'There is nothing to repeat');
    // Lazy or greedy finds the same texts.
    if (this.#source[this.#at] === '?') this.#at += 1;
    const again = this.#at;
    if (this.#bounds() !== undefined) throw new PatternFault(again, 'There is nothing to repeat');
    return { kind: 'repeat', part, ...bounds };
  }

  #bounds(): { min: number; max: number } | undefined {
    const char = this.#source[this.#at];
    if (char === '*' || char === '+' || char === '?') {
      this.#at += 1;
      return { min: char === '+' ? 1 : 0, max: char === '?' ? 1 : Infinity };
    }
    const match = char === '{' ? REPEAT.exec(this.#source.slice(this.#at, this.#at + 12)) : null;
    if (match === null) return undefined;
    const min = Number(match[1]);
    const max = match[3] !== undefined ? Number(match[3]) : match[2] !== undefined ? Infinity : min;
    if (max < min) throw new PatternFault(this.#at, 'The repetition ends before it begins');
    this.#at += match[0].length;
    return { min, max };
  }

  #single(): PatternNode {
    const from = this.#at;
    const char = this.#next();
    switch (char) {
      case '^':
        return { kind: 'assert', what: 'start' };
      case '$':
        return { kind: 'assert', what: 'end' };
      case '.':
        return { kind: 'set', set: { ranges: LINE_END, negated: true } };
      case '[':
        return { kind: 'set', set: this.#class(from) };
      case '(':
        return this.#group(from);
      case '*':
      case '+':
      case '?':
        throw new PatternFault(from, 'There is nothing to repeat');
      case '\\': {
        const next = this.#source[this.#at];
        if (next === 'b' || next === 'B') {
          this.#at += 1;
          return { kind: 'assert', what: next === 'b' ? 'boundary' : 'inside' };
        }
        return { kind: 'set', set: this.#escape(from) };
      }
      default:
        return { kind: 'set', set: one(char.codePointAt(0)!) };
    }
  }

  #group(from: number): PatternNode {
    if (this.#source[this.#at] === '?') {
      if (this.#source[this.#at + 1] !== ':') {
        throw new PatternFault(from, 'Look-around and named groups are not supported; use ( ) or (?: )');
      }
      this.#at += 2;
    }
    const node = this.#choice();
    if (this.#source[this.#at] !== ')') throw new PatternFault(from, 'This "(" is never closed');
    this.#at += 1;
    return node;
  }

  #class(from: number): CharSet {
    const negated = this.#source[this.#at] === '^';
    if (negated) this.#at += 1;
    const ranges: (readonly [number, number])[] = [];
    for (;;) {
      const start = this.#at;
      if (start >= this.#source.length) throw new PatternFault(from, 'This "[" is never closed');
      const char = this.#next();
      if (char === ']') break;
      const low = this.#member(char, start);
      if (this.#source[this.#at] === '-' && this.#at + 1 < this.#source.length && this.#source[this.#at + 1] !== ']') {
        this.#at += 1;
        const end = this.#at;
        const high = this.#member(this.#next(), end);
        const first = single(low);
        const last = single(high);
        if (first === undefined || last === undefined)
          throw new PatternFault(start, 'A range has a single character at each end');
        if (last < first) throw new PatternFault(start, 'The range ends before it begins');
        ranges.push([first, last]);
      } else {
        ranges.push(...(low.negated ? complement(low.ranges) : low.ranges));
      }
    }
    return { ranges, negated };
  }

  #member(char: string, from: number): CharSet {
    if (char !== '\\') return one(char.codePointAt(0)!);
    if (this.#source[this.#at] === 'b') {
      this.#at += 1;
      return one(8);
    }
    return this.#escape(from);
  }

  /** What a backslash means; it has been read. */
  #escape(from: number): CharSet {
    if (this.#at >= this.#source.length) throw new PatternFault(from, 'There is nothing after "\\"');
    const char = this.#next();
    const known = CLASSES[char];
    if (known !== undefined) return known;
    const control = CONTROLS[char];
    if (control !== undefined && !(char === '0' && /\d/.test(this.#source[this.#at] ?? ''))) return one(control);
    if (char === 'x') return one(this.#hex(/^[0-9a-f]{2}/i, from));
    if (char === 'u') return one(this.#hex(/^[0-9a-f]{4}|^\{[0-9a-f]{1,6}\}/i, from));
    if (/[1-9]/.test(char)) throw new PatternFault(from, 'References to groups are not supported');
    if (/[0-9A-Za-z]/.test(char)) throw new PatternFault(from, `"\\${char}" has no meaning`);
    return one(char.codePointAt(0)!);
  }

  #hex(form: RegExp, from: number): number {
    const match = form.exec(this.#source.slice(this.#at, this.#at + 8));
    const code = match === null ? Number.NaN : Number.parseInt(match[0].replace(/[{}]/g, ''), 16);
    if (match === null || code > MAX_CODE_POINT)
      throw new PatternFault(from, 'This escape needs the code of a character');
    this.#at += match[0].length;
    return code;
  }

  #next(): string {
    const char = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
    this.#at += char.length;
    return char;
  }
}

function one(code: number): CharSet {
  return { ranges: [[code, code]], negated: false };
}

function single({ ranges, negated }: CharSet): number | undefined {
  const range = ranges[0];
  return !negated && ranges.length === 1 && range !== undefined && range[0] === range[1] ? range[0] : undefined;
}

/** Of ranges in rising order. */
function complement(ranges: CharSet['ranges']): [number, number][] {
  const others: [number, number][] = [];
  let from = 0;
  for (const [low, high] of ranges) {
    if (low > from) others.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= MAX_CODE_POINT) others.push([from, MAX_CODE_POINT]);
  return others;
}
