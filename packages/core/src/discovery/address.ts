/** An address on an interface of this machine, with the bits that its network has in common. */
export interface InterfaceAddress {
  /** As printed, without a zone. */
  readonly address: string;
  /** 0 to 32 of IPv4, 0 to 128 of IPv6. */
  readonly prefix: number;
}

/** The 4 or 16 bytes of an IP address as it is printed, without its zone; null for what is none. IPv4 in IPv6 is IPv4. */
export function parseAddress(text: string): Uint8Array | null {
  const bare = text.replace(/%.*$/, '');
  if (bare.length > 45) return null;
  if (!bare.includes(':')) return parseFour(bare);
  const [head = '', tail, ...more] = bare.split('::');
  if (more.length > 0) return null;
  const [left, right] = [groupsOf(head), groupsOf(tail ?? '')];
  if (left === null || right === null || (tail !== undefined && head.includes('.'))) return null;
  const absent = 16 - left.length - right.length;
  if (tail === undefined ? absent !== 0 : absent < 2) return null;
  return unmapped(Uint8Array.from([...left, ...Array.from({ length: absent }, () => 0), ...right]));
}

function parseFour(text: string): Uint8Array | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  return parts === undefined || parts.some((part) => part > 255) ? null : Uint8Array.from(parts);
}

/** The bytes of `fe80:0:1`; the last group may be an IPv4 address. */
function groupsOf(text: string): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    const four = index === groups.length - 1 && group.includes('.') ? parseFour(group) : null;
    if (four !== null) bytes.push(...four);
    else if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
    else bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255);
  }
  return bytes;
}

function unmapped(bytes: Uint8Array): Uint8Array {
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return isMapped ? bytes.slice(12) : bytes;
}

/** An address of 4 or 16 bytes as people write it (RFC 5952). */
export function printAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((bytes[2 * index]! << 8) | bytes[2 * index + 1]!).toString(16),
  );
  let [start, length] = [0, 1];
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (groups[end] === '0') end++;
    if (end - at > length) [start, length] = [at, end - at];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

/** Whether two addresses of one family have their first `prefix` bits in common. */
export function isInNetwork(one: Uint8Array, other: Uint8Array, prefix: number): boolean {
  if (one.length !== other.length) return false;
  for (let bit = 0; bit < prefix; bit += 8) {
    const mask = 255 << Math.max(0, 8 - (prefix - bit));
    if ((one[bit >> 3]! & mask & 255) !== (other[bit >> 3]! & mask & 255)) return false;
  }
  return true;
}

/** What can be said of an address without a look at this machine's networks. */
export type Reach = 'nowhere' | 'link' | 'private' | 'public';

/** How far an address reaches. `nowhere`: loopback, multicast, unspecified, broadcast. */
export function reachOf(bytes: Uint8Array): Reach {
  const [a = 0, b = 0] = bytes;
  if (bytes.length === 4) {
    if (a === 0 || a === 127 || a >= 224) return 'nowhere';
    if (a === 169 && b === 254) return 'link';
    return a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) ? 'private' : 'public';
  }
  if (a === 255 || bytes.subarray(0, 15).every((byte) => byte === 0)) return 'nowhere';
  if (a === 0xfe && (b & 0xc0) === 0x80) return 'link';
  return (a & 0xfe) === 0xfc ? 'private' : 'public';
}

/**
 * Those of the addresses that somebody claims to be reached at which this machine may try, the best first: those of a network that
 * it is in, then private ones. A public address that is not of a network of ours could be anybody's, and one of IPv6 that is good on
 * one link only cannot be written into a URL.
 */
export function usableAddresses(claimed: Iterable<string>, own: readonly InterfaceAddress[]): string[] {
  const networks = own.flatMap(({ address, prefix }) => {
    const bytes = parseAddress(address);
    return bytes === null ? [] : [{ bytes, prefix }];
  });
  const ranked = new Map<string, number>();
  for (const text of claimed) {
    const bytes = parseAddress(text);
    if (bytes === null) continue;
    const reach = reachOf(bytes);
    if (reach === 'nowhere' || (reach === 'link' && bytes.length === 16)) continue;
    const isNear = networks.some((network) => isInNetwork(bytes, network.bytes, network.prefix));
    if (!isNear && reach !== 'private') continue;
    ranked.set(printAddress(bytes), (isNear ? 0 : 2) + (bytes.length === 4 ? 0 : 1));
  }
  return [...ranked].toSorted(([one, a], [other, b]) => a - b || (one < other ? -1 : 1)).map(([address]) => address);
}
