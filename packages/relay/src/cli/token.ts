import { openDirectory } from '../platform/data.ts';
import type { Token, TokenRole } from '../tokens.ts';
import { Tokens } from '../tokens.ts';
import type { DataOption } from './program.ts';

interface JsonOption extends DataOption {
  json?: boolean;
}

/** The token goes to stdout alone, so that it can be piped; what to do with it goes to stderr. */
export async function createToken(options: JsonOption & { role: TokenRole; name?: string }): Promise<void> {
  const tokens = await openTokens(options);
  const { token, secret } = await tokens.create(options.role, options.name ?? null);
  if (options.json === true) {
    print({ ...token, token: secret });
    return;
  }
  process.stdout.write(`${secret}\n`);
  process.stderr.write(
    `Made token ${token.id} (${token.role}). It is shown only now. On a machine: fieldbook join <relay url> --token …\n` +
      'In a browser: open <relay url>/#token=…\n',
  );
}

export async function listTokens(options: JsonOption): Promise<void> {
  const tokens = (await openTokens(options)).list();
  if (options.json === true) {
    print(tokens);
    return;
  }
  if (tokens.length === 0) process.stderr.write('There are no tokens; make one with "fieldbook-relay token create".\n');
  for (const token of tokens) process.stdout.write(`${line(token)}\n`);
}

export async function revokeToken(id: string, options: JsonOption): Promise<void> {
  await (await openTokens(options)).revoke(id);
  if (options.json === true) print({ revoked: id });
  else process.stderr.write(`Revoked ${id}.\n`);
}

async function openTokens({ data }: DataOption): Promise<Tokens> {
  return Tokens.open((await openDirectory(data)).tokens);
}

function line({ id, role, name, created }: Token): string {
  return `${id}  ${role.padEnd(6)}  ${new Date(created).toISOString().slice(0, 16).replace('T', ' ')}  ${name ?? ''}`.trimEnd();
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
