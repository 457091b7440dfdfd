import type { LanguageSupport, StreamParser } from '@codemirror/language';

/** Each grammar is loaded when a file in it is first shown. */
const LANGUAGES = {
  python: async () => (await import('@codemirror/lang-python')).python(),
  json: async () => (await import('@codemirror/lang-json')).json(),
  yaml: async () => (await import('@codemirror/lang-yaml')).yaml(),
  markdown: async () => (await import('@codemirror/lang-markdown')).markdown(),
  toml: async () => stream((await import('@codemirror/legacy-modes/mode/toml')).toml),
  shell: async () => stream((await import('@codemirror/legacy-modes/mode/shell')).shell),
  dockerfile: async () => stream((await import('@codemirror/legacy-modes/mode/dockerfile')).dockerFile),
  ini: async () => stream((await import('@codemirror/legacy-modes/mode/properties')).properties),
  diff: async () => stream((await import('@codemirror/legacy-modes/mode/diff')).diff),
  c: async () => stream((await import('@codemirror/legacy-modes/mode/clike')).cpp),
  javascript: async () => stream((await import('@codemirror/legacy-modes/mode/javascript')).javascript),
  r: async () => stream((await import('@codemirror/legacy-modes/mode/r')).r),
  julia: async () => stream((await import('@codemirror/legacy-modes/mode/julia')).julia),
  rust: async () => stream((await import('@codemirror/legacy-modes/mode/rust')).rust),
  sql: async () => stream((await import('@codemirror/legacy-modes/mode/sql')).standardSQL),
  xml: async () => stream((await import('@codemirror/legacy-modes/mode/xml')).xml),
  css: async () => stream((await import('@codemirror/legacy-modes/mode/css')).css),
  cmake: async () => stream((await import('@codemirror/legacy-modes/mode/cmake')).cmake),
  lua: async () => stream((await import('@codemirror/legacy-modes/mode/lua')).lua),
} as const satisfies Record<string, () => Promise<LanguageSupport>>;

export type LanguageName = keyof typeof LANGUAGES;

const BY_EXTENSION: Readonly<Record<string, LanguageName>> = {
  py: 'python',
  pyi: 'python',
  pyx: 'python',
  json: 'json',
  jsonl: 'json',
  ipynb: 'json',
  yaml: 'yaml',
  yml: 'yaml',
  md: 'markdown',
  toml: 'toml',
  sh: 'shell',
  bash: 'shell',
  zsh: 'shell',
  slurm: 'shell',
  sbatch: 'shell',
  dockerfile: 'dockerfile',
  ini: 'ini',
  cfg: 'ini',
  conf: 'ini',
  properties: 'ini',
  diff: 'diff',
  patch: 'diff',
  c: 'c',
  h: 'c',
  cc: 'c',
  cpp: 'c',
  hpp: 'c',
  cu: 'c',
  cuh: 'c',
  java: 'c',
  js: 'javascript',
  mjs: 'javascript',
  ts: 'javascript',
  r: 'r',
  jl: 'julia',
  rs: 'rust',
  sql: 'sql',
  xml: 'xml',
  html: 'xml',
  svg: 'xml',
  css: 'css',
  cmake: 'cmake',
  lua: 'lua',
};

const BY_NAME: Readonly<Record<string, LanguageName>> = {
  dockerfile: 'dockerfile',
  containerfile: 'dockerfile',
  makefile: 'shell',
  snakefile: 'python',
  '.bashrc': 'shell',
  'cmakelists.txt': 'cmake',
  'poetry.lock': 'toml',
  'uv.lock': 'toml',
  'pdm.lock': 'toml',
  pipfile: 'toml',
  'pipfile.lock': 'json',
  'dvc.lock': 'yaml',
};

/** The language that a file's name promises; null for plain text. */
export function languageOf(name: string): LanguageName | null {
  const file = name.slice(name.lastIndexOf('/') + 1).toLowerCase();
  const named = BY_NAME[file] ?? (file.startsWith('dockerfile.') ? 'dockerfile' : undefined);
  return named ?? BY_EXTENSION[file.slice(file.lastIndexOf('.') + 1)] ?? null;
}

/** Loads a grammar. Resolves null where it cannot be had, as offline before it was ever needed: the text is shown without colours. */
export async function loadLanguage(name: LanguageName): Promise<LanguageSupport | null> {
  try {
    return await LANGUAGES[name]();
  } catch {
    return null;
  }
}

async function stream(parser: StreamParser<unknown>): Promise<LanguageSupport> {
  const { LanguageSupport: Support, StreamLanguage } = await import('@codemirror/language');
  return new Support(StreamLanguage.define(parser));
}
