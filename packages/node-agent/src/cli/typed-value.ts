import { FieldbookError } from '@fieldbook/core';

/** An attribute's value as the API takes it. */
export type TypedValue =
  | string
  | number
  | boolean
  | null
  | readonly string[]
  | { time: number }
  | { number: 'NaN' | 'Infinity' | '-Infinity' };

/** How the words of a command line are read: by what they look like, all as texts, or all as times. */
export type Reading = 'typed' | 'text' | 'time';

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const LACKING: Readonly<Record<string, 'NaN' | 'Infinity' | '-Infinity'>> = {
  nan: 'NaN',
  inf: 'Infinity',
  '+inf': 'Infinity',
  '-inf': '-Infinity',
  infinity: 'Infinity',
  '-infinity': '-Infinity',
};
const QUOTED = /^"(?:[^"\\]|\\.)*"/;

/** `path=value` as both. A path with `=` in it is put in double quotes. Throws `invalid_argument`. */
export function readAssignment(word: string, reading: Reading = 'typed'): { path: string; value: TypedValue } {
  const quoted = QUOTED.exec(word)?.[0];
  const end = quoted !== undefined && word[quoted.length] === '=' ? quoted.length : word.indexOf('=');
  if (end <= 0)
    throw new FieldbookError(
      'invalid_argument',
      `"${word}" is not an assignment; write PATH=VALUE, as in eval/best=0.93.`,
    );
  const name = word.slice(0, end);
  const path = end === quoted?.length ? (parseJson(quoted, word) as string) : name;
  return { path, value: readValue(word.slice(end + 1), reading) };
}

/**
 * A word as the value it looks like: a number (also `nan`, `inf`), `true`, `false`, `null`, a list of texts in JSON, a text
 * in double quotes; everything else is a text as it stands.
 */
export function readValue(word: string, reading: Reading = 'typed'): TypedValue {
  if (reading === 'text') return word;
  if (reading === 'time') return readTime(word);
  if (word === 'true') return true;
  if (word === 'false') return false;
  if (word === 'null') return null;
  if (NUMBER.test(word)) return readNumber(word);
  const lacking = LACKING[word.toLowerCase()];
  if (lacking !== undefined) return { number: lacking };
  if (word.startsWith('"') && word.endsWith('"') && word.length > 1) return parseJson(word, word) as string;
  if (word.startsWith('[') && word.endsWith(']')) {
    const list = parseJson(word, word);
    if (!Array.isArray(list) || !list.every((text) => typeof text === 'string'))
      throw new FieldbookError(
        'invalid_argument',
        `${word} is not a list of texts; write ["a","b"], or --text to keep it as it stands.`,
      );
    return list;
  }
  return word;
}

/** A number of the command line. One too large for a double is infinite, and that is what it becomes nowhere unasked. */
function readNumber(word: string): number {
  const value = Number(word);
  if (!Number.isFinite(value))
    throw new FieldbookError(
      'invalid_argument',
      `${word} is beyond what a number can hold; write inf, or --text to keep the digits.`,
    );
  return value;
}

function readTime(word: string): { time: number } {
  // Without a zone a date alone is UTC and a date with a time is local in ISO 8601 as JavaScript reads it: say which.
  const ms = NUMBER.test(word) ? Number(word) : Date.parse(word);
  if (!Number.isFinite(ms))
    throw new FieldbookError(
      'invalid_argument',
      `"${word}" is not a time; write 2026-01-31T12:00:00Z, or ms since 1970.`,
    );
  return { time: ms };
}

function parseJson(text: string, word: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new FieldbookError('invalid_argument', `${word} is not well-formed JSON; --text keeps a value as it stands.`);
  }
}
