import type { ProjectId } from '@fieldbook/core';
import { FieldbookError, LIMITS, mintEditId, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import type { SavedView } from '@fieldbook/core/documents';
import { Workspace } from '@fieldbook/core/documents';
import { linkId } from '@fieldbook/core/record';
import type * as Y from 'yjs';
import { clock, random } from './device.ts';
import type { Editor } from './edits.ts';
import type { ViewSaid } from './views-api.ts';

/** Saved views and links of the workspace, read and written. */
export class Views {
  readonly #doc: () => Y.Doc;
  readonly #editor: Editor;

  constructor(doc: () => Y.Doc, editor: Editor) {
    this.#doc = doc;
    this.#editor = editor;
  }

  list(project: ProjectId): SavedView[] {
    return new Workspace(this.#doc()).views(project);
  }

  write(project: ProjectId, view: string | null, { name, search, removed, usual }: ViewSaid): string {
    if (name !== undefined && (name.trim() === '' || name.length > LIMITS.nameBytes / 4))
      throw new FieldbookError('invalid_value', 'A view needs a name of 1 to 128 characters.');
    if (search !== undefined && search.length > LIMITS.addressLength)
      throw new FieldbookError(
        'invalid_value',
        'The view is too large to be saved: it has too many columns or charts.',
      );
    const { id, ...stamp } = this.#editor.stamp();
    const record = {
      kind: 'view' as const,
      view: view ?? id,
      project,
      name: name?.trim() ?? null,
      search: search ?? null,
      removed: removed ?? null,
      usual: usual ?? null,
      ...stamp,
      extra: {},
    };
    this.#editor.note([{ id, run: null, project, document: WORKSPACE_DOCUMENT }]);
    const doc = this.#doc();
    doc.transact(() => new Workspace(doc).addView(id, record));
    return record.view;
  }

  link(id: string): string | null {
    return new Workspace(this.#doc()).link(id) ?? null;
  }

  makeLink(target: string): string {
    if (target.length > LIMITS.addressLength)
      throw new FieldbookError('invalid_value', 'That is too much for a link. Select fewer runs or show fewer charts.');
    const doc = this.#doc();
    const workspace = new Workspace(doc);
    // A link that the server lacks opens for nobody else: it counts as not yet there.
    if (workspace.link(linkId(target)) === undefined)
      this.#editor.note([{ id: mintEditId(clock, random), run: null, project: null, document: WORKSPACE_DOCUMENT }]);
    return doc.transact(() => workspace.addLink(target));
  }
}
