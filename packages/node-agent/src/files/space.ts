import { FieldbookError } from '@fieldbook/core';

/** Points are small and are what a run is about: so much, or a twentieth of a small disk, stays free for them. */
const RESERVE_MOST = 1_000_000_000;
const RESERVE_SHARE = 20;

/** What a disk has, and what of it can still be written. */
export interface Disk {
  free: number;
  total: number;
}

/** Throws `disk_full` when storing `size` bytes would leave the disk with less than what points need. */
export async function checkSpace({ disk }: { disk(): Promise<Disk> }, size: number): Promise<void> {
  const { free, total } = await disk();
  const reserve = Math.min(RESERVE_MOST, total / RESERVE_SHARE);
  if (free - size >= reserve) return;
  const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  throw new FieldbookError(
    'disk_full',
    `Files wait in the spool: ${mb(free)} are free, the next one has ${mb(size)}, and ${mb(reserve)} are kept for points. Free some space; they are stored by themselves then.`,
  );
}
