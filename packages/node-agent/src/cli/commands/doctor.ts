import { constants } from 'node:fs';
import { access, readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { asFieldbookError, isFieldbookError } from '@fieldbook/core';
import { processExists, readPresence } from '../../agent/presence.ts';
import { readConfig } from '../../machine/config.ts';
import { VERSION } from '../../version.ts';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withJson } from '../command.ts';
import { EXIT } from '../exit.ts';
import { formatBytes, formatDuration, plural } from '../format.ts';
import type { FileHealthShape, SyncShape } from '../shapes.ts';
import type { Style } from '../terminal.ts';
import { paint } from '../terminal.ts';
import { oneLine } from '../width.ts';
import { checkBlobs } from './doctor-blobs.ts';
import { CLOCK_TOLD_MS, describeClock, describePeer, nameOfPeer } from './status.ts';

export interface Finding {
  check: string;
  state: 'ok' | 'warning' | 'problem';
  message: string;
  /** What to do about it. */
  advice: string | null;
}

interface Health {
  documents: number;
  bytes: number;
  quarantined: string[];
  clockAheadMs: number;
  journals: { problems: { path: string; code: string; message: string }[] } | null;
  files: FileHealthShape | null;
}

/** Less than this is soon nothing on a machine that trains. */
const DISK_LEAST = 1_000_000_000;

export function doctorCommand(program: Command, cli: Cli): void {
  const command = program
    .command('doctor')
    .description('check this machine’s Fieldbook and say what to do; exits with 1 when something is wrong')
    .option('--blobs', 'read and hash every blob, and look for files that are not whole')
    .option('--repair', 'as --blobs, and bring back what is damaged or missing from the relays');
  withJson(command).action(async (options: { json?: boolean; blobs?: boolean; repair?: boolean }) => {
    const repair = options.repair === true;
    const findings = await examine(cli, options.blobs === true || repair ? { repair } : null);
    if (findings.some(({ state }) => state === 'problem')) cli.setExitCode(EXIT.failure);
    if (options.json === true) {
      printJson(cli.terminal, { findings });
      return;
    }
    for (const { check, state, message, advice } of findings) {
      cli.terminal.out(`${paint(cli.terminal, STYLE[state], MARK[state])} ${check}: ${oneLine(message)}\n`);
      if (advice !== null) cli.terminal.out(`  ${oneLine(advice)}\n`);
    }
  });
}

const MARK = { ok: '✓', warning: '!', problem: '✗' };
const STYLE: Readonly<Record<Finding['state'], Style>> = { ok: 'green', warning: 'yellow', problem: 'red' };

async function examine(cli: Cli, blobs: { repair: boolean } | null): Promise<Finding[]> {
  const findings: Finding[] = [];
  const ok = (check: string, message: string): void =>
    void findings.push({ check, state: 'ok', message, advice: null });
  const warn = (check: string, message: string, advice: string): void =>
    void findings.push({ check, state: 'warning', message, advice });
  const bad = (check: string, message: string, advice: string): void =>
    void findings.push({ check, state: 'problem', message, advice });
  const say = { ok, warn, bad };

  ok('versions', `fieldbook ${VERSION}, Node ${process.versions.node}, ${process.platform} ${process.arch}`);
  if (!(await checkHome(cli, say))) return findings;
  await checkConfig(cli, say);
  await checkDisk(cli, say);
  await checkJournals(cli, say);
  await checkAgent(cli, say, blobs);
  return findings;
}

/** Ways to report one finding. */
export type Say = Record<'ok', (check: string, message: string) => void> &
  Record<'warn' | 'bad', (check: string, message: string, advice: string) => void>;

async function checkHome({ home }: Cli, { ok, bad, warn }: Say): Promise<boolean> {
  const root = await stat(home.root).catch(() => undefined);
  if (root === undefined) {
    ok('home', `${home.root} does not exist yet; the first command or run makes it`);
    return false;
  }
  if (!root.isDirectory()) {
    bad('home', `${home.root} is not a directory`, 'Move it away, or set FIELDBOOK_HOME.');
    return false;
  }
  const open = [];
  for (const path of [home.device, home.token, home.relayTokens]) {
    const file = await stat(path).catch(() => undefined);
    if (file !== undefined && (file.mode & 0o077) !== 0) open.push(path);
  }
  if (open.length > 0) bad('home', `others can read ${open.join(' and ')}`, `chmod 600 ${open.join(' ')}`);
  else if (!(await may(home.root, constants.W_OK)))
    bad('home', `${home.root} cannot be written`, `Give it to the user who runs this: chown -R $USER ${home.root}`);
  else if ((root.mode & 0o022) !== 0) warn('home', `others can write to ${home.root}`, `chmod go-w ${home.root}`);
  else ok('home', home.root);
  return true;
}

async function checkConfig({ home }: Cli, { ok, bad }: Say): Promise<void> {
  try {
    const { relays, journals } = await readConfig(home);
    ok(
      'configuration',
      `${plural(relays.length, 'relay')} joined, ${plural(journals.length + 1, 'journal directory').replace('directorys', 'directories')}`,
    );
  } catch (error) {
    bad('configuration', asFieldbookError(error).message, `Correct ${home.config}, or move it away.`);
  }
}

async function checkDisk({ home }: Cli, { ok, bad, warn }: Say): Promise<void> {
  const { bavail, bsize, blocks, ffree, files } = await statfs(home.root);
  const free = bavail * bsize;
  const message = `${formatBytes(free)} of ${formatBytes(blocks * bsize)} free`;
  if (free < DISK_LEAST / 10)
    bad(
      'disk',
      message,
      'Free some: nothing can be stored on a full disk; running trainings go on and say what they lose.',
    );
  else if (free < DISK_LEAST) warn('disk', message, 'Free some soon.');
  else if (files > 0 && ffree < 1_000)
    warn('disk', `only ${ffree} files can still be made`, 'Delete files that nobody needs.');
  else ok('disk', message);
}

async function checkJournals({ home }: Cli, { ok, bad, warn }: Say): Promise<void> {
  if (!(await may(home.journals, constants.W_OK | constants.X_OK))) {
    bad(
      'journals',
      `${home.journals} cannot be written, so trainings log nothing`,
      `Check who owns it and its mode: ls -ld ${home.journals}`,
    );
    return;
  }
  let files = 0;
  let unreadable = 0;
  for (const entry of await readdir(home.journals, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile() || !entry.name.endsWith('.fbj')) continue;
    files += 1;
    if (!(await may(join(entry.parentPath, entry.name), constants.R_OK))) unreadable += 1;
  }
  if (unreadable > 0)
    warn(
      'journals',
      `${unreadable} of ${plural(files, 'journal')} cannot be read`,
      'They belong to another user: let this one read them (chmod a+r).',
    );
  else ok('journals', `${plural(files, 'journal')} in ${home.journals}`);
}

async function checkAgent(cli: Cli, say: Say, blobs: { repair: boolean } | null): Promise<void> {
  const { ok, warn, bad } = say;
  const presence = await readPresence(cli.home).catch(() => undefined);
  const agent = await cli.connectToAgent().catch(() => undefined);
  if (agent !== undefined) {
    const { version } = await agent.call<{ version: string }>('GET', '/device');
    if (version === VERSION) ok('agent', `running at ${agent.url} (pid ${presence?.pid ?? '?'})`);
    else
      warn('agent', `version ${version} runs, this is ${VERSION}`, 'Restart it: fieldbook down, then fieldbook up -d.');
  } else if (presence === undefined) ok('agent', 'not running; commands open the store themselves');
  else if (processExists(presence.pid))
    warn(
      'agent',
      `pid ${presence.pid} exists but does not answer at ${presence.url}`,
      `If it hangs, stop it (kill ${presence.pid}) and start it again; nothing that was acknowledged is lost.`,
    );
  else ok('agent', `not running; agent.json is left from pid ${presence.pid}, which was killed`);
  let client: Client;
  try {
    client = agent ?? (await cli.connect());
  } catch (error) {
    const advice = isFieldbookError(error, 'store_locked')
      ? 'Find it with: fuser -v ' + join(cli.home.store, 'LOCK')
      : `Keep a copy of ${cli.home.store} before you try anything.`;
    bad('store', asFieldbookError(error).message, advice);
    return;
  }
  try {
    await checkStore(client, say);
    await checkPeers(cli, client, say);
    if (blobs !== null) await checkBlobs(cli, client, say, blobs.repair);
  } finally {
    await client.close();
  }
}

async function checkStore(client: Client, { ok, warn, bad }: Say): Promise<void> {
  const health = await client.call<Health>('GET', '/health');
  const { quarantined, clockAheadMs } = health;
  if (quarantined.length > 0)
    bad(
      'store',
      `set aside because they are damaged: ${quarantined.join(', ')}`,
      'The rest works. A relay or machine that has them brings them back when it connects: fieldbook sync. With none: fieldbook repair <document> --dry-run says what is left.',
    );
  else ok('store', `${plural(health.documents, 'document')}, ${formatBytes(health.bytes)}`);
  for (const { path, message } of health.journals?.problems ?? []) {
    warn(
      'journal',
      `${path}: ${message}`,
      'What could be read of it is taken in; keep the file until you know what happened to it.',
    );
  }
  // Only an agent looks after the spool; without one nobody knows what waits there.
  if (client.kind === 'agent') checkSpool(health.files, { ok, warn, bad });
  if (clockAheadMs > CLOCK_TOLD_MS)
    warn(
      'clock',
      `another machine's clock is ${formatDuration(clockAheadMs)} ahead of this one's`,
      'One of them is wrong: check NTP on both (timedatectl).',
    );
  else ok('clock', 'in step with every machine heard of');
}

function checkSpool(files: FileHealthShape | null, { ok, warn, bad }: Say): void {
  if (files === null) return;
  const { pending, pendingBytes, problem, failures } = files;
  const waits = `${plural(pending, 'file')} of ${formatBytes(pendingBytes)} to be stored`;
  if (problem !== null)
    bad(
      'spool',
      `${waits}: ${problem.message}`,
      'Points are still taken in, and nothing is lost while the journals stay.',
    );
  else ok('spool', pending === 0 ? 'no file waits to be stored' : waits);
  for (const { run, path, code, message } of failures) {
    if (code !== 'disk_full') warn('file', `${path} of ${run}: ${message}`, 'Upload it again if you still have it.');
  }
}

async function checkPeers(cli: Cli, client: Client, { ok, warn, bad }: Say): Promise<void> {
  const { peers } = await client.call<SyncShape>('GET', '/sync');
  if (peers.length === 0) ok('relays', 'none joined');
  for (const peer of peers) {
    const line = describePeer(peer, cli.now());
    const clock = describeClock(peer);
    if (clock !== null)
      warn(
        'clock',
        `${clock} (${nameOfPeer(peer)})`,
        'One of them is wrong: check NTP on both (timedatectl). Edits keep their order; times and durations mislead.',
      );
    if (peer.connected && peer.problem === null) ok('relay', line);
    else if (client.kind === 'direct') warn('relay', line, 'Start the agent to exchange with it: fieldbook up -d.');
    else if (peer.problem?.code === 'unauthorized')
      bad('relay', line, `Join again with a token that is in force: fieldbook join ${peer.url} --token -`);
    else bad('relay', line, 'The agent tries again by itself; is the address right and the network there?');
  }
}

async function may(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
