/** What somebody can do about a trouble with a relay, by its stable code; null when waiting is all. */
export function adviceFor(code: string): string | null {
  switch (code) {
    case 'unauthorized':
      return 'The token is missing, wrong or revoked: ask whoever runs the relay for another and join again.';
    case 'forbidden':
      return 'The token does not allow this: join again with the token of a member.';
    case 'peer_unreachable':
    case 'timeout':
      return 'Nobody answers there. It is tried again by itself, ever more rarely; check the address and the network if it stays so.';
    case 'workspace_mismatch':
      return 'This machine shares another workspace. Use another FIELDBOOK_HOME for this relay, or carry runs over as a bundle.';
    case 'protocol_version':
      return 'The two sides are too far apart in age: update the older one.';
    case 'disk_full':
      return 'There is no space left on one side: free some, here with “fieldbook evict”. It goes on by itself.';
    case 'generation_mismatch':
      return 'A document was repaired on one side, and the other does not take that over from it: join with an administrator’s token, or repair it there too.';
    case 'document_quarantined':
    case 'storage_failed':
      return 'Run “fieldbook doctor” on the side that it names.';
    default:
      return null;
  }
}
