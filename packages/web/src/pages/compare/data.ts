import { dataDigestOf } from '@fieldbook/core/data';
import type { RunState } from '@fieldbook/core/fold';

/** A data version's path in several runs. */
export interface DataLine {
  path: string;
  /** Digests by run; null where the run says nothing of the path. */
  digests: readonly (string | null)[];
  /** Different digests. */
  versions: readonly string[];
}

export function dataLines(states: readonly RunState[]): DataLine[] {
  const found = new Map<string, (string | null)[]>();
  for (const [place, state] of states.entries()) {
    for (const [path, value] of state.attributes) {
      const digest = dataDigestOf(value);
      if (digest === undefined) continue;
      const line = found.get(path) ?? states.map(() => null);
      line[place] = digest;
      found.set(path, line);
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, digests]) => ({ path, digests, versions: [...new Set(digests.filter((digest) => digest !== null))] }));
}

/** Did the runs train on the same data, in one sentence; `warns` when they did not, or nobody can tell. */
export function dataVerdict(lines: readonly DataLine[]): { warns: boolean; words: string } | null {
  if (lines.length === 0) return null;
  const different = lines.filter(({ versions }) => versions.length > 1);
  const partial = lines.filter(({ digests }) => digests.includes(null));
  if (different.length > 0) {
    const named = different.map(({ path, versions }) => `${path} (${versions.length} versions)`);
    return {
      warns: true,
      words: `These runs did not train on the same data: ${listed(named)} ${different.length === 1 ? 'differs' : 'differ'}.`,
    };
  }
  if (partial.length > 0)
    return {
      warns: true,
      words: `Not all of these runs say what data they saw: ${listed(partial.map(({ path, digests }) => `${path} is recorded by ${digests.filter((digest) => digest !== null).length} of ${digests.length}`))}.`,
    };
  return { warns: false, words: `All of these runs saw the same data: ${listed(lines.map(({ path }) => path))}.` };
}

function listed(words: readonly string[]): string {
  return words.length > 4 ? `${words.slice(0, 4).join(', ')} and ${words.length - 4} more` : words.join(', ');
}
