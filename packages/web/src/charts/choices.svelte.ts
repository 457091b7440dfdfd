import type { ProjectId } from '@fieldbook/core';
import { USUAL_CHARTS } from '../app/viewstate.ts';
import { ownCharts } from '../state/persisted.svelte.ts';
import { readCharts, writeCharts } from './address.ts';
import type { ChartState } from './settings.ts';
import { USUAL_STATE } from './settings.ts';

/** As many as can be undone. */
const REMEMBERED = 200;
const PASSED: Pick<ChartState, 'zoom' | 'zooms' | 'words' | 'full'> = { zoom: null, zooms: {}, words: '', full: null };

/**
 * What somebody has set about the charts of a project: kept in this browser, and in the address when the page has one for it. A
 * link's settings hold while its page is open and become one's own with the first change.
 */
export class ChartChoices {
  readonly #kept: { current: string };
  #linked = $state<string | null>(null);
  /** Looking closer is not a preference: it ends with the page. */
  #passing = $state.raw<Pick<ChartState, 'zoom' | 'zooms' | 'words' | 'full'>>(PASSED);
  readonly state: ChartState = $derived.by(() => ({
    ...readCharts(this.#linked ?? this.#kept.current),
    ...this.#passing,
  }));
  /** How often somebody has set something here. */
  changes = $state(0);
  readonly #were = new Map<string, { kept: string; linked: string | null }>();
  /** As the address says it. Nothing set at all is said where a link's settings hold: without it, one's own would after a reload. */
  readonly text: string = $derived.by(() => {
    const text = writeCharts(this.state);
    return text === '' && this.#linked !== null && this.#kept.current !== '' ? USUAL_CHARTS : text;
  });

  constructor(project: ProjectId | null, address: string) {
    const passing = $state({ current: address });
    this.#kept = project === null ? passing : ownCharts(project);
    if (address !== '') this.open(address);
  }

  /** Choices that begin with these and end with the page. */
  static passing(state: Partial<ChartState>): ChartChoices {
    return new ChartChoices(null, writeCharts({ ...USUAL_STATE, ...state }));
  }

  /** Takes settings from an address or a saved view; what this page has shown before comes back as what it was, one's own or a link's. */
  open(address: string): void {
    if (address === this.text) return;
    const was = this.#were.get(address);
    if (was === undefined) this.#linked = address === '' ? null : address;
    else {
      this.#linked = was.linked;
      this.#kept.current = was.kept;
    }
    const state = readCharts(address);
    this.#passing = { zoom: state.zoom, zooms: state.zooms, words: state.words, full: state.full };
  }

  set(change: Partial<ChartState>): void {
    this.#note();
    this.#put(change);
    this.#note();
    this.changes += 1;
  }

  #put(change: Partial<ChartState>): void {
    const next = { ...this.state, ...change };
    const { zoom, zooms, words, full } = next;
    this.#passing = { zoom, zooms, words, full };
    const lasting = Object.keys(change).some((key) => !(key in this.#passing));
    if (!lasting) return;
    this.#linked = null;
    this.#kept.current = writeCharts({ ...next, ...PASSED });
  }

  #note(): void {
    this.#were.delete(this.text);
    this.#were.set(this.text, { kept: this.#kept.current, linked: this.#linked });
    for (const text of this.#were.keys()) if (this.#were.size > REMEMBERED) this.#were.delete(text);
  }

  reset(): void {
    this.set(USUAL_STATE);
  }

  /** Shows a stretch of x in one panel, with all others or alone; null shows all of it. */
  zoomTo(panel: string, linked: boolean, range: ChartState['zoom']): void {
    const { [panel]: _before, ...others } = this.state.zooms;
    this.set(linked ? { zoom: range } : { zooms: range === null ? others : { ...others, [panel]: range } });
  }

  togglePin(metric: string): void {
    const { pins } = this.state;
    this.set({ pins: pins.includes(metric) ? pins.filter((each) => each !== metric) : [...pins, metric] });
  }

  toggleFold(section: string): void {
    const { folded } = this.state;
    this.set({ folded: folded.includes(section) ? folded.filter((each) => each !== section) : [...folded, section] });
  }
}
