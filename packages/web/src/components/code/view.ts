import { MergeView, unifiedMergeView } from '@codemirror/merge';
import { EditorState, RangeSetBuilder } from '@codemirror/state';
import { Decoration, EditorView } from '@codemirror/view';
import { LanguageSlot, reading } from './editor.ts';
import type { LanguageName } from './languages.ts';

export interface CodeOptions {
  label: string;
  language: LanguageName | null;
  wrap: boolean;
  /** Scrolled to and marked, from 1. */
  line?: number | null | undefined;
}

/** Shows a text in an element; the returned function takes it away. */
export function showCode(parent: HTMLElement, text: string, { label, language, wrap, line }: CodeOptions): () => void {
  const slot = new LanguageSlot();
  const state = EditorState.create({
    doc: text,
    extensions: [...reading({ label, wrap }), slot.extension, marked(line ?? null)],
  });
  const view = new EditorView({ state, parent });
  if (line != null && line >= 1 && line <= view.state.doc.lines)
    view.dispatch({ effects: EditorView.scrollIntoView(view.state.doc.line(line).from, { y: 'center' }) });
  void slot.fill(view, language);
  return () => view.destroy();
}

export interface DiffOptions extends Omit<CodeOptions, 'line'> {
  mode: 'split' | 'unified';
  labels: { before: string; after: string };
  /** Numbers of the lines where the texts are pieces of longer ones: by place from 0, null for none. */
  numbers?: { before: readonly (number | null)[]; after: readonly (number | null)[] } | undefined;
  /** Long stretches without changes are folded away. */
  collapse: boolean;
}

/** A comparison gives up being exact rather than holding the page up. */
const DIFF = { scanLimit: 2_000, timeout: 150 };
const COLLAPSE = { margin: 3, minSize: 6 };

/** Shows two texts against each other in an element; the returned function takes them away. */
export function showDiff(parent: HTMLElement, before: string, after: string, options: DiffOptions): () => void {
  const { language, wrap, mode, labels, numbers, collapse } = options;
  const slots = [new LanguageSlot(), new LanguageSlot()] as const;
  const side = (which: 0 | 1): ReturnType<typeof reading> => {
    const list = which === 0 ? numbers?.before : numbers?.after;
    const text = list === undefined ? undefined : (at: number): string => String(list[at - 1] ?? '');
    return [
      ...reading({ label: which === 0 ? labels.before : labels.after, wrap, numbers: text }),
      slots[which].extension,
    ];
  };
  if (mode === 'unified') {
    const unified = unifiedMergeView({
      original: before,
      mergeControls: false,
      highlightChanges: true,
      syntaxHighlightDeletions: true,
      diffConfig: DIFF,
      ...(collapse ? { collapseUnchanged: COLLAPSE } : {}),
    });
    const view = new EditorView({
      state: EditorState.create({ doc: after, extensions: [...side(1), unified] }),
      parent,
    });
    void slots[1].fill(view, language);
    return () => view.destroy();
  }
  const view = new MergeView({
    parent,
    a: { doc: before, extensions: side(0) },
    b: { doc: after, extensions: side(1) },
    gutter: true,
    highlightChanges: true,
    diffConfig: DIFF,
    ...(collapse ? { collapseUnchanged: COLLAPSE } : {}),
  });
  void slots[0].fill(view.a, language);
  void slots[1].fill(view.b, language);
  return () => view.destroy();
}

const MARK = Decoration.line({ class: 'cm-shown-line' });

function marked(line: number | null) {
  return EditorView.decorations.compute([], (state) => {
    const builder = new RangeSetBuilder<Decoration>();
    if (line !== null && line >= 1 && line <= state.doc.lines) {
      const { from } = state.doc.line(line);
      builder.add(from, from, MARK);
    }
    return builder.finish();
  });
}
