import { classHighlighter, highlightCode } from '@lezer/highlight';
import type { LanguageName } from '../code/languages.ts';
import { loadLanguage } from '../code/languages.ts';

/** Longer code is read in the Files tab. */
const CHARACTERS = 20_000;

/** Colours a code block in place, by the classes that Markdown.svelte knows. */
export async function colour(element: HTMLElement, name: LanguageName): Promise<void> {
  const text = element.textContent;
  if (text.length > CHARACTERS) return;
  const language = await loadLanguage(name);
  if (language === null) return;
  const nodes = document.createDocumentFragment();
  highlightCode(
    text,
    language.language.parser.parse(text),
    classHighlighter,
    (piece, classes) => {
      const node = document.createElement('span');
      node.textContent = piece;
      if (classes !== '') node.className = classes;
      nodes.append(node);
    },
    () => nodes.append('\n'),
  );
  element.replaceChildren(nodes);
}
