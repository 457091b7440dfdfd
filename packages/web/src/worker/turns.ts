/** How long the worker goes on before it looks at its mailbox again. */
const SLICE_MS = 12;

/** Lets messages in. A macrotask, because promises alone would starve them; not a timer, which waits 4 ms for nothing. */
export function pause(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Long work in slices: `await turns.next()` after each piece of it lets messages in when a slice is over. */
export class Turns {
  #end = performance.now() + SLICE_MS;

  get over(): boolean {
    return performance.now() > this.#end;
  }

  async next(): Promise<void> {
    if (!this.over) return;
    await pause();
    this.#end = performance.now() + SLICE_MS;
  }
}
