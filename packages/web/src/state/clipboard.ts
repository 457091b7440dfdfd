/**
 * Puts a text on the clipboard. Rejects when the browser does not let it. A relay at a plain `http:` address has pages
 * without the clipboard of secure ones: there a selection is copied, as Ctrl+C does it.
 */
export async function copyText(text: string): Promise<void> {
  if ((navigator.clipboard as Clipboard | undefined) !== undefined) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.style.cssText = 'position: fixed; top: 0; opacity: 0';
  // An open dialog keeps the focus to itself.
  (focused?.closest('[role=dialog]') ?? document.body).append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!copied) throw new DOMException('The browser did not copy.', 'NotAllowedError');
}
