import type { DataFile } from '@fieldbook/core/data';
import type { Recipe } from './recipe.ts';
import { CODE } from './recipe.ts';

/** The texts that a reproduction's folder holds. Everything that came from a journal is quoted for the shell, or indented in Markdown. */

/** A word that a POSIX shell reads back as exactly this text. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A data version, and what checks it. */
export interface CheckedData {
  path: string;
  digest: string | null;
  /** The list's file below `data/`; null when the list could not be had. */
  list: string | null;
  root: string | null;
  /** Files whose digest cannot be computed here. */
  unchecked: number;
  note: string | null;
}

const HEAD = '#!/bin/sh\nset -eu\ncd "$(dirname "$0")"\n';

/** Makes `code/` what the run's code was. */
export function checkoutScript(recipe: Recipe): string {
  const lines = [HEAD];
  lines.push(
    'if [ -e code ]; then',
    '  echo "code/ is there already; remove it to check out again." >&2',
    '  exit 0',
    'fi',
  );
  const { git } = recipe;
  if (git === null) lines.push('mkdir code', copy('snapshot'));
  else {
    lines.push(
      'git init -q code.part',
      'cd code.part',
      `commit=${git.commit}`,
      'have() { git cat-file -e "$commit^{commit}" 2>/dev/null; }',
      '# The commit alone first, as some servers allow; else everything.',
      'get() {',
      '  have && return 0',
      '  git fetch -q --depth 1 -- "$1" "$commit" 2>/dev/null && have && return 0',
      '  git fetch -q -- "$1" \'+refs/*:refs/fetched/*\' && have',
      '}',
      ...(git.remotes.length === 0
        ? []
        : [`${git.remotes.map((url) => `get ${shellQuote(url)}`).join(' ||\n  ')} || true`]),
      'if ! have; then',
      '  echo "Commit $commit was not found. Run: sh checkout.sh again after fieldbook reproduce --from PATH-OR-URL." >&2',
      '  cd ..',
      '  rm -rf code.part',
      '  exit 1',
      'fi',
      'git checkout -q --detach "$commit"',
    );
    if (git.submodules)
      lines.push('git submodule update -q --init --recursive || echo "Submodules could not be had." >&2');
    if (recipe.patch !== null)
      lines.push(
        'git apply --whitespace=nowarn ../source.patch || { echo "source.patch does not apply; see README.md." >&2; exit 1; }',
      );
    lines.push('cd ..', 'mv code.part code');
    // Commit and patch say what git has; the snapshot has what git does not, and all of it when there is no patch to go by.
    lines.push(recipe.patch === null && recipe.dirty ? copy('snapshot') : ADD_SNAPSHOT, copy('untracked'));
  }
  return `${lines.join('\n')}\n`;
}

const ADD_SNAPSHOT = `if [ -d snapshot ]; then
  (cd snapshot && find . -type f) | while IFS= read -r file; do
    [ -e "code/$file" ] && continue
    mkdir -p "code/$(dirname "$file")"
    cp "snapshot/$file" "code/$file"
  done
fi`;

function copy(folder: string): string {
  return `if [ -d ${folder} ]; then cp -R ${folder}/. code/; fi`;
}

/** Runs the command as it was run. */
export function runScript(recipe: Recipe): string {
  const lines = [HEAD + 'code=$PWD/code'];
  const folder = recipe.folder === '' ? '"$code"' : `"$code"/${shellQuote(recipe.folder)}`;
  // It may have been a folder without files, which git does not have.
  lines.push(`mkdir -p ${folder}`, `cd ${folder}`);
  for (const [name, value] of recipe.variables) lines.push(`export ${name}=${shellQuote(value)}`);
  for (const [name, value] of recipe.otherVariables) lines.push(`# not set again: ${oneComment(`${name}=${value}`)}`);
  if (recipe.command === null) lines.push('echo "No command line was recorded." >&2', 'exit 2');
  else {
    if (recipe.command.some((word) => word.includes('[redacted]')))
      lines.push(
        '# Replace [redacted] below and remove these two lines.',
        'echo "A secret was taken out of this command; see README.md." >&2',
        'exit 2',
      );
    lines.push(`exec ${recipe.command.map((word, index) => shellWord(word, index)).join(' ')} "$@"`);
  }
  return `${lines.join('\n')}\n`;
}

function shellWord(word: string, index: number): string {
  if (index === 0 && isPython(word)) return '"${PYTHON:-python3}"';
  if (!word.includes(CODE)) return shellQuote(word);
  return word
    .split(CODE)
    .map((piece) => (piece === '' ? '' : shellQuote(piece)))
    .join('"$code"');
}

/** Whether a word names a Python interpreter, whose place on that machine means nothing here. */
export function isPython(word: string): boolean {
  return /(^|\/)python[0-9.]*$/.test(word);
}

/** Lines of `sha256sum -c` or `md5sum -c`; names with a backslash or a newline are escaped as these programs do. */
export function checksumLines(files: readonly DataFile[], algorithm: 'sha256' | 'md5'): string {
  return files
    .filter((file) => file.algorithm === algorithm)
    .map(({ digest, path }) => {
      const plain = /^[0-9a-f]+$/.test(digest) ? digest : '';
      return /[\\\n\r]/.test(path)
        ? `\\${plain}  ./${path.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}\n`
        : `${plain}  ./${path}\n`;
    })
    .join('');
}

/** Checks the data of the run by the digests in `data/`. */
export function checkDataScript(data: readonly CheckedData[]): string {
  const lines = [
    HEAD + 'lists=$PWD/data',
    'failed=0',
    '# check NAME WHERE: the files below WHERE against data/NAME.sha256 and data/NAME.md5',
    'check() {',
    '  echo "$1: $2"',
    '  for sum in sha256 md5; do',
    '    [ -s "$lists/$1.$sum" ] || continue',
    '    (cd -- "$2" && "${sum}sum" --quiet -c -- "$lists/$1.$sum") || failed=1',
    '  done',
    '}',
    '# Each folder can be given as an argument, in this order; without one it is where the run had it.',
  ];
  data.forEach(({ list, root }, index) => {
    if (list !== null) lines.push(`check ${shellQuote(list)} "\${${index + 1}:-${quoteInside(root ?? '.')}}"`);
  });
  lines.push('exit $failed');
  return `${lines.join('\n')}\n`;
}

/** Inside of double quotes and braces. */
function quoteInside(value: string): string {
  return value.replaceAll(/[\\"$`}]/g, '\\$&');
}

/** What to do, what is missing. */
export function readme(recipe: Recipe, data: readonly CheckedData[]): string {
  const { run, git, python } = recipe;
  const has = (target: string): boolean => recipe.files.some((placed) => placed.target === target);
  const lines = [
    `# Reproduction of a run`,
    '',
    code(`${run.name}\nrun ${run.id} of project ${run.project}${run.host === null ? '' : `, on ${run.host}`}`),
    '',
  ];
  if (recipe.warnings.length > 0)
    lines.push('## To know first', '', ...recipe.warnings.map((warning) => `- ${inline(warning)}`), '');
  const steps = ['`sh checkout.sh` makes `code/`.'];
  const environment = [
    ...(has('environment.yml') ? ['`conda env create -f environment.yml`'] : []),
    ...(has('conda-explicit.txt') ? ['`conda create -n run --file conda-explicit.txt`'] : []),
    ...(has('requirements.txt') ? ['`pip install -r requirements.txt` in a fresh environment'] : []),
  ];
  const version = python === null ? 'Python' : `Python ${python}`;
  if (environment.length > 0) steps.push(`Make the environment (${version}): ${environment.join(', or ')}.`);
  else if (python !== null) steps.push(`The run had ${version}; no list of packages was recorded.`);
  if (data.length > 0) steps.push('`sh check-data.sh [FOLDER …]` compares the data with the digests in `data/`.');
  steps.push('`sh run.sh` runs the command; `fieldbook run -- sh run.sh` records it.');
  lines.push('## What to do', '', ...steps.map((step, index) => `${index + 1}. ${step}`), '');
  lines.push('## The command', '', code(recipe.command?.join(' ').replaceAll(CODE, 'code') ?? 'not recorded'), '');
  if (git !== null)
    lines.push(
      '## The code',
      '',
      code([`commit ${git.commit}`, ...git.remotes.map((url) => `from ${url}`)].join('\n')),
      '',
    );
  if (recipe.seeds.length > 0)
    lines.push(
      '## Seeds',
      '',
      code(recipe.seeds.map(([path, value]) => `${path} = ${JSON.stringify(value)}`).join('\n')),
      '',
    );
  if (data.length > 0)
    lines.push(
      '## Data',
      '',
      ...data.map(({ path, digest, unchecked, note }) =>
        code(
          [path, digest ?? '', unchecked > 0 ? `${unchecked} files have no digest that can be checked` : '', note ?? '']
            .filter(Boolean)
            .join('\n'),
        ),
      ),
      '',
    );
  return `${lines.join('\n')}`;
}

/** An indented block: nothing in it is Markdown. */
function code(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${oneComment(line)}`)
    .join('\n');
}

function inline(text: string): string {
  return oneComment(text).replaceAll(/[`*_<>[\]]/g, '\\$&');
}

/** One line without control characters. */
function oneComment(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, ' ');
}
