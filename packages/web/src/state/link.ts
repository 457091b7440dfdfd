import { client } from './client.svelte.ts';
import { actions } from './actions.svelte.ts';
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
 * becomes `/l/<id>` and a record of the workspace, made also offline.
 */
export async function copyLink(): Promise<void> {
  const { target, lacks } = offered?.() ?? { target: router.path + router.search, lacks: null };
  // Whoever may only read cannot leave a record for others: they get the long address.
  const short = target.length > LONGEST && client.session?.refusal == null;
  try {
    const path = short ? `/l/${await client.worker.makeLink(target)}` : target;
    await navigator.clipboard.writeText(location.origin + path);
  } catch (error) {
    actions.fail(
      error instanceof DOMException
        ? 'The browser did not let the page write to the clipboard. Click into the page and try again.'
        : error,
    );
    return;
  }
  actions.say(
    lacks === null ? 'Copied a link to what this page shows.' : `Copied a link. ${lacks}`,
    null,
    lacks !== null,
  );
}
