import uFuzzy from '@leeoniya/ufuzzy';

const FUZZY = new uFuzzy({
  intraMode: 1,
  intraIns: 1,
  unicode: true,
  interSplit: "[^\\p{L}\\d']+",
  intraSplit: '\\p{Ll}\\p{Lu}',
  intraBound: '\\p{L}\\d|\\d\\p{L}|\\p{Ll}\\p{Lu}',
  intraChars: "[\\p{L}\\d']",
  intraContr: "'\\p{L}{1,2}\\b",
});
/** Beyond this many matches the order is that of the list: nobody reads so far. */
const RANKED_MAX = 1_000;

/**
 * The entries whose label has all words of `text`, in any order and with one letter wrong a word, best first; all of
 * them in their own order for an empty text. Entries chosen lately come before their equals.
 */
export function rank<T extends { label: string }>(
  entries: readonly T[],
  text: string,
  recent: readonly string[] = [],
): T[] {
  const wanted = text.trim();
  const lately = (entry: T): number => {
    const place = recent.indexOf(entry.label);
    return place === -1 ? recent.length : place;
  };
  if (wanted === '') return entries.toSorted((a, b) => lately(a) - lately(b));
  const labels = entries.map(({ label }) => label);
  const [found, , order] = FUZZY.search(labels, wanted, 5, RANKED_MAX);
  if (found === null) return [];
  const ranked = order === null ? found : order.map((place) => found[place]!);
  const starts = (entry: T): number => (entry.label.toLowerCase().startsWith(wanted.toLowerCase()) ? 0 : 1);
  return ranked
    .map((index) => entries[index]!)
    .map((entry, place) => ({ entry, place }))
    .toSorted((a, b) => starts(a.entry) - starts(b.entry) || lately(a.entry) - lately(b.entry) || a.place - b.place)
    .map(({ entry }) => entry);
}
