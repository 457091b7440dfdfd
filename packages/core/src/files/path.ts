/** True when `path` is at or below `above`. */
export function pathHolds(above: string, path: string): boolean {
  return path === above || path.startsWith(`${above}/`);
}

/**
 * Whether a path fits a glob: `*` is any characters of one part, `?` one of them, and `**` any number of whole parts; everything
 * else is itself. Takes time in proportion to both lengths.
 */
export function globFits(pattern: string, path: string): boolean {
  const parts = path.split('/');
  // Which beginnings of the path the pattern so far fits; a row of the usual table.
  let row = Array.from({ length: parts.length + 1 }, (_, count) => count === 0);
  for (const part of pattern.split('/')) {
    const next = new Array<boolean>(row.length).fill(false);
    for (let count = 0; count < row.length; count++) {
      if (part === '**') next[count] = row[count]! || (count > 0 && next[count - 1]!);
      else if (count > 0) next[count] = row[count - 1]! && partFits(part, parts[count - 1]!);
    }
    row = next;
  }
  return row.at(-1)!;
}

function partFits(pattern: string, text: string): boolean {
  let at = 0;
  let read = 0;
  let star = -1;
  let resume = 0;
  while (read < text.length) {
    if (at < pattern.length && (pattern[at] === '?' || (pattern[at] !== '*' && pattern[at] === text[read]))) {
      at++;
      read++;
    } else if (pattern[at] === '*') {
      star = at++;
      resume = read;
    } else if (star >= 0) {
      at = star + 1;
      read = ++resume;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
