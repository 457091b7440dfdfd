import { execFile } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { FieldbookError } from '@fieldbook/core';

const OLDEST = { major: 3, minor: 9 };
/** An interpreter on a network file system starts slowly. */
const ASK_MS = 20_000;

/**
 * The first Python that is new enough: `FIELDBOOK_PYTHON`, else `python3`, else `python`; the interpreter itself, not a shim that
 * changes the environment of whatever it starts. Throws `not_found` with what to do when there is none.
 */
export async function findPython(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const named = env['FIELDBOOK_PYTHON'];
  const tried: string[] = [];
  for (const command of named === undefined || named === '' ? ['python3', 'python'] : [named]) {
    const found = await ask(command, env);
    if (found === undefined) {
      tried.push(`${command}: not found`);
      continue;
    }
    const { version, executable } = found;
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return executable;
    tried.push(`${command}: ${version}`);
  }
  throw new FieldbookError(
    'not_found',
    `This needs Python ${OLDEST.major}.${OLDEST.minor} or newer (${tried.join(', ')}). Install it, or name one in FIELDBOOK_PYTHON.`,
  );
}

function ask(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ version: string; executable: string } | undefined> {
  const script = 'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.executable or "", end="")';
  return new Promise((resolve) => {
    execFile(command, ['-I', '-c', script], { env, timeout: ASK_MS, encoding: 'utf8' }, (error, stdout) => {
      const [, version, executable] = /^(\d+\.\d+\.\d+) (.*)$/s.exec(stdout) ?? [];
      if (error !== null || version === undefined) resolve(undefined);
      else resolve({ version, executable: isAbsolute(executable!) ? executable! : command });
    });
  });
}
