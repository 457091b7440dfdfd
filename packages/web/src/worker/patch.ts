/** One file of a git patch. Paths are those of the checkout, without `a/` and `b/`. */
export interface PatchFile {
  /** Null for a file that is made, or taken away. */
  before: string | null;
  after: string | null;
  binary: boolean;
  hunks: readonly Hunk[];
}

export interface Hunk {
  /** First lines, from 1; 0 where there are none. */
  before: number;
  after: number;
  lines: readonly HunkLine[];
}

export interface HunkLine {
  kind: ' ' | '+' | '-';
  text: string;
  /** The file's last line, and nothing ends it. */
  open: boolean;
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** The files of `git diff --binary`. What is no such patch has none; a patch that was cut ends with the last whole hunk. */
export function parsePatch(text: string): PatchFile[] {
  const files: PatchFile[] = [];
  const lines = text.split('\n');
  let at = 0;
  while (at < lines.length) {
    if (!lines[at]!.startsWith('diff --git ')) {
      at += 1;
      continue;
    }
    const named = /^diff --git a\/(.+) b\/(.+)$/.exec(lines[at]!);
    let before: string | null = named?.[1] ?? null;
    let after: string | null = named?.[2] ?? null;
    let binary = false;
    const hunks: Hunk[] = [];
    for (at += 1; at < lines.length && !lines[at]!.startsWith('diff --git ');) {
      const line = lines[at]!;
      const hunk = HUNK.exec(line);
      if (hunk !== null) {
        const read = readHunk(lines, at + 1, Number(hunk[2] ?? 1), Number(hunk[4] ?? 1));
        if (read === null) return [...files, { before, after, binary, hunks }];
        hunks.push({ before: Number(hunk[1]), after: Number(hunk[3]), lines: read.lines });
        at = read.next;
        continue;
      }
      if (line.startsWith('--- ')) before = pathOf(line.slice(4), 'a/');
      else if (line.startsWith('+++ ')) after = pathOf(line.slice(4), 'b/');
      else if (line.startsWith('new file mode')) before = null;
      else if (line.startsWith('deleted file mode')) after = null;
      else if (line.startsWith('rename from ')) before = unquote(line.slice(12));
      else if (line.startsWith('rename to ')) after = unquote(line.slice(10));
      else if (line.startsWith('GIT binary patch') || line.startsWith('Binary files ')) binary = true;
      at += 1;
    }
    files.push({ before, after, binary, hunks });
  }
  return files;
}

/** Null when the text ends within it. */
function readHunk(
  lines: readonly string[],
  from: number,
  before: number,
  after: number,
): { lines: Hunk['lines']; next: number } | null {
  const read: HunkLine[] = [];
  const unended = (): void => {
    const line = read.at(-1);
    if (line !== undefined) line.open = true;
  };
  let at = from;
  for (let [left, right] = [before, after]; left > 0 || right > 0; at++) {
    const line = lines[at];
    if (line === undefined) return null;
    const kind = line[0] ?? ' ';
    if (kind === '\\') {
      unended();
      continue;
    }
    // Editors take the space of an empty line away.
    if (kind !== ' ' && kind !== '+' && kind !== '-') return null;
    if (kind !== '+') left -= 1;
    if (kind !== '-') right -= 1;
    if (left < 0 || right < 0) return null;
    read.push({ kind, text: line.slice(1), open: false });
  }
  if (lines[at]?.startsWith('\\') === true) {
    unended();
    at += 1;
  }
  return { lines: read, next: at };
}

/** What a file was before the patch, of what it was after; undefined when the patch is not of this text. */
export function undone(file: PatchFile, after: string): string | undefined {
  if (file.binary || file.before === null) return undefined;
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

/** The lines that a patch shows of a file, on either side, and their numbers; null stands where something is left out. */
export function pieces(file: PatchFile): Record<'before' | 'after', { text: string; numbers: (number | null)[] }> {
  const side = (drop: '+' | '-', start: 'before' | 'after'): { text: string; numbers: (number | null)[] } => {
    const texts: string[] = [];
    const numbers: (number | null)[] = [];
    let open = false;
    for (const [index, hunk] of file.hunks.entries()) {
      if (index > 0) {
        texts.push('⋯');
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
  };
  return { before: side('+', 'before'), after: side('-', 'after') };
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
