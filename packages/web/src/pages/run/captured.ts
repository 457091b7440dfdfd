import type { RunDetail } from '../../worker/api.ts';
import type { Capture } from '../../worker/run-api.ts';
import { bytes } from '../../app/format.ts';

/** What was captured, as lines of words. A newer client may say more than is known here, so everything is read with care. */
export type Fact = readonly [label: string, value: string | null];
export type Data = Readonly<Record<string, unknown>>;

/** A section as one process said it; `host` names the machine where there are several. */
export interface Said {
  writer: string;
  host: string | null;
  data: Data;
}

/** A section of all processes, each that says something else once, in the order of the writers. */
export function sectionOf(captures: readonly Capture[], detail: Pick<RunDetail, 'state'>, section: string): Said[] {
  const hosts = new Map(detail.state.writers.map(({ writer, host }) => [writer as string, host]));
  const places = new Map(detail.state.writers.map(({ writer }, place) => [writer as string, place]));
  const found = new Map<string, Said>();
  const own = captures.filter((capture) => capture.section === section);
  for (const { writer, data } of own.sort(
    (a, b) => (places.get(a.writer) ?? Infinity) - (places.get(b.writer) ?? Infinity),
  )) {
    const text = JSON.stringify(data);
    if (!found.has(text)) found.set(text, { writer, host: hosts.get(writer) ?? null, data });
  }
  return [...found.values()];
}

/** Anything as a line of text; null when there is nothing to say. */
export function said(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.length === 0 ? null : value.map((each) => said(each) ?? '').join(', ');
  return typeof value !== 'object' || Object.keys(value).length === 0 ? null : JSON.stringify(value);
}

export function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function dataOf(value: unknown): Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Data) : {};
}

/** Words joined by commas, those left out that are null. */
export function words(...parts: readonly (string | null)[]): string | null {
  const there = parts.filter((part) => part !== null);
  return there.length === 0 ? null : there.join(', ');
}

export function bytesOf(value: unknown): string | null {
  const size = numberOf(value);
  return size === null ? null : bytes(size);
}

/** How a run was started, as a shell takes it. */
export function commandLine(data: Data): string | null {
  const options = listOf(data['interpreter_options']);
  const argv = listOf(data['argv']);
  if (argv.length === 0) return null;
  // What `fieldbook run` starts names its program itself; a script of Python does not.
  const isScript = /\.(py|ipynb)$/.test(said(argv[0]) ?? '');
  const head = data['launcher'] === 'fieldbook run' || !isScript ? [] : ['python', ...options];
  const module = said(data['module']);
  const rest = module === null || head.length === 0 ? argv : ['-m', module, ...argv.slice(1)];
  return [...head, ...rest].map((word) => quoted(said(word) ?? '')).join(' ');
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Git's address of a repository as a page in a browser; null for what is on no web. */
export function webOf(remote: string): string | null {
  const match =
    /^(?:https?:\/\/|ssh:\/\/|git:\/\/)?(?:[^@/]+@)?([\w.-]+\.[a-z]{2,})(?::\d+)?[:/]([\w./~-]+?)(?:\.git)?\/?$/i.exec(
      remote,
    );
  return match === null ? null : `https://${match[1]}/${match[2]}`;
}

export interface GitState {
  commit: string | null;
  branch: string | null;
  message: string | null;
  author: string | null;
  date: string | null;
  dirty: boolean;
  /** Files changed and untracked, and how many there are. */
  changed: readonly string[];
  untracked: readonly string[];
  changedCount: number;
  untrackedCount: number;
  ahead: number;
  behind: number;
  remotes: readonly (readonly [name: string, url: string])[];
  notes: readonly string[];
  root: string | null;
}

export function gitOf(data: Data): GitState {
  const texts = (value: unknown): string[] => listOf(value).flatMap((each) => said(each) ?? []);
  const changed = texts(data['changed']);
  const untracked = texts(data['untracked']);
  return {
    commit: said(data['commit']),
    branch: data['detached'] === true ? 'detached head' : said(data['branch']),
    message: said(data['message']),
    author: said(data['author']),
    date: said(data['date']),
    dirty: data['dirty'] === true,
    changed,
    untracked,
    changedCount: numberOf(data['changed_files']) ?? changed.length,
    untrackedCount: numberOf(data['untracked_files']) ?? untracked.length,
    ahead: numberOf(data['ahead']) ?? 0,
    behind: numberOf(data['behind']) ?? 0,
    remotes: Object.entries(dataOf(data['remotes'])).flatMap(([name, url]) =>
      typeof url === 'string' ? [[name, url] as const] : [],
    ),
    notes: texts(data['notes']),
    root: said(data['root']),
  };
}

const SIGNALS: Readonly<Record<number, string>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  10: 'SIGUSR1',
  11: 'SIGSEGV',
  12: 'SIGUSR2',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
};

/** What is known of how a run ended, as a sentence; of a run that goes on, or went well, that. */
export function endWords(
  status: string,
  writer: { exitCode: number | null; signal: number | null; reason: string | null } | undefined,
): string {
  const signal = writer?.signal == null ? null : (SIGNALS[writer.signal] ?? `signal ${writer.signal}`);
  const by = writer?.reason == null ? '' : ` (${writer.reason})`;
  const code = writer?.exitCode == null ? null : `exit code ${writer.exitCode}`;
  switch (status) {
    case 'running':
      return 'Running now';
    case 'finished':
      return code === null || writer?.exitCode === 0 ? 'Finished' : `Finished with ${code}`;
    case 'failed':
      return `Failed${signal === null ? (code === null ? '' : ` with ${code}`) : `: ended by ${signal}`}${by}`;
    case 'crashed':
      return `Crashed: the process ended ${signal === null ? 'without a word' : `by ${signal}${writer?.signal === 9 ? ', as the kernel does when memory runs out' : ''}`}${by}`;
    case 'preempted':
      return `Preempted${by}${signal === null ? '' : `: ${signal} announced the end`}`;
    case 'lost':
      return 'Lost: no word for long, and nobody can ask the machine';
    default:
      return status;
  }
}
