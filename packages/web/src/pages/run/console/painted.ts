import type { Span } from '../../../app/ansi.ts';
import { spansOf } from '../../../app/ansi.ts';

/** Characters of a line that are drawn until somebody asks for the rest. */
export const LINE_CHARACTERS = 4_000;

/** A stretch of a line as it is drawn. */
export interface Painted {
  text: string;
  classes: string;
  style: string;
  /** Part of what is searched for. */
  hit: boolean;
}

/** A line in stretches, those that are searched for apart. `wanted` is a plain text, empty for none. */
export function paint(text: string, wanted: string, matchCase: boolean): Painted[] {
  const spans = spansOf(text);
  const hits = hitsOf(spans.map((span) => span.text).join(''), wanted, matchCase);
  const painted: Painted[] = [];
  let at = 0;
  let next = 0;
  for (const span of spans) {
    const look = { classes: classesOf(span), style: styleOf(span) };
    let from = 0;
    while (from < span.text.length) {
      while (next < hits.length && hits[next]! + wanted.length <= at + from) next += 1;
      const hit = next < hits.length && hits[next]! <= at + from;
      const edge = next >= hits.length ? Infinity : hit ? hits[next]! + wanted.length : hits[next]!;
      const to = Math.min(span.text.length, edge - at);
      painted.push({ text: span.text.slice(from, to), hit, ...look });
      from = to;
    }
    at += span.text.length;
  }
  return painted;
}

function hitsOf(text: string, wanted: string, matchCase: boolean): number[] {
  if (wanted === '') return [];
  const [where, what] = matchCase ? [text, wanted] : [text.toLowerCase(), wanted.toLowerCase()];
  // A letter that is longer in small would move all that follow: then the line alone is marked.
  if (where.length !== text.length) return [];
  const hits: number[] = [];
  for (let at = where.indexOf(what); at !== -1; at = where.indexOf(what, at + what.length)) hits.push(at);
  return hits;
}

function classesOf({ bold, dim, italic, underline, strike }: Span): string {
  return [bold && 'b', dim && 'd', italic && 'i', underline && 'u', strike && 's'].filter(Boolean).join(' ');
}

/** Values are numbers and hexadecimal digits of ours, never anything that a line says. */
function styleOf({ fg, bg, inverse }: Span): string {
  const [front, back] = inverse ? [bg ?? 'var(--paper)', fg ?? 'var(--ink)'] : [fg, bg];
  const parts: string[] = [];
  if (front !== null) parts.push(`color:${frontOf(front, back !== null)}`);
  else if (typeof back === 'string' && back.startsWith('#')) parts.push(`color:${isDark(back) ? '#fff' : '#000'}`);
  if (back !== null)
    parts.push(
      `background:${typeof back === 'number' ? `color-mix(in oklab, var(--ansi-${back}) 30%, var(--paper))` : back}`,
    );
  return parts.join(';');
}

/** A colour of somebody else's screen is brought nearer to the ink, unless it has a ground of its own. */
function frontOf(colour: number | string, grounded: boolean): string {
  if (typeof colour === 'number') return `var(--ansi-${colour})`;
  return grounded || !colour.startsWith('#') ? colour : `color-mix(in oklab, ${colour} 72%, var(--ink))`;
}

function isDark(hex: string): boolean {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
  return 0.299 * r + 0.587 * g + 0.114 * b < 140;
}
