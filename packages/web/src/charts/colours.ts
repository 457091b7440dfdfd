const PALETTE = 10;

/**
 * A colour of the palette for each run: its own, by its id alone. Where several on one chart have the same, the one with the least id keeps it and the
 * others get the next free ones; with more runs than colours they repeat. The order in which they are given, and so how a table is sorted, changes nothing.
 */
export function assignColours(ids: readonly string[]): Map<string, number> {
  const colours = new Map<string, number>();
  const taken = new Array<number>(PALETTE).fill(0);
  let waiting = [...new Set(ids)].sort();
  for (let round = 1; waiting.length > 0; round++) {
    const give = (id: string, colour: number): void => {
      colours.set(id, colour);
      taken[colour]! += 1;
    };
    // Nobody loses their own colour to somebody who comes by it by chance.
    waiting = waiting.filter((id) => {
      const colour = ownColour(id);
      if (taken[colour]! >= round) return true;
      give(id, colour);
      return false;
    });
    waiting = waiting.filter((id) => {
      let colour = ownColour(id);
      for (let tried = 0; tried < PALETTE && taken[colour]! >= round; tried++) colour = (colour + 1) % PALETTE;
      if (taken[colour]! >= round) return true;
      give(id, colour);
      return false;
    });
  }
  return colours;
}

/** FNV-1a over the id's characters. */
export function ownColour(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % PALETTE;
}
