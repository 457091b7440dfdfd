import { statfsSync } from 'node:fs';

/** File systems that other machines write to, or that somebody else's program serves: changes come without a notification. */
const SHARED: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x65735546, // FUSE: sshfs, s3fs, …
  0x01021997, // 9p, of virtual machines
  0x786f4256, // VirtualBox
  0x0bd00bd0, // Lustre
  0x00c36400, // Ceph
  0x47504653, // GPFS
  0x19830326, // BeeGFS
  0x5346414f, // AFS
  0x7461636f, // OCFS 2
  0x01161970, // GFS 2
]);

/** Whether a directory lies on a disk that only this machine writes to, as far as the system tells. False when it does not tell. */
export function isLocal(path: string): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return !SHARED.has(statfsSync(path).type >>> 0);
  } catch {
    return false;
  }
}
