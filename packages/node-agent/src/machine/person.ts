import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { readIfThere } from './files.ts';

/** The name that edits are made under: `FIELDBOOK_USER`, the configuration, git's `user.name`, or the login. */
export async function personName(
  env: Readonly<Record<string, string | undefined>>,
  configured: string | null,
): Promise<string> {
  const said = env['FIELDBOOK_USER'] || configured || (await gitName(env));
  return clean(said) ?? clean(login()) ?? 'somebody';
}

/** `user.name` from git's own files; asking git would cost a process at each start. */
async function gitName(env: Readonly<Record<string, string | undefined>>): Promise<string | undefined> {
  const home = env['HOME'] ?? homedir();
  const files = [join(home, '.gitconfig'), join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'git', 'config')];
  for (const file of files) {
    const name = nameIn((await readIfThere(file).catch(() => undefined)) ?? '');
    if (name !== undefined) return name;
  }
  return undefined;
}

/** The last `name` of a `[user]` section. */
export function nameIn(gitConfig: string): string | undefined {
  let section = '';
  let name: string | undefined;
  for (const line of gitConfig.split(/\r?\n/)) {
    const header = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line);
    if (header !== null) section = header[1]!.toLowerCase();
    const value = /^\s*name\s*=\s*(.*?)\s*$/i.exec(line)?.[1];
    if (section === 'user' && value !== undefined) name = value.replace(/^"(.*)"$/, '$1');
  }
  return name;
}

function login(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined; // a container's user need not be in any list
  }
}

function clean(name: string | undefined | null): string | undefined {
  const line = (name ?? '')
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim()
    .slice(0, 128);
  return line === '' ? undefined : line;
}
