import type { ProjectId } from '@fieldbook/core';
import { projectIdOf } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { Audit } from '../audit.ts';
import { openDirectory } from '../platform/data.ts';
import { TokenUse } from '../token-use.ts';
import type { Revoked, Token } from '../tokens.ts';
import { Tokens } from '../tokens.ts';
import type { DataOption } from './program.ts';

interface JsonOption extends DataOption {
  json?: boolean;
}

interface CreateOptions extends JsonOption {
  role: Role;
  project?: string[];
  name?: string;
  expires?: number;
}

/** The token goes to stdout alone, so that it can be piped; what to do with it goes to stderr. */
export async function createToken(options: CreateOptions): Promise<void> {
  const { tokens, audit } = await openTokens(options);
  const projects = options.project === undefined ? null : idsOf(options.project);
  const { role, name = null, expires = null } = options;
  const { token, secret } = await tokens.create({ role, projects, name, expires });
  audit.record('token.created', { id: token.id, role, projects, name, expires: isoOf(expires), by: 'command line' });
  await audit.close();
  if (options.json === true) {
    print({ ...token, token: secret });
    return;
  }
  process.stdout.write(`${secret}\n`);
  process.stderr.write(
    `Made token ${token.id} (${role}). It is shown only now. On a machine: fieldbook join <relay url> --token …\n` +
      'In a browser: open <relay url>/#token=…\n',
  );
}

export async function listTokens(options: JsonOption & { revoked?: boolean }): Promise<void> {
  const { tokens, use } = await openTokens(options);
  if (options.revoked === true) return listRevoked(await tokens.revoked(), options);
  // A list of who may come in is whole or none.
  if (tokens.unreadable !== undefined) throw tokens.unreadable;
  const listed = tokens.list().map((token) => ({ ...token, lastUsed: use.lastUsed(token.id) ?? null }));
  if (options.json === true) {
    print(listed);
    return;
  }
  if (listed.length === 0) process.stderr.write('There are no tokens; make one with "fieldbook-relay token create".\n');
  for (const token of listed) process.stdout.write(`${line(token, tokens.isOver(token))}\n`);
}

function listRevoked(people: readonly Revoked[], { json }: JsonOption): void {
  if (json === true) return print(people);
  if (people.length === 0) process.stderr.write('Nobody who signs in was revoked.\n');
  for (const { id, revoked, name, person } of people)
    process.stdout.write(`${id}  revoked ${dayOf(revoked)}  ${name ?? ''}  ${person.issuer} ${person.subject}\n`);
}

/** Lets a person sign in again who was revoked. */
export async function readmitPerson(id: string, options: JsonOption): Promise<void> {
  const { tokens, audit } = await openTokens(options);
  const { name } = await tokens.readmit(id);
  audit.record('person.readmitted', { id, name, by: 'command line' });
  await audit.close();
  if (options.json === true) print({ readmitted: id });
  else process.stderr.write(`${name ?? id} may sign in again, as far as the rules of oidc.allow go.\n`);
}

export async function revokeToken(id: string, options: JsonOption): Promise<void> {
  const { tokens, audit } = await openTokens(options);
  const { role, name, person } = await tokens.revoke(id);
  audit.record('token.revoked', { id, role, name, by: 'command line' });
  await audit.close();
  if (options.json === true) print({ revoked: id });
  else if (person === undefined) process.stderr.write(`Revoked ${id}.\n`);
  else process.stderr.write(`Revoked ${id}: ${name} cannot sign in until "fieldbook-relay token readmit ${id}".\n`);
}

async function openTokens({ data }: DataOption): Promise<{ tokens: Tokens; audit: Audit; use: TokenUse }> {
  const directory = await openDirectory(data);
  return {
    tokens: await Tokens.open(directory.tokens),
    use: await TokenUse.open(directory.tokenUse),
    audit: new Audit(directory.audit, {
      failed: (error) => process.stderr.write(`warning: the audit log cannot be written: ${String(error)}\n`),
    }),
  };
}

function idsOf(projects: readonly string[]): ProjectId[] {
  return [...new Set(projects.map((project) => projectIdOf(project)))];
}

function line(
  { id, role, projects, name, created, expires, person, lastUsed }: Token & { lastUsed: number | null },
  over: boolean,
): string {
  const scope = projects === null ? 'all projects' : projects.join(', ');
  const ends = expires === null ? 'for ever' : over ? `ended ${dayOf(expires)}` : `until ${dayOf(expires)}`;
  const used = lastUsed === null ? 'never used' : `used ${dayOf(lastUsed)}`;
  const by = person === undefined ? '' : `  (signs in at ${new URL(person.issuer).host})`;
  return `${id}  ${role.padEnd(11)}  ${dayOf(created)}  ${ends}  ${used}  ${scope}  ${name ?? ''}${by}`.trimEnd();
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
