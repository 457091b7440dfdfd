/** The part of the worker that reads object segments, in a file of its own so that a page without objects never loads it. */
export { ObjectReader } from '@fieldbook/core/objects';
