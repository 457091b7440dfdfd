/** As in core's `globals.d.ts`, which the page cannot include: it declares globals that browsers have. */
declare module 'hyparquet-compressors/src/gzip.js' {
  export function gunzip(input: Uint8Array, output?: Uint8Array): Uint8Array;
}
