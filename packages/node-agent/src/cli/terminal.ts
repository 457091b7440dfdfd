import { FieldbookError } from '@fieldbook/core';
import { fitWidth, oneLine } from './width.ts';

/** What a command writes to, and what it may do there. Commands never touch `process` themselves. */
export interface Terminal {
  /** stdout: the answer, and nothing else. */
  out(text: string): void;
  /** stdout, bytes as they are; resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** stderr: everything said on the way. */
  err(text: string): void;
  /** stdout is a terminal: tables are for eyes and fit its width. */
  interactive: boolean;
  /** stderr is a terminal: progress can be rewritten in place. */
  progress: boolean;
  colour: boolean;
  columns: number;
  readStdin(): Promise<string>;
  /** A line that is typed without being shown. Rejects with `closed` when it is broken off. */
  askHidden(question: string): Promise<string>;
  stdinIsTerminal: boolean;
}

/** The process's own terminal. `NO_COLOR` and `TERM=dumb` are honoured, `FORCE_COLOR` too. */
export function processTerminal(): Terminal {
  const { stdout, stderr, stdin, env } = process;
  // A reader that has seen enough (`| head`) is no failure.
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      throw error;
    });
  }
  const plain = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  const forced = (env['FORCE_COLOR'] ?? '') !== '' && env['FORCE_COLOR'] !== '0';
  return {
    out: (text) => void stdout.write(text),
    write: (bytes) =>
      new Promise((resolve) => {
        if (stdout.write(bytes)) resolve();
        else stdout.once('drain', resolve);
      }),
    err: (text) => void stderr.write(text),
    interactive: stdout.isTTY === true,
    progress: stderr.isTTY === true && env['TERM'] !== 'dumb',
    colour: forced || (!plain && stdout.isTTY === true),
    // In a pipe nothing of the answer is cut, but a progress line on stderr is.
    columns: stdout.columns ?? stderr.columns ?? 100,
    stdinIsTerminal: stdin.isTTY === true,
    askHidden: (question) => askHidden(question, stdin, stderr),
    readStdin: async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of stdin) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8');
    },
  };
}

/** Raw mode, so that the terminal echoes nothing; the usual keys work. */
function askHidden(question: string, stdin: NodeJS.ReadStream, stderr: NodeJS.WriteStream): Promise<string> {
  // Before the question: who types at once must not be echoed.
  stdin.setRawMode(true);
  stderr.write(question);
  stdin.resume();
  stdin.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    let typed = '';
    const end = (finish: () => void): void => {
      stdin.off('data', hear);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      finish();
    };
    const hear = (text: string): void => {
      for (const key of text) {
        if (key === '\r' || key === '\n') return end(() => resolve(typed));
        if (key === '\u0003' || (key === '\u0004' && typed === ''))
          return end(() => reject(new FieldbookError('closed', 'Nothing was typed.')));
        if (key === '\u007f' || key === '\b') typed = [...typed].slice(0, -1).join('');
        else if (key === '\u0015') typed = '';
        else if (key >= ' ') typed += key;
      }
    };
    stdin.on('data', hear);
  });
}

const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof STYLES;

export function paint(terminal: Pick<Terminal, 'colour'>, style: Style, text: string): string {
  if (!terminal.colour) return text;
  const [on, off] = STYLES[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

/** Shows a line on stderr when something takes longer than a second, and takes it away again. */
export class Progress {
  readonly #terminal: Terminal;
  #timer: NodeJS.Timeout | undefined;
  #line = '';
  #shown = false;

  constructor(terminal: Terminal, line: string) {
    this.#terminal = terminal;
    this.#line = line;
    this.#timer = setTimeout(() => {
      this.#shown = true;
      this.#draw();
    }, 1_000);
  }

  update(line: string): void {
    if (line === this.#line) return;
    this.#line = line;
    if (this.#shown) this.#draw();
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#shown && this.#terminal.progress) this.#terminal.err('\r\u001b[K');
    this.#shown = false;
  }

  #draw(): void {
    const line = oneLine(this.#line);
    // A line that wraps could not be taken away again.
    const fitted = fitWidth(line, this.#terminal.columns - 1);
    this.#terminal.err(this.#terminal.progress ? `\r\u001b[K${fitted}` : `${line}\n`);
  }
}
