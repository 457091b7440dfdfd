import type { WriterDetail } from '../worker/api.ts';

/**
 * What the scripts of a run said of where they ran, a later one over an earlier one. A companion, which records the machine beside the
 * script, is another process with other facts: it speaks only where nobody else did.
 */
export function environmentOf(writers: readonly Pick<WriterDetail, 'environment'>[]): Record<string, unknown> {
  const scripts = writers.filter(({ environment }) => typeof environment['role'] !== 'string');
  return Object.assign({}, ...(scripts.length > 0 ? scripts : writers).map(({ environment }) => environment)) as Record<
    string,
    unknown
  >;
}

/** The commit that a run's code was at: of `git` as the client says it, or under one of the names that others use. */
export function commitOf({ git, git_commit, commit }: Record<string, unknown>): string | null {
  const said = [typeof git === 'object' && git !== null && 'commit' in git ? git.commit : git, git_commit, commit];
  return said.find((one): one is string => typeof one === 'string' && one !== '') ?? null;
}
