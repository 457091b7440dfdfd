/** Bytes of a body, half-open. */
export interface BodyRange {
  start: number;
  end: number;
}

/** One range of bytes as `[start, end)`; several, or another unit, are answered with everything, as RFC 9110 allows. */
export function parseRange(header: string | undefined, size: number): BodyRange | undefined | 'unsatisfiable' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const start = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? size : Math.min(size, Number(match[2]) + 1);
  if (start >= size) return 'unsatisfiable';
  return end <= start ? undefined : { start, end };
}

/** Whether `If-None-Match` names this entity tag, or any. */
export function noneMatch(header: string | undefined, etag: string): boolean {
  return (header ?? '').split(',').some((one) => one.trim().replace(/^W\//, '') === etag || one.trim() === '*');
}
