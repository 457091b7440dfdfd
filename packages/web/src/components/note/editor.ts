import { defaultKeymap } from '@codemirror/commands';
import { markdown, markdownKeymap } from '@codemirror/lang-markdown';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import type { ChangeSpec, Extension, StateCommand } from '@codemirror/state';
import { EditorSelection, EditorState } from '@codemirror/state';
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view';
import { LIMITS, utf8Length } from '@fieldbook/core';
import { tags } from '@lezer/highlight';
import { yCollab, ySyncAnnotation, yUndoManagerKeymap } from 'y-codemirror.next';
import type * as Y from 'yjs';
import type { NoteCursor, NoteWriter } from '../../worker/notes-api.ts';
import { Cursors } from './cursors.ts';

export interface NoteEditorOptions {
  text: Y.Text;
  undoManager: Y.UndoManager;
  label: string;
  /** Only to be read. */
  readonly: boolean;
  /** Takes the focus at once, behind the text. */
  autofocus: boolean;
  onpoint: (cursor: NoteCursor | null) => void;
  onfocus: () => void;
  onblur: () => void;
  /** Typing was refused: the note is as long as it can be. */
  onfull: () => void;
}

export interface NoteEditor {
  showPeople(people: readonly NoteWriter[]): void;
  destroy(): void;
}

const STYLE = HighlightStyle.define([
  { tag: tags.heading, fontWeight: '600' },
  { tag: tags.strong, fontWeight: '600' },
  { tag: tags.emphasis, fontStyle: 'italic' },
  { tag: tags.strikethrough, textDecoration: 'line-through' },
  { tag: [tags.link, tags.url], color: 'var(--accent)' },
  { tag: tags.monospace, fontFamily: 'var(--mono)', fontSize: '0.94em' },
  { tag: tags.quote, color: 'var(--ink-2)' },
  { tag: [tags.processingInstruction, tags.contentSeparator], color: 'var(--ink-3)' },
]);

const THEME = EditorView.theme({
  '&': { color: 'var(--ink)', backgroundColor: 'transparent', fontSize: 'var(--text)', height: '100%' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--sans)', lineHeight: 'var(--leading)' },
  // Room for the name over a cursor in the first line.
  '.cm-content': { padding: '16px 0 32px', caretColor: 'var(--ink)' },
  '.cm-line': { padding: '0 16px' },
  '.cm-placeholder': { color: 'var(--ink-3)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    background: 'var(--accent-soft)',
  },
  '.cm-ySelectionCaretDot': { display: 'none' },
  '.cm-ySelectionInfo': {
    opacity: '1',
    transitionDelay: '0s',
    color: 'var(--paper)',
    fontFamily: 'var(--sans)',
    fontSize: '10px',
    lineHeight: '13px',
    padding: '0 3px',
    top: '-13px',
    borderRadius: '2px 2px 2px 0',
    pointerEvents: 'none',
  },
});

/** An editor of Markdown in `parent`, for one of the people who write in `text`. */
export function editNote(parent: HTMLElement, options: NoteEditorOptions): NoteEditor {
  const { text, undoManager, label, readonly, autofocus, onpoint, onfocus, onblur, onfull } = options;
  const cursors = new Cursors(text.doc!, readonly ? () => undefined : onpoint);
  const extensions: Extension[] = [
    keymap.of([
      ...yUndoManagerKeymap,
      { key: 'Mod-b', run: around('**') },
      { key: 'Mod-i', run: around('*') },
      { key: 'Mod-e', run: around('`') },
      { key: 'Escape', run: (view) => (view.contentDOM.blur(), true) },
      ...markdownKeymap,
      ...defaultKeymap,
    ]),
    markdown({ addKeymap: false }),
    syntaxHighlighting(STYLE),
    drawSelection(),
    EditorView.lineWrapping,
    placeholder(readonly ? 'No notes yet.' : 'What was tried, what was seen. Markdown works.'),
    EditorState.readOnly.of(readonly),
    EditorView.contentAttributes.of({
      'aria-label': label,
      'aria-readonly': String(readonly),
      spellcheck: String(!readonly),
      autocapitalize: 'sentences',
    }),
    EditorView.domEventHandlers({
      focus: () => readonly || onfocus(),
      blur: () => {
        if (readonly) return;
        onpoint(null);
        onblur();
      },
    }),
    bounded(onfull),
    yCollab(text, cursors, { undoManager }),
    THEME,
  ];
  const view = new EditorView({ state: EditorState.create({ doc: text.toJSON(), extensions }), parent });
  if (autofocus) {
    view.dispatch({ selection: { anchor: view.state.doc.length }, scrollIntoView: true });
    view.focus();
  }
  return {
    showPeople: (people) => cursors.show(people),
    destroy: () => view.destroy(),
  };
}

/** Lets nobody type more than an edit can say. What comes from others is theirs to cut. */
function bounded(onfull: () => void): Extension {
  return EditorState.transactionFilter.of((transaction) => {
    if (!transaction.docChanged || transaction.annotation(ySyncAnnotation) !== undefined) return transaction;
    const { newDoc, startState } = transaction;
    if (newDoc.length <= startState.doc.length || newDoc.length * 3 <= LIMITS.notesBytes) return transaction;
    if (utf8Length(newDoc.toString()) <= LIMITS.notesBytes) return transaction;
    onfull();
    return [];
  });
}

/** Puts marks around what is selected, or takes them away. */
function around(mark: string): StateCommand {
  return ({ state, dispatch }) => {
    if (state.readOnly) return false;
    const length = mark.length;
    const change = state.changeByRange((range) => {
      const isMarked =
        state.sliceDoc(range.from - length, range.from) === mark &&
        state.sliceDoc(range.to, range.to + length) === mark;
      const changes: ChangeSpec[] = isMarked
        ? [
            { from: range.from - length, to: range.from },
            { from: range.to, to: range.to + length },
          ]
        : [
            { from: range.from, insert: mark },
            { from: range.to, insert: mark },
          ];
      const shift = isMarked ? -length : length;
      return { changes, range: EditorSelection.range(range.anchor + shift, range.head + shift) };
    });
    dispatch(state.update(change, { scrollIntoView: true, userEvent: 'input' }));
    return true;
  };
}
