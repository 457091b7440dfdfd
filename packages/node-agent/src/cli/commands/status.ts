import type { Command } from 'commander';
import { readPresence } from '../../agent/presence.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { EXIT } from '../exit.ts';
import { formatAgo, formatBytes, formatDuration, plural } from '../format.ts';
import type { FileHealthShape, PeerShape, ProjectShape, RunPlacesShape, SyncShape } from '../shapes.ts';
import { facts } from '../table.ts';
import { oneLine } from '../width.ts';

export function statusCommand(program: Command, cli: Cli): void {
  const command = program
    .command('status')
    .description('whether the agent runs, and what it has; exits with 4 when it does not')
    .argument('[run]', 'instead, how much of this run every relay has');
  withJson(command).action(async (run: string | undefined, options: { json?: boolean }) => {
    if (run !== undefined) {
      await tellPlaces(cli, run, options.json === true);
      return;
    }
    const client = await cli.connectToAgent();
    if (client === undefined) {
      if (options.json === true) printJson(cli.terminal, { running: false, home: cli.home.root });
      else cli.terminal.out(`No agent runs. Start one with "fieldbook up".\nData is in ${cli.home.root}.\n`);
      cli.setExitCode(EXIT.unreachable);
      return;
    }
    try {
      const presence = await readPresence(cli.home);
      const { projects } = await client.call<{ projects: ProjectShape[] }>('GET', '/projects');
      const sync = await client.call<SyncShape>('GET', '/sync');
      const device = await client.call<{ device: string; by: string; version: string }>('GET', '/device');
      const health = await client.call<{
        quarantined: string[];
        journals: { problems: { message: string }[] } | null;
        files: FileHealthShape | null;
      }>('GET', '/health');
      const problems = health.journals?.problems ?? [];
      const runs = projects.reduce((sum, project) => sum + project.runs, 0);
      const active = projects.reduce((sum, project) => sum + project.running, 0);
      if (options.json === true) {
        printJson(cli.terminal, {
          running: true,
          url: client.url,
          pid: presence?.pid ?? null,
          home: cli.home.root,
          ...device,
          projects,
          sync,
          files: health.files,
        });
        return;
      }
      cli.terminal.out(
        facts(cli.terminal, [
          ['agent', `running at ${client.url} (pid ${presence?.pid ?? '?'}, ${device.version})`],
          ['since', presence === undefined ? null : formatAgo(presence.started, cli.now())],
          ['data', cli.home.root],
          ['device', `${device.device}, edits by ${device.by}`],
          ['runs', `${plural(runs, 'run')} in ${plural(projects.length, 'project')}, ${active} running`],
          [
            'journals',
            problems.length === 0
              ? null
              : `${plural(problems.length, 'problem')}: ${problems[0]!.message} "fieldbook doctor" says more.`,
          ],
          [
            'damaged',
            health.quarantined.length === 0
              ? null
              : `${health.quarantined.join(', ')}; whoever is connected and has it brings it back, else: fieldbook repair`,
          ],
          ['files', describeSpool(health.files)],
          ...(sync.peers.length === 0
            ? [['relays', 'none: what is here is only here'] as const]
            : sync.peers.map((peer) => [peer.incoming ? 'machine' : 'relay', describePeer(peer, cli.now())] as const)),
        ]),
      );
    } finally {
      await client.close();
    }
  });
}

/** How much of a run is where. */
async function tellPlaces(cli: Cli, run: string, asJson: boolean): Promise<void> {
  await withClient(cli, async (client) => {
    const places = await client.call<RunPlacesShape>('GET', `/runs/${encodeURIComponent(run)}/places`);
    if (asJson) return printJson(cli.terminal, places);
    cli.terminal.out(
      facts(cli.terminal, [
        ['run', places.run],
        ...(places.peers.length === 0
          ? [['relays', 'none: what is here is only here'] as const]
          : places.peers.map((peer) => [oneLine(peer.name ?? peer.url), describePlaces(peer)] as const)),
      ]),
    );
  });
}

/** How much of a run a peer lacks, in words. */
export function describePlaces({
  documents,
  points,
  files,
  complete,
  connected,
}: RunPlacesShape['peers'][number]): string {
  const parts: string[] = [];
  if (documents.toGo > 0) parts.push(`${plural(documents.toGo, 'document')} of ${documents.total} to go`);
  for (const [blobs, word] of [
    [points, 'blob'],
    [files, 'file'],
  ] as const) {
    if (blobs === null) continue;
    const of = word === 'blob' ? `${plural(blobs.toGo, word)} of points` : plural(blobs.toGo, word);
    if (blobs.toGo > 0) parts.push(`${of} of ${blobs.total} to go (${formatBytes(blobs.bytesToGo)})`);
    if (blobs.elsewhere > 0) parts.push(`${plural(blobs.elsewhere, word)} not known to be there, and not here`);
    if (blobs.stay > 0) parts.push(`${plural(blobs.stay, word)} on this machine only until somebody asks`);
  }
  if (complete) parts.unshift('everything that travels is there');
  else if (parts.length === 0) parts.push('its documents are there');
  if (!connected) parts.push('not connected now');
  return parts.join('; ');
}

/** What waits in the spool and why; null when nothing does. */
function describeSpool(files: FileHealthShape | null): string | null {
  if (files === null || (files.pending === 0 && files.problem === null)) return null;
  const { pending, pendingBytes, problem } = files;
  const waits = `${plural(pending, 'file')} of ${formatBytes(pendingBytes)} to be stored`;
  return problem === null ? waits : `${waits}: ${problem.message}`;
}

/** One line about a relay: where, connected or why not, what waits. */
export function describePeer(peer: PeerShape, now: number): string {
  const state = peer.connected
    ? peer.pendingDocuments + peer.pendingBlobs === 0
      ? 'everything is exchanged'
      : `${plural(peer.pendingDocuments, 'document')} and ${plural(peer.pendingBlobs, 'blob')} (${formatBytes(peer.pendingBytes)}) to go`
    : `not connected${peer.since === null ? '' : ` since ${formatAgo(peer.since, now)}`}`;
  const clock = describeClock(peer);
  const limit = peer.limitBytesPerS == null ? '' : `; ${formatBytes(peer.limitBytesPerS)}/s at most`;
  return `${nameOfPeer(peer)}: ${state}${limit}${peer.problem === null ? '' : `; ${peer.problem.message}`}${clock === null ? '' : `; ${clock}`}`;
}

/** A relay by its address, a machine that dialled this one by its name. */
export function nameOfPeer({ url, name, incoming }: PeerShape): string {
  return incoming ? `${oneLine(name ?? url)}, which joined this one` : url;
}

/** Clocks that differ by minutes make "when" a guess; NTP keeps them within a second. */
export const CLOCK_TOLD_MS = 60_000;

/** How a peer's clock and this machine's differ, in words; null when they agree, or it is not known. */
export function describeClock({ clockAheadMs, incoming }: PeerShape): string | null {
  if (clockAheadMs == null || Math.abs(clockAheadMs) < CLOCK_TOLD_MS) return null;
  const other = incoming ? 'that machine’s' : 'the relay’s';
  return `this machine’s clock is ${formatDuration(Math.abs(clockAheadMs))} ${clockAheadMs > 0 ? 'behind' : 'ahead of'} ${other}`;
}
