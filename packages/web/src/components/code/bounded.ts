/** Characters that an editor is given: it draws only what is seen, but reads and colours all of it. */
export const CODE_CHARACTERS = 2_000_000;

/** The text as far as it is shown: whole lines. */
export function bounded(text: string): { text: string; cut: boolean } {
  if (text.length <= CODE_CHARACTERS) return { text, cut: false };
  const end = text.lastIndexOf('\n', CODE_CHARACTERS);
  return { text: text.slice(0, end > 0 ? end : CODE_CHARACTERS), cut: true };
}
