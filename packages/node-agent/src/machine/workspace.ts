import type { WorkspaceId } from '@fieldbook/core';
import { FieldbookError, mintWorkspaceId, parseWorkspaceId, utf8, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import type { WorkspaceInfo } from '@fieldbook/core/api';
import { Workspace } from '@fieldbook/core/documents';
import type { Replica } from '@fieldbook/core/replica';
import type { Device } from './device.ts';
import { clock, random } from './ports.ts';

/** Which workspace this machine belongs to: minted as a private one, adopted once from the first relay joined. */
export class Membership {
  readonly #replica: Replica;
  #info: WorkspaceInfo;

  private constructor(replica: Replica, info: WorkspaceInfo) {
    this.#replica = replica;
    this.#info = info;
  }

  static async open(replica: Replica): Promise<Membership> {
    const kept = await replica.getPrivate(KEY);
    if (kept !== undefined) {
      const { id, name, private: alone } = JSON.parse(new TextDecoder().decode(kept)) as WorkspaceInfo;
      return new Membership(replica, { id: parseWorkspaceId(id), name, private: alone });
    }
    const membership = new Membership(replica, { id: mintWorkspaceId(clock, random), name: null, private: true });
    await membership.#keep();
    return membership;
  }

  get info(): WorkspaceInfo {
    return this.#info;
  }

  /** The same as it is at the time of reading, for whoever holds on to it. */
  get view(): { id: string; name: string | null } {
    const read = (): WorkspaceInfo => this.#info;
    return {
      get id() {
        return read().id;
      },
      get name() {
        return read().name;
      },
    };
  }

  /** Makes a relay's workspace this machine's. Throws `workspace_mismatch` when it already shares another one. */
  async adopt(id: WorkspaceId, name: string | null): Promise<void> {
    if (!this.#info.private && this.#info.id !== id) {
      throw new FieldbookError(
        'workspace_mismatch',
        `This machine shares the workspace ${this.#info.name ?? this.#info.id} and cannot join ${name ?? id} too. Use another FIELDBOOK_HOME for it.`,
      );
    }
    if (this.#info.id === id && !this.#info.private && this.#info.name === name) return;
    this.#info = { id, name, private: false };
    await this.#keep();
  }

  async #keep(): Promise<void> {
    await this.#replica.putPrivate([[KEY, utf8(JSON.stringify(this.#info))]]);
  }
}

const KEY = 'workspace';

/** Says in the workspace document what this device is, unless that is there already. */
export async function introduce(replica: Replica, device: Device): Promise<void> {
  const { id, name, publicKey, created } = device;
  await replica.transact(WORKSPACE_DOCUMENT, (doc) => {
    new Workspace(doc).putDevice({ kind: 'device', device: id, role: 'agent', name, publicKey, created, extra: {} });
  });
}
