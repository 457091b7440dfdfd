/** A patch as git writes it, read for people: files, and for each the pieces of both sides. */

export interface PatchFile {
  /** As it is called after the change; before it, where it was removed. */
  path: string;
  /** Before the change, where it was called otherwise. */
  from: string | null;
  status: 'changed' | 'added' | 'removed' | 'renamed' | 'mode';
  binary: boolean;
  added: number;
  removed: number;
  hunks: Hunk[];
}

export interface Hunk {
  beforeStart: number;
  afterStart: number;
  /** What git says it lies in: a function or class. */
  heading: string;
  /** With their ` `, `+` or `-`. */
  lines: string[];
  /** Sides whose file ends with this piece, and whose last line nothing ends. */
  unended: { before: boolean; after: boolean };
}

/** Files of a patch, in its order. What is no patch gives none; a piece that cannot be read ends its file. */
export function parsePatch(text: string): PatchFile[] {
  const files: PatchFile[] = [];
  const lines = text.split('\n');
  let file: PatchFile | undefined;
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!;
    at += 1;
    if (line.startsWith('diff --git ')) {
      file = { path: pathOfHead(line), from: null, status: 'changed', binary: false, added: 0, removed: 0, hunks: [] };
      files.push(file);
    } else if (file === undefined) continue;
    else if (line.startsWith('new file mode')) file.status = 'added';
    else if (line.startsWith('deleted file mode')) file.status = 'removed';
    else if (line.startsWith('old mode') && file.status === 'changed') file.status = 'mode';
    else if (line.startsWith('rename from '))
      Object.assign(file, { status: 'renamed', from: unquoted(line.slice(12)) });
    else if (line.startsWith('rename to ')) file.path = unquoted(line.slice(10));
    else if (line.startsWith('GIT binary patch') || line.startsWith('Binary files ')) file.binary = true;
    else if (line.startsWith('--- ') && file.status === 'removed') file.path = side(line) ?? file.path;
    else if (line.startsWith('+++ ')) file.path = side(line) ?? file.path;
    else if (line.startsWith('@@ ')) at = readHunk(lines, at - 1, file);
  }
  return files;
}

function readHunk(lines: readonly string[], start: number, file: PatchFile): number {
  const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/.exec(lines[start]!);
  if (head === null) return start + 1;
  let before = Number(head[2] ?? 1);
  let after = Number(head[4] ?? 1);
  const hunk: Hunk = {
    beforeStart: Number(head[1]),
    afterStart: Number(head[3]),
    heading: head[5]!,
    lines: [],
    unended: { before: false, after: false },
  };
  file.hunks.push(hunk);
  if (file.status === 'mode') file.status = 'changed';
  const unend = (): void => {
    const sign = hunk.lines.at(-1)?.[0];
    if (sign !== '+') hunk.unended.before = true;
    if (sign !== '-') hunk.unended.after = true;
  };
  let at = start + 1;
  for (; at < lines.length && (before > 0 || after > 0); at++) {
    const line = lines[at]!;
    const sign = line === '' ? ' ' : line[0]!;
    if (sign === '\\') {
      unend();
      continue;
    }
    if (sign !== ' ' && sign !== '+' && sign !== '-') break;
    if (sign !== '+') before -= 1;
    if (sign !== '-') after -= 1;
    if (sign === '+') file.added += 1;
    if (sign === '-') file.removed += 1;
    hunk.lines.push(line === '' ? ' ' : line);
  }
  if (lines[at]?.startsWith('\\') === true) {
    unend();
    at += 1;
  }
  return at;
}

export interface Sides {
  before: string;
  after: string;
  /** Numbers of the lines in their files; null between pieces. */
  numbers: { before: (number | null)[]; after: (number | null)[] };
}

/** Both sides of a file as far as its patch shows them; between pieces a line that says where one is. */
export function sidesOf({ hunks }: Pick<PatchFile, 'hunks'>): Sides {
  const before: string[] = [];
  const after: string[] = [];
  const numbers: Sides['numbers'] = { before: [], after: [] };
  for (const [index, hunk] of hunks.entries()) {
    if (index > 0 || hunk.beforeStart > 1) {
      const mark = `⋯ ${hunk.heading}`.trimEnd();
      before.push(mark);
      after.push(mark);
      numbers.before.push(null);
      numbers.after.push(null);
    }
    let [left, right] = [hunk.beforeStart, hunk.afterStart];
    for (const line of hunk.lines) {
      const text = line.slice(1);
      if (line[0] !== '+') {
        before.push(text);
        numbers.before.push(left++);
      }
      if (line[0] !== '-') {
        after.push(text);
        numbers.after.push(right++);
      }
    }
  }
  const unended = hunks.at(-1)?.unended ?? { before: false, after: false };
  return {
    before: ended(before, unended.before, numbers.before),
    after: ended(after, unended.after, numbers.after),
    numbers,
  };
}

/** The last line is ended like all others, unless it is not in the file: else it would differ from itself where more follows it. */
function ended(lines: readonly string[], unended: boolean, numbers: (number | null)[]): string {
  if (lines.length === 0 || unended) return lines.join('\n');
  numbers.push(null);
  return `${lines.join('\n')}\n`;
}

/** `diff --git a/x b/x`: both are the same but for renames, which say so by themselves. */
function pathOfHead(line: string): string {
  const rest = line.slice('diff --git '.length);
  if (rest.startsWith('"')) return /^"a\/((?:[^"\\]|\\.)*)"/.exec(rest)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? rest;
  // The path may have blanks; the two halves are equal.
  const half = (rest.length - 1) / 2;
  return Number.isInteger(half) && rest.slice(2, half) === rest.slice(half + 3) ? rest.slice(2, half) : rest;
}

function side(line: string): string | null {
  const path = unquoted(line.slice(4).replace(/\t.*$/, ''));
  return path === '/dev/null' ? null : path.replace(/^[ab]\//, '');
}

/** Git quotes paths as C does when they have more than plain letters. */
function unquoted(path: string): string {
  if (!path.startsWith('"') || !path.endsWith('"')) return path;
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const match of path.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)) {
    if (match[1] !== undefined) bytes.push(Number.parseInt(match[1], 8));
    else bytes.push(...encoder.encode(match[3] ?? { n: '\n', t: '\t', r: '\r' }[match[2]!] ?? match[2]!));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
