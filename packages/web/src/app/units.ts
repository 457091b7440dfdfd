/** How a person wants numbers, sizes and times to look. */
export interface Units {
  /** kB of 1,000 bytes, or KiB of 1,024. */
  bytes: 'decimal' | 'binary';
  /** Times as here, or as everywhere. */
  zone: 'local' | 'utc';
  /** Significant digits of a number that has more. */
  digits: 3 | 4 | 6 | 8;
  /** `2h 05m`, or `2:05:00`. */
  durations: 'words' | 'clock';
}

export const USUAL: Units = { bytes: 'decimal', zone: 'local', digits: 4, durations: 'words' };

/** What format.ts goes by now; changed only by `setUnits`. */
export const units: Units = { ...USUAL };

/** Takes what was kept; anything unknown in it is as usual. */
export function setUnits(kept: Partial<Units>): void {
  units.bytes = kept.bytes === 'binary' ? 'binary' : 'decimal';
  units.zone = kept.zone === 'utc' ? 'utc' : 'local';
  units.digits = kept.digits === 3 || kept.digits === 6 || kept.digits === 8 ? kept.digits : 4;
  units.durations = kept.durations === 'clock' ? 'clock' : 'words';
}
