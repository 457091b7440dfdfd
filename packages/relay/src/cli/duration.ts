import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** ms of a span such as `30d`, `12h`, `90m`; undefined when it is none. */
function spanOf(text: string): number | undefined {
  const match = /^(\d{1,6})\s*([smhdw])$/.exec(text.trim());
  return match === null ? undefined : Number(match[1]) * UNITS[match[2]!]!;
}

/** ms of a span. */
export function parseSpan(text: string): number {
  const span = spanOf(text);
  if (span === undefined) throw new InvalidArgumentError('Write a span such as 90d, 12h or 90m.');
  return span;
}

/** ms since the epoch of a date, or of a span from now on. */
export function parseExpiry(text: string): number {
  const at = momentOf(text, 1);
  if (at <= Date.now()) throw new InvalidArgumentError('That has passed.');
  return at;
}

/** ms since the epoch of a date, or of a span ago. */
export function parseSince(text: string): number {
  return momentOf(text, -1);
}

function momentOf(text: string, direction: 1 | -1): number {
  const span = spanOf(text);
  const at = span === undefined ? (/^\d{4}-/.test(text) ? Date.parse(text) : NaN) : Date.now() + direction * span;
  if (!Number.isFinite(at))
    throw new InvalidArgumentError('Write a span such as 30d, 12h or 90m, or a date such as 2027-01-31.');
  return at;
}
