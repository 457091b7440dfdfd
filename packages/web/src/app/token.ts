import { secretOfFragment, SIGNED_IN } from '@fieldbook/core/access';

/**
 * A token or an invitation from the part of the address that never leaves the browser (`#token=fbt_…`, `#invite=fbi_…`), once;
 * `SIGNED_IN` for a page that a provider led back here, which has a cookie and no token. The address is cleaned before anything
 * else runs, so that it is not copied, shared or kept in the history.
 */
export function takeToken(): string | null {
  const token = location.hash === `#${SIGNED_IN}` ? SIGNED_IN : secretOfFragment(location.hash);
  if (token === null) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return token.trim() === '' ? null : token.trim();
}
