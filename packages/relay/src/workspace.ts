import type { WorkspaceId } from '@fieldbook/core';
import { mintWorkspaceId, parseWorkspaceId, utf8, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { Workspace } from '@fieldbook/core/documents';
import type { Replica } from '@fieldbook/core/replica';
import { clock, random } from './platform/ports.ts';

const KEY = 'workspace';

/** The workspace that this relay serves: minted at its first start and kept for good. */
export async function workspaceOf(replica: Replica): Promise<WorkspaceId> {
  const kept = await replica.getPrivate(KEY);
  if (kept !== undefined) return parseWorkspaceId(new TextDecoder().decode(kept));
  const id = mintWorkspaceId(clock, random);
  await replica.putPrivate([[KEY, utf8(id)]]);
  return id;
}

/** The name that members gave it, if any did. */
export function workspaceName(replica: Replica): Promise<string | null> {
  return replica.read(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).name());
}
