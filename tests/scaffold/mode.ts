/** Whether this is `npm run test:long` (`FIELDBOOK_LONG=1`). */
export const LONG = process.env['FIELDBOOK_LONG'] === '1';

/** How much a test does: `usual` in `npm test`, `inLongMode` in `npm run test:long`. */
export function amount(usual: number, inLongMode: number): number {
  return LONG ? inLongMode : usual;
}
