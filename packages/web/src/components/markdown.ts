/**
 * The part of Markdown that notes use: paragraphs, headings, lists, fenced code, quotes; code, bold, italic, links
 * within a line. It makes a tree that a component draws: no HTML is ever made from what people typed.
 */
export type Inline =
  | { kind: 'text' | 'code' | 'strong' | 'em'; text: string }
  | { kind: 'link'; text: string; href: string };

export type Block =
  | { kind: 'paragraph' | 'quote'; lines: Inline[][] }
  | { kind: 'heading'; level: number; line: Inline[] }
  | { kind: 'list'; ordered: boolean; items: Inline[][] }
  | { kind: 'code'; text: string };

export function parseMarkdown(source: string): Block[] {
  const blocks: Block[] = [];
  const lines = source.replaceAll('\r\n', '\n').split('\n');
  for (let at = 0; at < lines.length;) {
    const line = lines[at]!;
    const fence = /^\s*(```|~~~)/.exec(line);
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    const item = listItem(line);
    if (line.trim() === '') at += 1;
    else if (fence !== null) {
      let end = at + 1;
      while (end < lines.length && !lines[end]!.trim().startsWith(fence[1]!)) end += 1;
      blocks.push({ kind: 'code', text: lines.slice(at + 1, end).join('\n') });
      at = end + 1;
    } else if (heading !== null) {
      blocks.push({ kind: 'heading', level: heading[1]!.length, line: parseInline(heading[2]!) });
      at += 1;
    } else if (item !== null) {
      const items: Inline[][] = [];
      for (
        let next = item as ReturnType<typeof listItem>;
        next !== null && next.ordered === item.ordered;
        next = listItem(lines[at] ?? '')
      ) {
        items.push(parseInline(next.text));
        at += 1;
      }
      blocks.push({ kind: 'list', ordered: item.ordered, items });
    } else {
      const quote = line.startsWith('>');
      const own: Inline[][] = [];
      while (
        at < lines.length &&
        lines[at]!.trim() !== '' &&
        lines[at]!.startsWith('>') === quote &&
        !/^(#{1,6}\s|\s*(```|~~~))/.test(lines[at]!) &&
        listItem(lines[at]!) === null
      ) {
        own.push(parseInline(quote ? lines[at]!.replace(/^>\s?/, '') : lines[at]!));
        at += 1;
      }
      blocks.push({ kind: quote ? 'quote' : 'paragraph', lines: own });
    }
  }
  return blocks;
}

function listItem(line: string): { ordered: boolean; text: string } | null {
  const match = /^\s{0,3}(?:([-*+])|(\d{1,9})[.)])\s+(.*)$/.exec(line);
  return match === null ? null : { ordered: match[2] !== undefined, text: match[3]! };
}

const MARK =
  /`([^`]+)`|\*\*([^*]+)\*\*|__([^_]+)__|\*([^*\s][^*]*)\*|\b_([^_]+)_\b|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?])/g;

export function parseInline(text: string): Inline[] {
  const parts: Inline[] = [];
  let at = 0;
  for (const match of text.matchAll(MARK)) {
    if (match.index > at) parts.push({ kind: 'text', text: text.slice(at, match.index) });
    const [whole, code, strong, strong2, em, em2, label, href, bare] = match;
    if (code !== undefined) parts.push({ kind: 'code', text: code });
    else if (strong !== undefined || strong2 !== undefined) parts.push({ kind: 'strong', text: (strong ?? strong2)! });
    else if (em !== undefined || em2 !== undefined) parts.push({ kind: 'em', text: (em ?? em2)! });
    else if (bare !== undefined) parts.push({ kind: 'link', text: bare, href: bare });
    else if (isSafe(href!)) parts.push({ kind: 'link', text: label!, href: href! });
    else parts.push({ kind: 'text', text: whole });
    at = match.index + whole.length;
  }
  if (at < text.length) parts.push({ kind: 'text', text: text.slice(at) });
  return parts;
}

/** Addresses that do nothing but go somewhere. */
function isSafe(href: string): boolean {
  return /^(https?:\/\/|mailto:|\/(?!\/)|#)/i.test(href);
}
