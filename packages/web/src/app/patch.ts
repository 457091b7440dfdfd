/** One file of a git patch. Paths are those of the checkout, without `a/` and `b/`. */
export interface PatchFile {
  /** Null for a file that is made, or taken away. */
  before: string | null;
  after: string | null;
  binary: boolean;
  /** Its permissions changed. */
  mode: boolean;
  hunks: readonly Hunk[];
  /** The text ends within its last hunk, or that cannot be read: there was more. */
  cut: boolean;
}

export interface Hunk {
  /** First lines, from 1; 0 where there are none. */
  before: number;
  after: number;
  /** What git says it lies in: a function or class. */
  heading: string;
  lines: readonly HunkLine[];
}

export interface HunkLine {
  kind: ' ' | '+' | '-';
  text: string;
  /** The file's last line, and nothing ends it. */
  open: boolean;
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/;

/** The files of `git diff --binary`. What is no such patch has none; of one that was cut, or cannot be read on, there is what comes before. */
export function parsePatch(text: string): PatchFile[] {
  const files: PatchFile[] = [];
  const lines = text.split('\n');
  let at = 0;
  while (at < lines.length) {
    const head = lines[at]!;
    at += 1;
    if (!head.startsWith('diff --git ')) continue;
    const named = pathsOfHead(head);
    let { before, after }: { before: string | null; after: string | null } = named;
    let [binary, mode, cut] = [false, false, false];
    const hunks: Hunk[] = [];
    while (at < lines.length && !lines[at]!.startsWith('diff --git ')) {
      const line = lines[at]!;
      at += 1;
      const hunk = HUNK.exec(line);
      if (hunk !== null) {
        const read = readHunk(lines, at, Number(hunk[2] ?? 1), Number(hunk[4] ?? 1));
        hunks.push({ before: Number(hunk[1]), after: Number(hunk[3]), heading: hunk[5]!, lines: read.lines });
        at = read.next;
        cut ||= !read.whole;
      } else if (line.startsWith('--- ')) before = pathOf(line.slice(4), 'a/');
      else if (line.startsWith('+++ ')) after = pathOf(line.slice(4), 'b/');
      else if (line.startsWith('new file mode')) before = null;
      else if (line.startsWith('deleted file mode')) after = null;
      else if (line.startsWith('old mode')) mode = true;
      else if (line.startsWith('rename from ')) before = unquote(line.slice(12));
      else if (line.startsWith('rename to ')) after = unquote(line.slice(10));
      else if (line.startsWith('GIT binary patch') || line.startsWith('Binary files ')) binary = true;
    }
    files.push({ before, after, binary, mode, hunks, cut });
  }
  return files;
}

function readHunk(
  lines: readonly string[],
  from: number,
  before: number,
  after: number,
): { lines: Hunk['lines']; next: number; whole: boolean } {
  const read: HunkLine[] = [];
  const unended = (): void => {
    const line = read.at(-1);
    if (line !== undefined) line.open = true;
  };
  let at = from;
  for (let [left, right] = [before, after]; left > 0 || right > 0; at++) {
    const line = lines[at];
    // Editors take the space of an empty line away.
    const kind = line === undefined ? undefined : (line[0] ?? ' ');
    if (kind === '\\') {
      unended();
      continue;
    }
    if (kind !== '+' && kind !== '-' && kind !== ' ') return { lines: read, next: at, whole: false };
    if (kind !== '+') left -= 1;
    if (kind !== '-') right -= 1;
    if (left < 0 || right < 0) return { lines: read, next: at, whole: false };
    read.push({ kind, text: line!.slice(1), open: false });
  }
  if (lines[at]?.startsWith('\\') === true) {
    unended();
    at += 1;
  }
  return { lines: read, next: at, whole: true };
}

/** What a file was before the patch, of what it was after; undefined when the patch is not of this text. */
export function undone(file: PatchFile, after: string): string | undefined {
  if (file.binary || file.cut || file.before === null) return undefined;
  // Renamed and not changed.
  if (file.hunks.length === 0) return file.before === file.after ? undefined : after;
  // Each with what ends it: whether the last one is ended is a difference too.
  const lines = after === '' ? [] : after.split(/(?<=\n)/);
  const result: string[] = [];
  let at = 0;
  for (const hunk of file.hunks) {
    const start = hunk.lines.some(({ kind }) => kind !== '-') ? hunk.after - 1 : hunk.after;
    if (start < at || start > lines.length) return undefined;
    result.push(...lines.slice(at, start));
    at = start;
    for (const { kind, text, open } of hunk.lines) {
      const whole = open ? text : `${text}\n`;
      if (kind !== '-' && lines[at++] !== whole) return undefined;
      if (kind !== '+') result.push(whole);
    }
  }
  return [...result, ...lines.slice(at)].join('');
}

/** Both sides of a file, or as much of them as its patch shows. */
export interface Sides {
  before: string;
  after: string;
  /** Numbers of the lines in their files; null where a line says what is left out. */
  numbers: { before: (number | null)[]; after: (number | null)[] };
}

/** Both sides as far as a patch shows them, with a line wherever something is left out, also before the first piece. */
export function sidesOf({ hunks }: Pick<PatchFile, 'hunks'>): Sides {
  const [before, after] = [sideOf(hunks, '+', 'before'), sideOf(hunks, '-', 'after')];
  return { before: before.text, after: after.text, numbers: { before: before.numbers, after: after.numbers } };
}

function sideOf(
  hunks: readonly Hunk[],
  drop: '+' | '-',
  start: 'before' | 'after',
): { text: string; numbers: (number | null)[] } {
  const texts: string[] = [];
  const numbers: (number | null)[] = [];
  let open = false;
  for (const [index, hunk] of hunks.entries()) {
    if (index > 0 || hunk.before > 1) {
      texts.push(`⋯ ${hunk.heading}`.trimEnd());
      numbers.push(null);
    }
    let number = hunk[start];
    for (const line of hunk.lines) {
      if (line.kind === drop) continue;
      texts.push(line.text);
      numbers.push(number++);
      ({ open } = line);
    }
  }
  if (texts.length === 0 || open) return { text: texts.join('\n'), numbers };
  // Ended, so that what follows the last line changes nothing of it.
  return { text: `${texts.join('\n')}\n`, numbers: [...numbers, null] };
}

/** `diff --git a/x b/x`: both are the same but for renames, which say so by themselves. */
function pathsOfHead(line: string): { before: string; after: string } {
  const rest = line.slice('diff --git '.length);
  if (rest.startsWith('"')) {
    const path = pathOf(/^"(?:[^"\\]|\\.)*"/.exec(rest)?.[0] ?? rest, 'a/') ?? rest;
    return { before: path, after: path };
  }
  // The path may have blanks; the two halves are equal.
  const half = (rest.length - 1) / 2;
  if (Number.isInteger(half) && rest.slice(2, half) === rest.slice(half + 3))
    return { before: rest.slice(2, half), after: rest.slice(2, half) };
  const named = /^a\/(.+) b\/(.+)$/.exec(rest);
  return { before: named?.[1] ?? rest, after: named?.[2] ?? rest };
}

function pathOf(text: string, prefix: string): string | null {
  const path = unquote(text.replace(/\t.*$/, ''));
  return path === '/dev/null' ? null : path.startsWith(prefix) ? path.slice(2) : path;
}

/** Git writes bytes beyond ASCII and some others as octal escapes between quotation marks. */
function unquote(text: string): string {
  if (!text.startsWith('"') || !text.endsWith('"')) return text;
  const escapes: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, '"': 34, '\\': 92, a: 7, b: 8, f: 12, v: 11 };
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  const inner = text.slice(1, -1);
  for (let at = 0; at < inner.length;) {
    if (inner[at] !== '\\') {
      const letter = String.fromCodePoint(inner.codePointAt(at)!);
      bytes.push(...encoder.encode(letter));
      at += letter.length;
      continue;
    }
    const octal = /^[0-7]{3}/.exec(inner.slice(at + 1));
    if (octal !== null) {
      bytes.push(Number.parseInt(octal[0], 8) & 255);
      at += 4;
    } else {
      bytes.push(escapes[inner[at + 1] ?? ''] ?? inner.charCodeAt(at + 1));
      at += 2;
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
