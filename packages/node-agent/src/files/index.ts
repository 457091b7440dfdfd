export { checkBlobs, findIncomplete, repairBlobs } from './blob-check.ts';
export { evict } from './evict.ts';
export type { FileKeeperOptions, FileStatus } from './file-keeper.ts';
export { FileKeeper } from './file-keeper.ts';
export { Spools } from './spool.ts';
