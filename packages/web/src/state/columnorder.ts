/** Columns in their order, and those of them that stay at the left. */
export interface ColumnOrder {
  columns: readonly string[];
  pinned: readonly string[];
}

/** Puts a column where another is: behind it when it comes from the left, else before it. It is kept at the left where the other is. */
export function moved({ columns, pinned }: ColumnOrder, id: string, to: string): ColumnOrder {
  const next = columns.filter((each) => each !== id);
  next.splice(columns.indexOf(to), 0, id);
  return {
    columns: next,
    pinned: pinned.includes(to)
      ? next.filter((each) => each === id || pinned.includes(each))
      : pinned.filter((each) => each !== id),
  };
}

/** The column beside another among those that are seen; undefined at the end. */
export function beside(shown: readonly string[], id: string, step: -1 | 1): string | undefined {
  const at = shown.indexOf(id);
  return at === -1 ? undefined : shown[at + step];
}
