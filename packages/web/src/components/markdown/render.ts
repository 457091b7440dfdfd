import DOMPurify from 'dompurify';
import type { Config } from 'dompurify';
import { languageOf } from '../code/languages.ts';
import type { LanguageName } from '../code/languages.ts';
import { MARKDOWN_CHARACTERS, markdownToHtml } from './parse.ts';

export interface Rendered {
  nodes: DocumentFragment;
  /** Code blocks whose language is known, to be coloured. */
  code: { element: HTMLElement; language: LanguageName }[];
  /** Pictures among the run's own files, to be put in place of their words. */
  pictures: { element: HTMLElement; path: string; alt: string }[];
}

/** Nothing that runs, fetches, styles or is found by name. What a link or a picture may point at is looked at below. */
const SANITISED: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: (
    'h1 h2 h3 h4 h5 h6 p br hr blockquote pre ul ol li details summary table thead tbody tr th td a img input ' +
    'strong b em i del s code kbd sub sup mark small span'
  ).split(' '),
  ALLOWED_ATTR: [
    'href',
    'title',
    'alt',
    'src',
    'start',
    'type',
    'checked',
    'align',
    'class',
    'colspan',
    'rowspan',
    'open',
  ],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** Under a page's own headings. */
const DEEPER: Readonly<Record<string, string>> = { H1: 'h3', H2: 'h4', H3: 'h5', H4: 'h6', H5: 'h6' };
/** What people call languages in fences, as file names that are known. */
const FENCES: Readonly<Record<string, string>> = {
  python: 'py',
  bash: 'sh',
  shell: 'sh',
  console: 'sh',
  javascript: 'js',
  typescript: 'ts',
  rust: 'rs',
  julia: 'jl',
  markdown: 'md',
};

/** A Markdown text as nodes that are safe to show. Belongs to no window until somebody puts them into one: nothing is fetched. */
export function renderMarkdown(text: string): Rendered {
  let html: string;
  try {
    html = markdownToHtml(text);
  } catch {
    html = '';
  }
  const nodes = DOMPurify.sanitize(html, SANITISED);
  const rendered: Rendered = { nodes, code: [], pictures: [] };
  if (html === '' && text.trim() !== '') nodes.append(plainly(nodes, text));
  for (const heading of nodes.querySelectorAll('h1, h2, h3, h4, h5')) rename(heading, DEEPER[heading.nodeName]!);
  for (const link of nodes.querySelectorAll('a')) keepLink(link);
  for (const image of nodes.querySelectorAll('img')) keepImage(image, rendered);
  for (const element of nodes.querySelectorAll<HTMLElement>('pre > code')) {
    const fence = /^language-(\S{1,20})/.exec(element.className)?.[1]?.toLowerCase();
    const language = fence === undefined ? null : languageOf(`a.${FENCES[fence] ?? fence}`);
    if (language !== null) rendered.code.push({ element, language });
  }
  for (const element of nodes.querySelectorAll('[class]')) element.removeAttribute('class');
  for (const input of nodes.querySelectorAll('input')) keepTask(input);
  for (const table of nodes.querySelectorAll('table')) wrap(table, 'table');
  if (text.length > MARKDOWN_CHARACTERS) nodes.append(plainly(nodes, text.slice(MARKDOWN_CHARACTERS)));
  return rendered;
}

function plainly(nodes: DocumentFragment, text: string): HTMLElement {
  const element = nodes.ownerDocument.createElement('pre');
  element.textContent = text;
  return element;
}

function rename(element: Element, name: string): void {
  const renamed = element.ownerDocument.createElement(name);
  renamed.append(...element.childNodes);
  element.replaceWith(renamed);
}

function wrap(element: Element, className: string): void {
  const wrapper = element.ownerDocument.createElement('div');
  wrapper.className = className;
  element.replaceWith(wrapper);
  wrapper.append(element);
}

/** A task's box says how it stands and is no control. */
function keepTask(input: HTMLInputElement): void {
  if (input.getAttribute('type') !== 'checkbox') {
    input.remove();
    return;
  }
  const isDone = input.hasAttribute('checked');
  const box = input.ownerDocument.createElement('input');
  box.setAttribute('type', 'checkbox');
  box.setAttribute('disabled', '');
  box.setAttribute('aria-label', isDone ? 'done' : 'to do');
  if (isDone) box.setAttribute('checked', '');
  input.replaceWith(box);
  box.parentElement?.closest('li')?.classList.add('task');
}

function keepLink(link: HTMLAnchorElement): void {
  const href = link.getAttribute('href') ?? '';
  for (const name of link.getAttributeNames()) if (name !== 'title') link.removeAttribute(name);
  // Addresses that do nothing but go somewhere, each as the browser will read it.
  if (/^(https?:\/\/|mailto:)/i.test(href)) {
    link.setAttribute('href', href);
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  } else if (isPlaceHere(href)) link.setAttribute('href', href);
}

const HERE = 'https://here.invalid';

/** A path on this server. Browsers skip tabs and line breaks in addresses and resolve dots: `/<tab>/evil.example` is another server. */
function isPlaceHere(href: string): boolean {
  if (!/^\/[^\p{Cc}\s\\]*$/u.test(href)) return false;
  try {
    const { origin, pathname } = new URL(href, HERE);
    return origin === HERE && !pathname.startsWith('//');
  } catch {
    return false;
  }
}

function keepImage(image: HTMLImageElement, { pictures }: Rendered): void {
  const source = image.getAttribute('src') ?? '';
  const alt = image.getAttribute('alt') ?? '';
  const document = image.ownerDocument;
  if (/^data:image\/(png|jpeg|gif|webp);base64,/i.test(source)) return;
  const words = document.createElement('span');
  image.replaceWith(words);
  if (/^https?:\/\//i.test(source)) {
    // Shown here it would tell its server who reads what, and when.
    const link = document.createElement('a');
    link.setAttribute('href', source);
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
    link.textContent = `${alt === '' ? 'Picture' : alt} on ${hostOf(source)}`;
    words.append(link);
    return;
  }
  words.textContent = alt === '' ? source : alt;
  const path = source.replace(/^\.\//, '');
  if (/^[^:/\\?#][^:?#\\]*$/.test(path)) pictures.push({ element: words, path: decoded(path), alt });
}

function hostOf(address: string): string {
  try {
    return new URL(address).host;
  } catch {
    return 'another server';
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
