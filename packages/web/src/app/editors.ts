/** Whether something that was typed is not yet an edit: a filled field of a dialog, an inline name, a field that has been changed. */
export function hasOpenEditor(root: ParentNode = document): boolean {
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
