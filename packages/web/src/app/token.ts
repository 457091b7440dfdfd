import { secretOfFragment } from '@fieldbook/core/access';

/**
 * A token or an invitation from the part of the address that never leaves the browser (`#token=fbt_…`, `#invite=fbi_…`), once:
 * the address is cleaned before anything else runs, so that it is not copied, shared or kept in the history.
 */
export function takeToken(): string | null {
  const token = secretOfFragment(location.hash);
  if (token === null) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return token.trim() === '' ? null : token.trim();
}
