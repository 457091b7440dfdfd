import type { Component } from 'svelte';
import type { RunPage } from '../../state/runpage.svelte.ts';
import type { RunDetail } from '../../worker/api.ts';
import { dataCount } from './data/versions.ts';
import { problemsOf } from './problems.ts';

/** What every tab of the run page is given. */
export interface TabProps {
  detail: RunDetail;
  page: RunPage;
}

export interface RunTab {
  /** In the address, as `?tab=`. */
  id: string;
  label: string;
  /** How many things are in it, beside its label; null where a number says nothing. */
  count: (detail: RunDetail) => number | null;
  /** Whether it is listed: a tab that could only say that it is empty by nature of the run is not. */
  listed: (detail: RunDetail) => boolean;
  load: () => Promise<{ default: Component<TabProps> }>;
}

const always = (): boolean => true;
const uncounted = (): null => null;

/** The tabs in their order. The first is shown when the address names none. */
export const TABS: readonly RunTab[] = [
  { id: 'overview', label: 'Overview', count: uncounted, listed: always, load: () => import('./Overview.svelte') },
  {
    id: 'charts',
    label: 'Charts',
    count: ({ state }) => state.metrics.size,
    listed: always,
    load: () => import('./Charts.svelte'),
  },
  {
    id: 'attributes',
    label: 'Attributes',
    count: ({ state }) => state.attributes.size,
    listed: always,
    load: () => import('./Attributes.svelte'),
  },
  {
    id: 'console',
    label: 'Console',
    count: ({ consoleLines }) => consoleLines,
    listed: always,
    load: () => import('./Console.svelte'),
  },
  { id: 'source', label: 'Source', count: uncounted, listed: always, load: () => import('./Source.svelte') },
  {
    id: 'environment',
    label: 'Environment',
    count: uncounted,
    listed: always,
    load: () => import('./Environment.svelte'),
  },
  {
    id: 'media',
    label: 'Media',
    count: ({ media }) => media,
    listed: always,
    load: () => import('./Media.svelte'),
  },
  {
    id: 'files',
    label: 'Files',
    count: ({ files }) => files,
    listed: always,
    load: () => import('./Files.svelte'),
  },
  {
    id: 'data',
    label: 'Data',
    count: ({ state }) => dataCount(state.attributes),
    listed: always,
    load: () => import('./Data.svelte'),
  },
  { id: 'system', label: 'System', count: uncounted, listed: always, load: () => import('./System.svelte') },
  { id: 'notes', label: 'Notes', count: uncounted, listed: always, load: () => import('./Notes.svelte') },
  {
    id: 'history',
    label: 'History',
    count: ({ history }) => history.length,
    listed: always,
    load: () => import('./History.svelte'),
  },
  {
    id: 'problem',
    label: 'What went wrong',
    count: uncounted,
    listed: (detail) => problemsOf(detail).length > 0,
    load: () => import('./Problem.svelte'),
  },
];

/** The tab that an address names; the first for one that there is not. */
export function tabNamed(id: string | null): RunTab {
  return TABS.find((tab) => tab.id === id) ?? TABS[0]!;
}
