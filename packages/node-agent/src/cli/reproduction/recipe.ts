import type { FileShape, RunDetailShape } from '../shapes.ts';

/** One section that was captured of one writer, as the API answers it. */
export interface CaptureShape {
  writer: string;
  device: string;
  section: string;
  data: Record<string, unknown>;
}

export type CapturedRun = RunDetailShape & { captures: CaptureShape[] };

/** Where a recorded file goes in the folder. */
export interface Placed {
  file: FileShape;
  /** Relative, `/` between its parts, checked. */
  target: string;
}

/** What it takes to do a run again: plain data, made of what journals said and trusted in nothing. */
export interface Recipe {
  run: { id: string; name: string; project: string; host: string | null };
  /** The checkout, when the run was in one. */
  git: { commit: string; remotes: string[]; root: string | null; submodules: boolean } | null;
  /** Words of the command; null when none was recorded. */
  command: string[] | null;
  /** Of the checkout; "" for its top. */
  folder: string;
  /** The folder that `code` stands for, as it was called on the run's machine. */
  root: string | null;
  /** Python's version, as `3.11.7`. */
  python: string | null;
  /** To be set again. */
  variables: [string, string][];
  /** Recorded, but of that machine or that job. */
  otherVariables: [string, string][];
  seeds: [string, unknown][];
  /** The code was not what is committed. */
  dirty: boolean;
  patch: Placed | null;
  files: Placed[];
  /** What a person must know, most important first. */
  warnings: string[];
}

/** Variables that change what is computed, and mean the same anywhere. */
const COMPUTES =
  /^(OMP_NUM_THREADS|MKL_NUM_THREADS|OPENBLAS_NUM_THREADS|NUMEXPR_NUM_THREADS|VECLIB_MAXIMUM_THREADS|CUBLAS_WORKSPACE_CONFIG|NVIDIA_TF32_OVERRIDE|CUDA_LAUNCH_BLOCKING|PYTHONHASHSEED|PYTHONOPTIMIZE|PYTORCH_CUDA_ALLOC_CONF|PYTORCH_ALLOC_CONF|PYTORCH_ENABLE_MPS_FALLBACK|TORCH_ALLOW_TF32_CUBLAS_OVERRIDE|TORCHDYNAMO_DISABLE|TF_DETERMINISTIC_OPS|TF_CUDNN_DETERMINISTIC|TF_ENABLE_ONEDNN_OPTS|TF_XLA_FLAGS|XLA_FLAGS|JAX_ENABLE_X64|JAX_DEFAULT_MATMUL_PRECISION|KERAS_BACKEND|TOKENIZERS_PARALLELISM|PL_GLOBAL_SEED|ACCELERATE_MIXED_PRECISION|LANG|LC_ALL|TZ)$/;
const SEED = /(^|[/_.-])(random_?)?seed$/i;
const REDACTED = '[redacted]';
const NOTEBOOK = 'source/notebook.ipynb';

/** Makes the recipe of a run from its details and files. `from` are places to fetch the commit from, asked first. */
export function recipeOf(run: CapturedRun, files: readonly FileShape[], from: readonly string[]): Recipe {
  const warnings: string[] = [];
  const git = gitOf(run, from);
  const { command, cwd } = commandOf(run, warnings);
  const code = section(run, 'code');
  const root = git?.root ?? firstText(code?.['roots']) ?? cwd;
  const folder = relativeTo(root, cwd);
  if (folder === undefined)
    warnings.push(`It ran in ${cwd ?? 'an unknown folder'}, which is not below the code; run.sh starts at its top.`);
  const placed = placeFiles(files, warnings);
  const patch = placed.find(({ target }) => target === 'source.patch') ?? null;
  if (git === null)
    warnings.push('The run was not in a git checkout: what is in snapshot/ is all of its code that was recorded.');
  warnings.push(...codeWarnings(run, patch, placed));
  const { variables, otherVariables } = variablesOf(run);
  const python = text(section(run, 'python')?.['version']);
  const recorded = command?.map((word) => placeWord(word, root)) ?? null;
  if (command?.some((word) => word.includes(REDACTED)) === true)
    warnings.push('A secret was taken out of the command line: put it back in run.sh where it says [redacted].');
  return {
    run: { id: run.id, name: run.name, project: run.project, host: run.host },
    git: git === null ? null : { ...git, submodules: Array.isArray(section(run, 'git')?.['submodules']) },
    command: recorded,
    folder: folder ?? '',
    root,
    python: python !== undefined && /^\d+(\.\d+){1,3}\w*$/.test(python) ? python : null,
    variables,
    otherVariables,
    seeds: Object.entries(run.attributes).filter(([path]) => SEED.test(path)),
    dirty: section(run, 'git')?.['dirty'] === true,
    patch,
    files: placed,
    warnings,
  };
}

/** A section of the writer that says most about the run: the launcher's or the script's, else its companion's. */
function section(run: CapturedRun, name: string): Record<string, unknown> | undefined {
  const found = run.captures.filter((capture) => capture.section === name);
  const order = new Map(run.writers.map(({ writer, created }) => [writer, created]));
  const time = (capture: CaptureShape): number => order.get(capture.writer) ?? Number.MAX_SAFE_INTEGER;
  return found.sort((a, b) => time(a) - time(b) || (a.writer < b.writer ? -1 : 1))[0]?.data;
}

function gitOf(
  run: CapturedRun,
  from: readonly string[],
): { commit: string; remotes: string[]; root: string | null } | null {
  const data = section(run, 'git');
  const commit = text(data?.['commit']);
  if (data === undefined || commit === undefined || !/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(commit)) return null;
  const root = absolute(data['root']) ?? null;
  const urls = Object.values((data['remotes'] ?? {}) as Record<string, unknown>).flatMap((url) => text(url) ?? []);
  const usable = urls.filter(
    (url) => !/[\u0000-\u001f\u007f]/.test(url) && !url.startsWith('-') && !url.includes('::'),
  );
  return { commit, root, remotes: [...new Set([...from, ...usable, ...(root === null ? [] : [root])])].slice(0, 20) };
}

function commandOf(run: CapturedRun, warnings: string[]): { command: string[] | null; cwd: string | null } {
  const all = run.captures.filter(({ section: name }) => name === 'command').map(({ data }) => data);
  // The launcher has the whole command line; a Python process knows what stands behind the interpreter.
  const launched = all.find((data) => data['launcher'] !== undefined);
  const data = launched ?? section(run, 'command');
  const argv = texts(data?.['argv']);
  if (data === undefined || argv.length === 0) {
    warnings.push('No command line was recorded: run.sh only opens the folder.');
    return { command: null, cwd: null };
  }
  const cwd = absolute(data['cwd']) ?? null;
  if (launched !== undefined) return { command: argv, cwd };
  const options = texts(data['interpreter_options']);
  const module = text(data['module']);
  const entry = text(data['entry']) ?? argv[0]!;
  if (module === undefined && section(run, 'notebook') !== undefined)
    warnings.push(
      'The run was a notebook: notebook.ipynb has it as it was; run.sh cannot say which cells were executed in which order.',
    );
  return {
    command: ['python', ...options, ...(module === undefined ? [entry] : ['-m', module]), ...argv.slice(1)],
    cwd,
  };
}

/** Words that name the Python of that machine, or a file of the checkout by its place there, made to mean the same here. */
function placeWord(word: string, root: string | null): string {
  if (root === null || root === '/') return word;
  return word.replaceAll(`${root}/`, `${CODE}/`).replace(new RegExp(`(^|=)${escapeRegExp(root)}$`), `$1${CODE}`);
}

/** Stands for the folder of the code in a command's words, until run.sh or `--run` knows where that is. No word of a shell has it. */
export const CODE = '\u0001CODE';

function escapeRegExp(literal: string): string {
  return literal.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function placeFiles(files: readonly FileShape[], warnings: string[]): Placed[] {
  const placed: Placed[] = [];
  const taken = new Set<string>();
  for (const file of files) {
    if (!file.current || file.state === 'removed') continue;
    const wanted = targetOf(file);
    if (wanted === undefined) continue;
    const target = safeRelative(wanted);
    // Two names that a case-insensitive disk takes for one must not write over each other.
    if (target === undefined || taken.has(target.toLowerCase())) {
      warnings.push(`The file ${file.path} was left out: its name does not fit into this folder.`);
      continue;
    }
    taken.add(target.toLowerCase());
    placed.push({ file, target });
    const redacted = file.meta?.['redacted'];
    if (typeof redacted === 'number' && redacted > 0)
      warnings.push(`Secrets were taken out of ${target} (${redacted} places).`);
  }
  return placed;
}

function targetOf({ path, kind }: FileShape): string | undefined {
  if (path === 'source/diff.patch') return 'source.patch';
  if (path === NOTEBOOK || (kind === 'notebook' && path.startsWith('source/'))) return 'notebook.ipynb';
  if (path === 'environment/requirements.txt') return 'requirements.txt';
  if (path === 'environment/conda-explicit.txt') return 'conda-explicit.txt';
  if (/^environment\/files\/environment\.ya?ml$/.test(path)) return 'environment.yml';
  for (const [from, to] of [
    ['source/untracked/', 'untracked/'],
    ['source/files/', 'snapshot/'],
    ['environment/files/', 'environment/'],
    ['config/', 'config/'],
  ] as const)
    if (path.startsWith(from)) return to + path.slice(from.length);
  return undefined;
}

/**
 * The path if it leads nowhere but below the folder that it is joined to, on any system; undefined else. `.git` is refused
 * in any case: what lies there is run by git.
 */
export function safeRelative(path: string): string | undefined {
  const parts = path.split('/');
  const bad = parts.some(
    (part) =>
      part === '' ||
      part === '.' ||
      part === '..' ||
      /[\u0000-\u001f\u007f\\:]/.test(part) ||
      /^\.git[\s.]*$/i.test(part) ||
      /^git~\d/i.test(part) ||
      Buffer.byteLength(part) > 255,
  );
  return bad || path.length > 2_000 ? undefined : path;
}

function codeWarnings(run: CapturedRun, patch: Placed | null, placed: readonly Placed[]): string[] {
  const data = section(run, 'git');
  const warnings: string[] = [];
  if (data?.['dirty'] === true) {
    const applied =
      patch !== null
        ? 'source.patch has the changes'
        : data['changed_files'] === 0
          ? 'there were files that git did not know; those of them that were recorded are in untracked/'
          : 'no patch was recorded, so the code will differ';
    warnings.push(`The code was not what is committed (dirty): ${applied}.`);
  }
  for (const note of texts(data?.['notes'])) warnings.push(`Of the checkout: ${note}.`);
  const leftOut = { ...(data?.['untracked_left_out'] as object), ...(section(run, 'code')?.['left_out'] as object) };
  for (const [reason, count] of Object.entries(leftOut as Record<string, unknown>))
    if (typeof count === 'number') warnings.push(`${count} source files were not recorded (${reason}).`);
  for (const { file, target } of placed)
    if (file.state !== 'here')
      warnings.push(`The bytes of ${target} are not on this machine (${file.state}); it is left out.`);
  const commands = run.captures.filter(
    ({ section: name, data: { launcher } }) => name === 'command' && launcher !== undefined,
  );
  if (commands.length > 1)
    warnings.push(`The run has ${commands.length} command lines (it was resumed); this is the first.`);
  return warnings;
}

function variablesOf(run: CapturedRun): Pick<Recipe, 'variables' | 'otherVariables'> {
  const all = Object.entries(section(run, 'variables') ?? {}).flatMap(([name, value]): [string, string][] =>
    /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && typeof value === 'string' && !value.includes('\0') ? [[name, value]] : [],
  );
  const again = ([name, value]: [string, string]): boolean => COMPUTES.test(name) && !value.includes(REDACTED);
  return { variables: all.filter(again), otherVariables: all.filter((one) => !again(one)) };
}

/** `path` as a path below `root`; undefined when it is not there. */
function relativeTo(root: string | null, path: string | null): string | undefined {
  if (root === null || path === null) return undefined;
  if (path === root) return '';
  return path.startsWith(`${root}/`) ? safeRelative(path.slice(root.length + 1)) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function firstText(value: unknown): string | undefined {
  return absolute(texts(value)[0]);
}

function absolute(value: unknown): string | undefined {
  const path = text(value);
  return path !== undefined && path.startsWith('/') && !/[\u0000-\u001f\u007f]/.test(path) ? path : undefined;
}
