import type { ProjectId } from '@fieldbook/core';
import { onDestroy } from 'svelte';
import { client } from './client.svelte.ts';

/** A project that loads or is written to all the time is looked at again so often, and not more. */
const REREAD_MS = 1_000;

/** Tells a part of a page when a project has other runs, or other records of them, than at its last look. Made while a component is made. */
export class ProjectChanges {
  /** Rises some time after a change; many changes are one. */
  count = $state(0);

  constructor(project: () => ProjectId) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = client.follow((change) => {
      if (change.project !== project() || change.live) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        this.count += 1;
      }, REREAD_MS);
    });
    onDestroy(() => {
      stop();
      clearTimeout(timer);
    });
  }
}
