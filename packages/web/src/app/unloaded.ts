/** Whether an error says that code or a style of the page did not come, as Chromium, Firefox, Safari and the bundler put it. */
export function isUnloaded(error: unknown): boolean {
  const words = error instanceof Error ? error.message : '';
  return /dynamically imported module|Importing a module script failed|Unable to preload CSS/i.test(words);
}
