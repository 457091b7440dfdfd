import type { DeviceId, WorkspaceId } from '@fieldbook/core';
import { FieldbookError, mintWorkspaceId, parseWorkspaceId, utf8, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { Workspace } from '@fieldbook/core/documents';
import type { Replica } from '@fieldbook/core/replica';
import { clock, random } from './platform/ports.ts';

const KEY = 'workspace';

/**
 * The workspace that this relay serves: minted at its first start and kept, unless the relay joins another one while nobody has
 * used it. `id` and `name` are read when they are needed.
 */
export class RelayWorkspace {
  readonly #replica: Replica;
  readonly #device: DeviceId;
  #id: WorkspaceId;
  readonly name: string | null;

  private constructor(replica: Replica, device: DeviceId, id: WorkspaceId, name: string | null) {
    this.#replica = replica;
    this.#device = device;
    this.#id = id;
    this.name = name;
  }

  static async open(replica: Replica, device: DeviceId): Promise<RelayWorkspace> {
    const kept = await replica.getPrivate(KEY);
    const name = await replica.read(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).name());
    if (kept !== undefined)
      return new RelayWorkspace(replica, device, parseWorkspaceId(new TextDecoder().decode(kept)), name);
    const workspace = new RelayWorkspace(replica, device, mintWorkspaceId(clock, random), name);
    await workspace.#keep();
    return workspace;
  }

  get id(): WorkspaceId {
    return this.#id;
  }

  /** True until anybody has brought anything: no document but the workspace's, and in that nobody but this relay. */
  async isUnused(): Promise<boolean> {
    for await (const { name } of this.#replica.list()) if (name !== WORKSPACE_DOCUMENT) return false;
    return this.#replica.read(WORKSPACE_DOCUMENT, (doc) => {
      const workspace = new Workspace(doc);
      const others = workspace.devices().filter(({ device }) => device !== this.#device);
      return others.length === 0 && workspace.books().length === 0 && workspace.name() === null;
    });
  }

  /** Joins the workspace of another relay. Throws `workspace_mismatch` when this one holds records of its own. */
  async adopt(id: WorkspaceId): Promise<void> {
    if (id === this.#id) return;
    if (!(await this.isUnused())) {
      throw new FieldbookError(
        'workspace_mismatch',
        `This relay serves the workspace ${this.#id} and holds records of it; the other one serves ${id}. Only an empty relay can join another’s workspace: start one on a fresh data directory, or carry projects over as bundles.`,
      );
    }
    this.#id = id;
    await this.#keep();
  }

  async #keep(): Promise<void> {
    await this.#replica.putPrivate([[KEY, utf8(this.#id)]]);
  }
}
