/**
 * When things are written. All intervals are ms. They widen because each rewrite of a card leaves about ten bytes in its
 * book for ever: a run of three days rewrites its card some 150 times, not 25,000.
 */
export const POLICY = {
  /** Cards: at the start, at each change of status, and then after 10 s, each wait half as long again, at most 30 min. */
  cardFirst: 10_000,
  cardGrowth: 1.5,
  cardLast: 30 * 60_000,
  /** A parameter, tag or name said after the start is shown after a second; one that changes all the time at widening intervals too. */
  detailFirst: 1_000,
  /** Tail entries: seconds apart while somebody may be watching the run start, then twice a minute. */
  tailFirst: 1_000,
  tailGrowth: 1.5,
  tailLast: 30_000,
  /** So many unsealed points are worth a segment, 150 kB as Parquet; where metrics are many, so many of each: what is kept beside it grows with their number. */
  sealPoints: 50_000,
  sealPointsPerMetric: 32,
  /** Unsealed points do not get older than this, so a run document's tail stays small. */
  sealAge: 10 * 60_000,
  /** A backlog is sealed in pieces of this size: 18 MB of columns while it is gathered, as much again while it is sorted, 2 to 4 MB as Parquet. */
  backlogPoints: 500_000,
  /** Points in one tail entry: 34 bytes each, far below the limit of an entry. */
  tailPoints: 16_384,
  /** Bytes of metric names in one tail entry. */
  tailNameBytes: 256 * 1024,
  /** So many object rows, or so much text (UTF-16 units), are worth a segment. */
  sealRows: 5_000,
  sealCharacters: 1024 * 1024,
  /** Fewer than that wait for `sealAge` at first, then longer: a line a minute for three days is 40 segments, not 430. */
  objectsGrowth: 1.5,
  objectsLast: 2 * 60 * 60_000,
  /** A backlog of object rows is sealed in pieces of this size: 8 M units are 16 MB in memory, as much again while they are sealed. */
  backlogRows: 100_000,
  backlogCharacters: 8 * 1024 * 1024,
  /** Rows and units of one tail entry, each row counted as 200 units more: with three bytes a unit far below the limit of an entry. */
  tailRows: 1_000,
  tailCharacters: 256 * 1024,
  /** Bytes of names and digests in the entry of an object segment; more make another segment. */
  segmentNameBytes: 384 * 1024,
  /** Entries of files and captures that are gathered before a backlog is written. */
  backlogEntries: 1_000,
  /** Live values are told this far apart. */
  live: 1_000,
} as const;

/** The wait that follows a wait. */
export function widened(wait: number, growth: number, last: number): number {
  return Math.min(wait * growth, last);
}

/** A point in time that comes `wait` after `since`; a clock that was set back does not postpone it by more than the wait itself. */
export function isDue(since: number, wait: number, now: number): boolean {
  return now - since >= wait || now < since;
}
