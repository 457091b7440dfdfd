import { Persisted } from '../state/persisted.svelte.ts';

/** One thing to know about an element of the page. */
export interface TourStep {
  /** Selector of the element; a step whose element is not on the page is left out. */
  about: string;
  title: string;
  text: string;
}

/** At most three, for somebody who sees a table of runs for the first time. */
export const TOUR: readonly TourStep[] = [
  {
    about: '[data-search]',
    title: 'Ask for runs',
    text: 'Type words, or conditions such as val/acc.max > 0.9 and tags has "baseline". Names and values are offered while you type.',
  },
  {
    about: '[role="grid"], [role="treegrid"]',
    title: 'Select to chart and compare',
    text: 'A click selects a run, Shift and Ctrl more of them. Charts follow the selection; a right click says what can be done. Every edit can be undone, offline too.',
  },
  {
    about: 'header .go',
    title: 'Everything by keyboard',
    text: 'Ctrl K (⌘ K) goes to any project, run or action; ? lists the keys.',
  },
];

class Tour {
  /** Written at the first sight of the tour, not at its end: it never comes back by itself, however one left it. */
  readonly #seen = new Persisted('tour', false);
  step = $state<number | null>(null);

  /** Starts for somebody who has not seen it; called by a page that has runs to show. */
  offer(): void {
    if (this.#seen.current || this.step !== null) return;
    this.#seen.current = true;
    this.step = 0;
  }

  again(): void {
    this.step = 0;
  }

  next(): void {
    if (this.step === null) return;
    this.step = this.step + 1 < TOUR.length ? this.step + 1 : null;
  }

  end(): void {
    this.step = null;
  }
}

export const tour = new Tour();
