import { hostname } from 'node:os';
import { projectIdOf } from '@fieldbook/core';
import type { Role } from '@fieldbook/core/access';
import { Audit } from '../audit.ts';
import type { RelayConfig } from '../config/index.ts';
import { INVITATION_MS, invitationLink, Invitations } from '../invitations.ts';
import { openDirectory } from '../platform/data.ts';

interface InviteOptions {
  role: Role;
  project?: string[];
  name?: string;
  /** ms since the epoch. */
  expires?: number;
  /** ms. */
  tokenLifetime?: number;
  url?: string;
  json?: boolean;
}

/** The link goes to stdout alone, so that it can be piped; what to do with it goes to stderr. */
export async function invite(options: InviteOptions, config: RelayConfig): Promise<void> {
  const { invitations, audit } = await openInvitations(config);
  const { role, name = null } = options;
  const projects =
    options.project === undefined ? null : [...new Set(options.project.map((each) => projectIdOf(each)))];
  const { invitation, secret } = await invitations.create({
    role,
    projects,
    name,
    expires: options.expires ?? Date.now() + INVITATION_MS,
    tokenLifetime: options.tokenLifetime ?? null,
  });
  audit.record('invitation.created', { id: invitation.id, role, projects, name, by: 'command line' });
  await audit.close();
  const link = invitationLink(options.url ?? ownUrl(config), secret);
  if (options.json === true) {
    print({ ...invitation, secret, link });
    return;
  }
  process.stdout.write(`${link}\n`);
  process.stderr.write(
    `Invitation ${invitation.id} (${role}), good once and until ${new Date(invitation.expires).toISOString().slice(0, 16).replace('T', ' ')}. ` +
      "It is shown only now. In a browser: open it. On a machine: fieldbook join '<link>'\n",
  );
  if (options.url === undefined)
    process.stderr.write('Others may know the relay by another address: say it with --url.\n');
}

export async function listInvitations(options: { json?: boolean }, config: RelayConfig): Promise<void> {
  const listed = await (await openInvitations(config)).invitations.list();
  if (options.json === true) {
    print(listed);
    return;
  }
  if (listed.length === 0)
    process.stderr.write('There are no open invitations; make one with "fieldbook-relay invite".\n');
  for (const { id, role, projects, name, expires } of listed) {
    const until = new Date(expires).toISOString().slice(0, 16).replace('T', ' ');
    const scope = projects === null ? 'all projects' : projects.join(', ');
    process.stdout.write(`${id}  ${role.padEnd(11)}  until ${until}  ${scope}  ${name ?? ''}`.trimEnd() + '\n');
  }
}

export async function revokeInvitation(id: string, options: { json?: boolean }, config: RelayConfig): Promise<void> {
  const { invitations, audit } = await openInvitations(config);
  const { role, name } = await invitations.revoke(id);
  audit.record('invitation.revoked', { id, role, name, by: 'command line' });
  await audit.close();
  if (options.json === true) print({ revoked: id });
  else process.stderr.write(`Revoked ${id}.\n`);
}

async function openInvitations({ data }: RelayConfig): Promise<{ invitations: Invitations; audit: Audit }> {
  const directory = await openDirectory(data);
  return {
    invitations: await Invitations.open(directory.invitations),
    audit: new Audit(directory.audit, {
      failed: (error) => process.stderr.write(`warning: the audit log cannot be written: ${String(error)}\n`),
    }),
  };
}

/** Where the relay is as far as its settings say. */
function ownUrl(config: RelayConfig): string {
  const host = config['listen.host'];
  const named = host === '0.0.0.0' || host === '::' ? hostname() : host.includes(':') ? `[${host}]` : host;
  return `${config['tls.cert'] === null ? 'http' : 'https'}://${named}:${config['listen.port']}`;
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
