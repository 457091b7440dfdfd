const PALETTE = 10;

/**
 * A colour of the palette for each run: its own, by its id, whoever else is shown; a run whose colour is taken gets
 * the next free one. With more runs than colours they repeat.
 */
export function assignColours(ids: readonly string[]): Map<string, number> {
  const colours = new Map<string, number>();
  const taken = new Array<number>(PALETTE).fill(0);
  for (const id of ids) {
    if (colours.has(id)) continue;
    const least = Math.min(...taken);
    let colour = ownColour(id);
    while (taken[colour]! > least) colour = (colour + 1) % PALETTE;
    taken[colour]! += 1;
    colours.set(id, colour);
  }
  return colours;
}

/** FNV-1a over the id's characters. */
export function ownColour(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % PALETTE;
}
