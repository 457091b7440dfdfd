/** The search part of an address with some of its parameters changed; null and '' take one out. What tells paths and lists apart stays readable. */
export function withParameters(search: string, choices: Readonly<Record<string, string | null>>): string {
  const parameters = new URLSearchParams(search);
  for (const [name, value] of Object.entries(choices)) {
    if (value === null || value === '') parameters.delete(name);
    else parameters.set(name, value);
  }
  const text = parameters
    .toString()
    .replaceAll('%2F', '/')
    .replaceAll('%3A', ':')
    .replaceAll('%2C', ',')
    .replaceAll('%3B', ';');
  return text === '' ? '' : `?${text}`;
}
