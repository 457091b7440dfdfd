import type { BundleManifest } from '@fieldbook/core/bundle';
import { bytes, count } from '../../app/format.ts';
import type { BundleOutcome } from '../../worker/bundle-api.ts';

/** "all of a field book", "the project digits", "3 runs of digits". */
export function scopeWords({ scope, projects, runCount }: BundleManifest): string {
  if (scope.kind === 'workspace') return 'a whole field book';
  const title = projects.find(({ id }) => id === scope.project)?.title ?? scope.project;
  return scope.kind === 'project' ? `the project “${title}”` : `${count(runCount, 'run')} of “${title}”`;
}

/** What an import did, a sentence each; the first is the gist. */
export function outcomeWords(outcome: BundleOutcome, server: string): string[] {
  const { into, changed, added, blobs, blobBytes, purged, unwanted, noRoom, refused } = outcome;
  const lines: string[] = [];
  const { signer } = outcome;
  if (changed + added + blobs === 0) lines.push('Everything in it was here already; nothing was changed.');
  else {
    const parts = [];
    if (changed > 0) parts.push(`${count(changed, 'document')} with something new`);
    if (added > 0) parts.push(count(added, 'new record'));
    if (blobs > 0) parts.push(`${count(blobs, 'blob')} (${bytes(blobBytes)})`);
    lines.push(`Taken in: ${parts.join(', ')}.`);
  }
  lines.push(
    signer === null
      ? 'It is not signed: who made it is only what it says.'
      : signer.known
        ? `Signed by ${signer.name ?? signer.device}, a device of this workspace.`
        : `Signed by ${signer.device}, which is no device of this workspace.`,
  );
  if (into === 'agent') lines.push('All of it is on the disk of this machine.');
  else if (outcome.unsentDocuments + outcome.unsentBlobs > 0)
    lines.push(
      `It is in this browser and goes to the ${server} when that answers; until then this browser has the only copy of what is new.`,
    );
  if (noRoom > 0)
    lines.push(
      `${count(noRoom, 'blob')} did not fit: the browser allows no more space. Runs, edits and summaries are in; import the file again with an agent, or after freeing space in Settings, for the rest.`,
    );
  if (purged > 0) lines.push(`${count(purged, 'run')} that had been purged stayed so.`);
  if (unwanted > 0) lines.push(`${count(unwanted, 'blob')} that no run here names was left aside.`);
  if (refused.length > 0)
    lines.push(
      `${count(refused.length, 'part was', 'parts were')} not accepted, as from any other machine; the reasons are below.`,
    );
  return lines;
}
