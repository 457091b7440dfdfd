import { Lexer, Parser, Renderer } from 'marked';
import type { Token, Tokens, TokensList } from 'marked';

/** What is drawn as Markdown; beyond it the text stands as it was typed. */
export const MARKDOWN_CHARACTERS = 256 * 1024;
/** Marks within one paragraph take the square of its length to be sorted out: a longer one is plain. */
const PARAGRAPH_CHARACTERS = 3_000;
/** Lists in quotes in lists. */
const DEPTH = 24;

const OPTIONS = { gfm: true, breaks: true } as const;

/** Reads Markdown in time that follows its length, whatever it is: people read what others wrote. */
class BoundedLexer extends Lexer {
  #depth = 0;

  override blockTokens(src: string, tokens: Token[] = [], lastParagraphClipped?: boolean): Token[] & TokensList {
    if (this.#depth >= DEPTH) {
      tokens.push(plain(src));
      return tokens as Token[] & TokensList;
    }
    this.#depth += 1;
    try {
      return super.blockTokens(src, tokens as TokensList, lastParagraphClipped) as Token[] & TokensList;
    } finally {
      this.#depth -= 1;
    }
  }

  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    if (src.length > PARAGRAPH_CHARACTERS || this.#depth >= DEPTH) {
      tokens.push(plain(src));
      return tokens;
    }
    this.#depth += 1;
    try {
      return super.inlineTokens(src, tokens);
    } finally {
      this.#depth -= 1;
    }
  }
}

/** Tags that people write between Markdown, and only bare ones. */
const NOT_A_TAG = /<(?!\/?(?:br|hr|details|summary|sub|sup|kbd|mark|b|i|s|small)\s*\/?>)/gi;

class BareRenderer extends Renderer {
  /** Any other HTML is text. The sanitiser would remove it, too; here it stays readable. */
  override html({ text }: Tokens.HTML | Tokens.Tag): string {
    return text.replace(/<!--[\s\S]*?-->/g, '').replace(NOT_A_TAG, '&lt;');
  }
}

/** HTML of a Markdown text: as hostile as the text is, to be sanitised before anything looks at it. */
export function markdownToHtml(text: string): string {
  const tokens = new BoundedLexer(OPTIONS).lex(text.slice(0, MARKDOWN_CHARACTERS));
  return new Parser({ ...OPTIONS, renderer: new BareRenderer() }).parse(tokens);
}

function plain(text: string): Token {
  return { type: 'text', raw: text, text, escaped: false };
}
