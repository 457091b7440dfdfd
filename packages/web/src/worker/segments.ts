/** The part of the worker that reads segments, in a file of its own so that a page without charts never loads it. */
export { SeriesReader } from '@fieldbook/core/series';
