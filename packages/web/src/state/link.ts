import { client } from './client.svelte.ts';
import { actions } from './actions.svelte.ts';
import { copyText } from './clipboard.ts';
import { router } from './router.svelte.ts';

/** What a page says of itself when its link is longer than its address. */
export interface LinkTarget {
  /** Path and search. */
  target: string;
  /** What had to be left out, in words. */
  lacks: string | null;
}

/** A link of this many characters is still one that people paste; longer ones become a short one and a record. */
const LONGEST = 160;

let offered: (() => LinkTarget) | null = null;

/** A page whose address cannot hold all that it shows says here what a link should. Returns the way to stop. */
export function offerLink(target: () => LinkTarget): () => void {
  offered = target;
  return () => {
    if (offered === target) offered = null;
  };
}

/**
 * Copies a link that opens this page as it is now, for oneself and for everybody who shares the workspace. What is long
 * becomes `/l/<id>` and a record of the workspace, made also offline. `here`: at this page's own address also where a
 * relay has the page for others.
 */
export async function copyLink(here = false): Promise<void> {
  const { target, lacks } = offered?.() ?? { target: router.path + router.search, lacks: null };
  const { session } = client;
  // Whoever may only read cannot leave a record for others: they get the long address.
  const mayWrite = session?.refusal == null && session?.server?.mayWrite !== false;
  const shared = here ? null : await client.worker.sharedAt().catch(() => null);
  try {
    const path = mayWrite && target.length > LONGEST ? `/l/${await client.worker.makeLink(target)}` : target;
    await copyText((shared?.url ?? location.origin) + path);
  } catch (error) {
    actions.fail(
      error instanceof DOMException
        ? 'The browser did not let the page write to the clipboard. Click into the page and try again.'
        : error,
    );
    return;
  }
  if (lacks !== null) actions.say(`Copied a link. ${lacks}`, null, true);
  else if (shared !== null) {
    const host = new URL(shared.url).host;
    actions.say(
      shared.reached
        ? `Copied a link at the relay ${host}: it opens for everybody who has access there.`
        : `Copied a link at the relay ${host}. This machine does not reach it now; the link opens for others once it has.`,
      { label: 'Copy the address on this machine', run: () => void copyLink(true) },
    );
  } else if (session?.server?.kind === 'agent' && !here)
    actions.say('Copied a link that opens on this machine. For others, connect it to a relay.', {
      label: 'Sync',
      run: () => router.go('/sync'),
    });
  else actions.say(here ? 'Copied a link that opens on this machine.' : 'Copied a link to what this page shows.');
}
