import { Command, Option } from 'commander';
import { ROLES } from '@fieldbook/core';
import type { CompactOptions, RepairOptions } from '@fieldbook/core/repair';
import type { RelayConfig } from '../config/index.ts';
import { VERSION } from '../version.ts';
import type { SettingFlags } from './config.ts';
import { checkConfig, configOf, withSettings } from './config.ts';
import { parseExpiry, parseSince, parseSpan } from './duration.ts';

/** A command's module is loaded when the command runs: to list tokens nobody waits for all of the relay to load. */
const later =
  <A extends unknown[]>(load: () => Promise<(...args: A) => Promise<void>>) =>
  async (...args: A): Promise<void> =>
    (await load())(...args);

const printAudit = later(async () => (await import('./audit.ts')).printAudit);
const backupCreate = later(async () => (await import('./backup.ts')).backupCreate);
const backupList = later(async () => (await import('./backup.ts')).backupList);
const backupVerify = later(async () => (await import('./backup.ts')).backupVerify);
const backupPrune = later(async () => (await import('./backup.ts')).backupPrune);
const restore = later(async () => (await import('./backup.ts')).restore);
const invite = later(async () => (await import('./invite.ts')).invite);
const listInvitations = later(async () => (await import('./invite.ts')).listInvitations);
const revokeInvitation = later(async () => (await import('./invite.ts')).revokeInvitation);
const addPeer = later(async () => (await import('./peer.ts')).addPeer);
const listPeers = later(async () => (await import('./peer.ts')).listPeers);
const removePeer = later(async () => (await import('./peer.ts')).removePeer);
const compact = later(async () => (await import('./repair.ts')).compact);
const repair = later(async () => (await import('./repair.ts')).repair);
const serve = later(async () => (await import('./serve.ts')).serve);
const createToken = later(async () => (await import('./token.ts')).createToken);
const listTokens = later(async () => (await import('./token.ts')).listTokens);
const readmitPerson = later(async () => (await import('./token.ts')).readmitPerson);
const revokeToken = later(async () => (await import('./token.ts')).revokeToken);
const check = later(async () => (await import('./storage.ts')).check);
const clean = later(async () => (await import('./storage.ts')).clean);
const storage = later(async () => (await import('./storage.ts')).storage);

type Env = Readonly<Record<string, string | undefined>>;

export interface DataOption {
  data: string;
}

/** All commands. Those that need settings read them from flags, the environment and `--config`, see config/settings.ts. */
export function buildProgram(env: Env): Command {
  const program = new Command('fieldbook-relay')
    .description('Merges the field books of a team. Every machine keeps a complete copy; this is a meeting place.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showSuggestionAfterError()
    .exitOverride();
  /** For commands that need to know only where the data lies. */
  const onData =
    <T extends DataOption>(run: (options: T) => Promise<void>) =>
    (options: T): Promise<void> =>
      run({ ...options, data: dataOf(options) });
  const dataOf = (options: object): string => configOf(options as SettingFlags, env).config.data;

  withSettings(program.command('serve').description('run the relay until it is told to stop')).action(
    (options: SettingFlags) => serve(options, env),
  );

  const config = program.command('config').description('look at the settings');
  withSettings(
    config.command('check').description('say what each setting is and where that comes from, or what is wrong'),
  )
    .option('--json', 'answer as JSON')
    .action((options: SettingFlags) => checkConfig(options, env));

  const token = program.command('token').description('make, list and revoke access tokens; works while the relay runs');
  withSettings(token.command('create'), ['data'])
    .description('make a token and print it, once')
    .addOption(
      new Option(
        '--role <role>',
        'viewers read, contributors add runs and change their own, members write, admins also let people in',
      )
        .choices(ROLES)
        .default('member'),
    )
    .option('--project <name...>', 'only these projects; all without')
    .option('--name <name>', 'whom it is for')
    .option('--expires <when>', 'when it ends: a span such as 30d, or a date; never without', parseExpiry)
    .option('--json', 'answer as JSON')
    .action(onData(createToken));
  withSettings(token.command('list'), ['data'])
    .description('list the tokens, and who signs in')
    .option('--revoked', 'instead, those who may not sign in any more')
    .option('--json', 'answer as JSON')
    .action(onData(listTokens));
  withSettings(token.command('revoke'), ['data'])
    .description('make a token worthless and close its connections')
    .argument('<id>', 'as "token list" shows it')
    .option('--json', 'answer as JSON')
    .action((id: string, options: DataOption) => revokeToken(id, { ...options, data: dataOf(options) }));
  withSettings(token.command('readmit'), ['data'])
    .description('let a person sign in again who was revoked')
    .argument('<id>', 'as "token list --revoked" shows it')
    .option('--json', 'answer as JSON')
    .action((id: string, options: DataOption) => readmitPerson(id, { ...options, data: dataOf(options) }));

  const peer = program
    .command('peer')
    .description('exchange with other relays of the same workspace; works while the relay runs');
  withSettings(peer.command('add'), ['data'])
    .description('dial another relay; an empty relay joins its workspace')
    .argument('<url>', 'its address')
    .option('-t, --token <token>', 'a member’s token there; "-" reads it from stdin')
    .option('--json', 'answer as JSON')
    .action((url: string, options: DataOption & { token?: string }) =>
      addPeer(url, { ...options, data: dataOf(options) }),
    );
  withSettings(peer.command('list'), ['data'])
    .description('list the relays that this one dials')
    .option('--json', 'answer as JSON')
    .action(onData(listPeers));
  withSettings(peer.command('remove'), ['data'])
    .description('dial it no more; nothing is deleted')
    .argument('<url>', 'as "peer list" shows it')
    .option('--json', 'answer as JSON')
    .action((url: string, options: DataOption) => removePeer(url, { ...options, data: dataOf(options) }));

  const place = (options: object): RelayConfig => configOf(options as SettingFlags, env).config;
  withSettings(program.command('invite'), ['data', 'listen.host', 'listen.port', 'tls.cert', 'tls.key'])
    .description('print a link that lets one person or machine in, once; works while the relay runs')
    .addOption(new Option('--role <role>', 'what whoever opens it may do').choices(ROLES).default('member'))
    .option('--project <name...>', 'only these projects; all without')
    .option('--name <name>', 'whom it is for')
    .option('--expires <when>', 'until when it may be opened: a span such as 7d (the default), or a date', parseExpiry)
    .option('--token-lifetime <span>', 'how long whoever opened it may come in; for ever without', parseSpan)
    .option('--url <address>', 'where others reach the relay (https://relay.example.org)')
    .option('--json', 'answer as JSON')
    .action((options: Parameters<typeof invite>[0]) => invite(options, place(options)));
  const invitation = program.command('invitation').description('list and revoke invitations that nobody has used yet');
  withSettings(invitation.command('list'), ['data'])
    .description('list them')
    .option('--json', 'answer as JSON')
    .action((options: { json?: boolean }) => listInvitations(options, place(options)));
  withSettings(invitation.command('revoke'), ['data'])
    .description('make an invitation worthless')
    .argument('<id>', 'as "invitation list" shows it')
    .option('--json', 'answer as JSON')
    .action((id: string, options: { json?: boolean }) => revokeInvitation(id, options, place(options)));

  withSettings(program.command('audit'), ['data'])
    .description('print who was let in, what was refused, and what was done to the data')
    .option('--since <when>', 'a span such as 2d, or a date', parseSince)
    .option('--json', 'one JSON object a line')
    .action(onData(printAudit));
  const disk = withSettings(program.command('storage'), ['data'])
    .description('say what takes how much of the disk, by kind, project and run; works while the relay runs')
    .option('--json', 'answer as JSON')
    .action((options: { json?: boolean }) => storage(options, place(options)));
  withSettings(disk.command('clean'), ['data'])
    .description('remove now what the settings "retention.…" and "history.…" let go of daily')
    .option('--dry-run', 'only say what would go')
    .option('--json', 'answer as JSON')
    .action((_: object, command: Command) => {
      const options = command.optsWithGlobals<{ json?: boolean; dryRun?: boolean }>();
      return clean(options, place(options));
    });
  withSettings(disk.command('check'), ['data'])
    .description(
      'read every blob, set damaged ones aside and say what runs name and is not here; works while the relay runs',
    )
    .option('--json', 'answer as JSON')
    .action((_: object, command: Command) => {
      const options = command.optsWithGlobals<{ json?: boolean }>();
      return check(options, place(options));
    });
  const backup = program.command('backup').description('make and look at backups; works while the relay runs');
  withSettings(backup.command('create'), ['data'])
    .description('add a backup to a directory: a snapshot, what was committed since the last one, and new blobs')
    .requiredOption('--to <directory>', 'where backups lie; better on another disk')
    .option('--json', 'answer as JSON')
    .action(onData(backupCreate));
  backup
    .command('list')
    .description('list the backups of a directory')
    .requiredOption('--from <directory>', 'where backups lie')
    .option('--json', 'answer as JSON')
    .action(backupList);
  backup
    .command('verify')
    .description('read every byte of the backups and say what is damaged')
    .requiredOption('--from <directory>', 'where backups lie')
    .option('--quick', 'of blobs look at the sizes only')
    .option('--json', 'answer as JSON')
    .action(backupVerify);
  backup
    .command('prune')
    .description('remove backups that no moment of a span until now needs; the newest always stays')
    .requiredOption('--to <directory>', 'where backups lie')
    .requiredOption('--keep <span>', 'every moment of it can be restored afterwards, e.g. 30d', parseSpan)
    .option('--dry-run', 'only say what would go')
    .option('--json', 'answer as JSON')
    .action(backupPrune);
  program
    .command('restore')
    .description('make a data directory out of a backup, as of a time or a commit')
    .requiredOption('--from <directory>', 'where backups lie')
    .requiredOption('--data <directory>', 'the new data directory')
    .option('--at <time>', 'everything that was stored by then, e.g. 2026-05-03T12:00Z')
    .option('--seq <number>', 'everything up to this commit')
    .option(
      '--audit <file>',
      'an audit log that outlived the relay, or its old data directory: what it says was revoked stays so',
    )
    .option('--json', 'answer as JSON')
    .action(restore);
  withSettings(program.command('repair'), ['data'])
    .description(
      'show what is kept of a document, rebuild it without some of it, or take it from elsewhere; the relay must not run',
    )
    .argument('<document>', 'workspace, book/<project>/<month>, run/<id> or note/<id>')
    .option(
      '--without <what...>',
      'client:ID, device:ID, token:ID or commits:FIRST-LAST, as "--log" shows them; may be given several times',
    )
    .option(
      '--from <source>',
      'the URL of a relay or agent, a bundle, the store of a backup, or "aside" for what was there before',
    )
    .option('--token <token>', 'for a URL')
    .option('--log', 'only print the commits that are kept')
    .option('--dry-run', 'only say what would happen')
    .option('--json', 'answer as JSON')
    .action((document: string, options: RepairOptions & { token?: string }) =>
      repair(document, options, configOf(options as SettingFlags, env).config),
    );
  withSettings(program.command('compact'), ['data'])
    .description('rewrite a document as a snapshot; the relay must not run')
    .argument('<document>', 'its name')
    .option('--rebuild', 'as its records alone, without the history that they leave, under a new generation')
    .option('--dry-run', 'only say what would happen')
    .option('--json', 'answer as JSON')
    .action((document: string, options: CompactOptions) =>
      compact(document, options, configOf(options as SettingFlags, env).config),
    );
  return program;
}
