import { defaultHighlightStyle, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import type { Extension } from '@codemirror/state';
import { Compartment, EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { LanguageName } from './languages.ts';
import { loadLanguage } from './languages.ts';

/** How code is shown everywhere: by the tokens, so that both themes are one. */
const STYLE = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.controlKeyword, tags.operatorKeyword], color: 'var(--code-keyword)' },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: 'var(--code-number)' },
  { tag: [tags.comment, tags.meta], color: 'var(--code-comment)', fontStyle: 'italic' },
  {
    tag: [
      tags.definition(tags.variableName),
      tags.function(tags.definition(tags.variableName)),
      tags.definition(tags.propertyName),
      tags.className,
      tags.definition(tags.className),
    ],
    color: 'var(--code-name)',
  },
  {
    tag: [tags.propertyName, tags.attributeName, tags.labelName, tags.tagName, tags.heading],
    color: 'var(--code-name)',
  },
  { tag: tags.inserted, color: 'var(--code-string)' },
  { tag: tags.deleted, color: 'var(--brick)' },
  { tag: tags.heading, fontWeight: '600' },
  { tag: tags.emphasis, fontStyle: 'italic' },
  { tag: tags.strong, fontWeight: '600' },
  { tag: tags.link, textDecoration: 'underline' },
]);

const THEME = EditorView.theme({
  '&': { color: 'var(--ink)', backgroundColor: 'transparent', fontSize: 'calc(var(--text) * 0.94)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '18px' },
  '.cm-content': { padding: '4px 0' },
  '.cm-gutters': { backgroundColor: 'var(--paper)', color: 'var(--ink-3)', border: '0' },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 8px 0 12px', minWidth: '40px' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'transparent' },
  '.cm-shown-line': { backgroundColor: 'var(--accent-soft)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    background: 'var(--accent-soft)',
  },
  '.cm-selectionMatch': { backgroundColor: 'var(--paper-3)' },
  '.cm-searchMatch': { backgroundColor: 'var(--amber-soft)', outline: '1px solid var(--rule-2)' },
  '.cm-panels': { backgroundColor: 'var(--paper-2)', color: 'var(--ink)', borderColor: 'var(--rule) !important' },
  '.cm-textfield': {
    backgroundColor: 'var(--raised)',
    border: '1px solid var(--rule-2)',
    borderRadius: 'var(--radius)',
  },
  '.cm-button': {
    backgroundImage: 'none',
    backgroundColor: 'var(--paper)',
    border: '1px solid var(--rule-2)',
    borderRadius: 'var(--radius)',
  },
  '.cm-changedLine': { backgroundColor: 'var(--added) !important' },
  '.cm-deletedChunk, &.cm-merge-a .cm-changedLine': { backgroundColor: 'var(--removed) !important' },
  '.cm-changedText': { background: 'var(--added-strong) !important', textDecoration: 'none !important' },
  '.cm-deletedText, .cm-deletedChunk .cm-deletedText, &.cm-merge-a .cm-changedText': {
    background: 'var(--removed-strong) !important',
    textDecoration: 'none !important',
  },
  '.cm-changeGutter': { width: '3px', paddingLeft: '1px' },
  '.cm-changedLineGutter': { background: 'var(--accent) !important' },
  '.cm-deletedLineGutter, &.cm-merge-a .cm-changedLineGutter': { background: 'var(--brick) !important' },
  '.cm-collapsedLines': {
    background: 'var(--paper-2)',
    color: 'var(--ink-2)',
    padding: '2px 12px',
    fontFamily: 'var(--sans)',
    fontSize: 'var(--text-s)',
    // The editor's own marks are letters that few fonts have.
    '&:before, &:after': { content: '"⋯"' },
  },
});

export interface ReadingOptions {
  /** What a screen reader calls it. */
  label: string;
  wrap: boolean;
  /** The number beside a line, by its place from 1; its place when absent. */
  numbers?: ((line: number) => string) | undefined;
}

/** Everything but the text and the language: a view that can be read, searched and copied from, and not changed. */
export function reading({ label, wrap, numbers }: ReadingOptions): Extension[] {
  return [
    lineNumbers(numbers === undefined ? {} : { formatNumber: numbers }),
    highlightSpecialChars(),
    drawSelection(),
    syntaxHighlighting(STYLE),
    syntaxHighlighting(defaultHighlightStyle, { fallback: true }),
    search({ top: true }),
    highlightSelectionMatches({ minSelectionLength: 2 }),
    keymap.of(searchKeymap),
    EditorState.readOnly.of(true),
    EditorState.tabSize.of(4),
    // Focusable, so that it can be scrolled and searched by keyboard, but nothing to type into.
    EditorView.editable.of(false),
    EditorView.contentAttributes.of({
      'aria-label': label,
      tabindex: '0',
      role: 'textbox',
      'aria-readonly': 'true',
      'aria-multiline': 'true',
    }),
    ...(wrap ? [EditorView.lineWrapping] : []),
    THEME,
  ];
}

/** Room for a grammar in a view, filled when it has come. */
export class LanguageSlot {
  readonly #slot = new Compartment();

  get extension(): Extension {
    return this.#slot.of([]);
  }

  async fill(view: EditorView, name: LanguageName | null): Promise<void> {
    const language = name === null ? null : await loadLanguage(name);
    if (language !== null && view.dom.isConnected) view.dispatch({ effects: this.#slot.reconfigure(language) });
  }
}
