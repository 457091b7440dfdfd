/** An editor whose text is in no form field, as long as it is open. */
export interface TextEditor {
  /** Lets what was typed become an edit, as far as it can. */
  finish(): Promise<void>;
  /** Whether something typed is in no edit yet. */
  isWriting(): boolean;
}

const editors = new Set<TextEditor>();
/** Nobody waits longer for a reload than this; what is not finished by then counts as being written. */
const FINISH_MS = 3_000;

/** Until the returned function is called, a reload asks this editor first. */
export function registerEditor(editor: TextEditor): () => void {
  editors.add(editor);
  return () => editors.delete(editor);
}

/** Lets every open text become an edit. */
export async function finishEditors(): Promise<void> {
  const finished = Promise.allSettled([...editors].map((editor) => editor.finish()));
  await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, FINISH_MS))]);
}

/** Whether something that was typed is not yet an edit: a filled field of a dialog, an inline name, a field that has been changed, a text. */
export function hasOpenEditor(root: ParentNode = document): boolean {
  for (const editor of editors) if (editor.isWriting()) return true;
  for (const field of root.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>('input, textarea')) {
    if (field.closest('[data-search]') !== null || field.hasAttribute('data-search') || field.readOnly) continue;
    if (field instanceof HTMLInputElement && !['text', 'search', 'number', 'password', ''].includes(field.type))
      continue;
    if (field.value !== field.defaultValue && isWriting(field)) return true;
  }
  return false;
}

/** In a dialog, or where the person is typing now: a search or a choice of columns loses nothing worth a word. */
function isWriting(field: HTMLElement): boolean {
  if (field.getAttribute('role') === 'combobox') return false;
  return field.closest('[role=dialog], form') !== null || field === document.activeElement;
}
