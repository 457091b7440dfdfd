/** The run (or group of runs) that the pointer is on, in a chart or in the table: all show it. */
class Highlight {
  run = $state<string | null>(null);
}

export const highlight = new Highlight();
