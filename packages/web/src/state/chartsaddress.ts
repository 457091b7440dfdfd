import { withParameters } from '../app/search.ts';
import { gestureOf } from '../charts/address.ts';
import { USUAL_CHARTS } from '../app/viewstate.ts';
import { actions } from './actions.svelte.ts';
import { router } from './router.svelte.ts';

/** What the address of a page that keeps its charts under `c` says of them. */
export function chartsOf(search: string): string {
  return new URLSearchParams(search).get('c') ?? '';
}

/** The same for others, who have choices of their own: also that all is as usual. */
export function wholeCharts(search: string): string {
  return withParameters(search, { c: chartsOf(search) || USUAL_CHARTS });
}

/**
 * Puts what is set about charts into the address. `asked`: somebody did it, and Ctrl+Z takes it back, also when the
 * charts are not `there` any more: then it goes to them.
 */
export function setCharts(text: string, asked: boolean, there: () => boolean): void {
  const { path, search: before } = router;
  router.replaceSearch(withParameters(before, { c: text }));
  const { search: after } = router;
  if (!asked || before === after) return;
  const show = (search: string): void => {
    // Charts that are made anew know nothing of what they were, and would show one's own.
    if (there()) router.replaceSearch(withParameters(router.search, { c: chartsOf(search) }));
    else router.go(path + wholeCharts(search));
  };
  const gesture = gestureOf(chartsOf(before), chartsOf(after));
  actions.did({
    what: 'Changed the charts',
    kind: gesture === null ? null : `charts of ${path}: ${gesture}`,
    undo: () => show(before),
    redo: () => show(after),
  });
}
