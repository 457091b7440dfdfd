import { LIMITS } from '../limits.ts';
import type { CharSet, PatternNode } from './pattern-syntax.ts';
import { parsePattern, PatternFault } from './pattern-syntax.ts';

/**
 * Regular expressions typed by people, run on every name of a project: time is linear in the text whatever the
 * pattern is. A pattern compiles to a small program (Thompson's construction); texts are run through an automaton
 * whose states are sets of places in it, made when first needed. Nothing ever backtracks.
 */

type Instruction =
  | { op: 'set'; set: CharSet }
  | { op: 'assert'; what: 'start' | 'end' | 'boundary' | 'inside' }
  | { op: 'split'; to: number[] }
  | { op: 'found' };

/** What is beside a place in the text; what `^`, `$` and `\b` ask. */
const EDGE = 0;
const WORD = 1;
const OTHER = 2;
type Beside = typeof EDGE | typeof WORD | typeof OTHER;

interface State {
  /** Places in the program, before assertions were asked. */
  places: readonly number[];
  before: Beside;
  /** By character below 128; the last is the end of the text. */
  next: (State | null | undefined)[];
}

const ASCII = 128;
/** States kept; a pattern that makes more starts over and pays per character instead. 2,000 take about 3 MB. */
const STATES_KEPT = 2_000;

export class Pattern {
  readonly #program: readonly Instruction[];
  readonly #ignoreCase: boolean;
  #states = new Map<string, State>();
  #start: State;

  /** Throws `PatternFault` with the place of the fault. */
  constructor(source: string, ignoreCase: boolean) {
    this.#program = compile(parsePattern(source));
    this.#ignoreCase = ignoreCase;
    this.#start = this.#state([], EDGE);
  }

  /** Whether it is found anywhere in the text. */
  test(text: string): boolean {
    let state: State = this.#start;
    for (let index = 0; index < text.length; index++) {
      let code = text.charCodeAt(index);
      if (code >= 0xd800 && code <= 0xdbff) {
        code = text.codePointAt(index)!;
        if (code > 0xffff) index += 1;
      }
      let next = code < ASCII ? state.next[code] : undefined;
      if (next === undefined) {
        next = this.#step(state, code);
        if (code < ASCII) state.next[code] = next;
      }
      if (next === null) return true;
      state = next;
    }
    let last = state.next[ASCII];
    if (last === undefined) {
      last = this.#close(state, EDGE) === null ? null : state;
      state.next[ASCII] = last;
    }
    return last === null;
  }

  /** The state after one more character; null once the pattern is found. */
  #step(state: State, code: number): State | null {
    const beside = isWord(code) ? WORD : OTHER;
    const reached = this.#close(state, beside);
    if (reached === null) return null;
    const places: number[] = [];
    for (const place of reached) {
      const instruction = this.#program[place]!;
      if (instruction.op === 'set' && this.#holds(instruction.set, code)) places.push(place + 1);
    }
    return this.#state(places, beside);
  }

  /** Places that stand before a character, reached from the state's and from the program's start; null if it is found. */
  #close(state: State, after: Beside): number[] | null {
    const seen = new Uint8Array(this.#program.length);
    const reached: number[] = [];
    const waiting = [...state.places, 0];
    while (waiting.length > 0) {
      const place = waiting.pop()!;
      if (seen[place] === 1) continue;
      seen[place] = 1;
      const instruction = this.#program[place]!;
      switch (instruction.op) {
        case 'found':
          return null;
        case 'set':
          reached.push(place);
          break;
        case 'split':
          waiting.push(...instruction.to);
          break;
        case 'assert':
          if (asserted(instruction.what, state.before, after)) waiting.push(place + 1);
          break;
      }
    }
    return reached;
  }

  #state(places: number[], before: Beside): State {
    places.sort((a, b) => a - b);
    const key = `${before}:${places.join(',')}`;
    let state = this.#states.get(key);
    if (state !== undefined) return state;
    if (this.#states.size >= STATES_KEPT) {
      this.#states.clear();
      // The start would keep all that was forgotten alive through its `next`.
      this.#start = { places: [], before: EDGE, next: [] };
    }
    state = { places, before, next: [] };
    this.#states.set(key, state);
    return state;
  }

  #holds(set: CharSet, code: number): boolean {
    if (!this.#ignoreCase) return inSet(set, code);
    const char = String.fromCodePoint(code);
    const lower = oneOf(char.toLowerCase(), code);
    const upper = oneOf(char.toUpperCase(), code);
    // `[^a]` leaves out both cases.
    const ranged = inRanges(set, code) || inRanges(set, lower) || inRanges(set, upper);
    return ranged !== set.negated;
  }
}

/** The other case of a character, unless that is several: `ß` is no `S`. */
function oneOf(text: string, code: number): number {
  const other = text.codePointAt(0)!;
  return text.length === (other > 0xffff ? 2 : 1) ? other : code;
}

function inSet(set: CharSet, code: number): boolean {
  return inRanges(set, code) !== set.negated;
}

function inRanges({ ranges }: CharSet, code: number): boolean {
  for (const [low, high] of ranges) if (code >= low && code <= high) return true;
  return false;
}

function isWord(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || code === 95 || (code >= 97 && code <= 122);
}

function asserted(what: 'start' | 'end' | 'boundary' | 'inside', before: Beside, after: Beside): boolean {
  if (what === 'start') return before === EDGE;
  if (what === 'end') return after === EDGE;
  return ((before === WORD) !== (after === WORD)) === (what === 'boundary');
}

function compile(root: PatternNode): Instruction[] {
  const program: Instruction[] = [];
  const add = (instruction: Instruction): number => {
    if (program.length >= LIMITS.patternSize) throw new PatternFault(0, 'The pattern repeats too much');
    return program.push(instruction) - 1;
  };
  let work = 0;
  const emit = (node: PatternNode): void => {
    // What makes no instruction costs nothing to match but may still be asked for a billion times: `((){999}){999}`.
    if (++work > 8 * LIMITS.patternSize) throw new PatternFault(0, 'The pattern repeats too much');
    switch (node.kind) {
      case 'set':
        add({ op: 'set', set: node.set });
        return;
      case 'assert':
        add({ op: 'assert', what: node.what });
        return;
      case 'sequence':
        node.parts.forEach(emit);
        return;
      case 'choice': {
        const to: number[] = [];
        add({ op: 'split', to });
        const exits: number[][] = [];
        for (const part of node.parts) {
          to.push(program.length);
          emit(part);
          const exit: number[] = [];
          add({ op: 'split', to: exit });
          exits.push(exit);
        }
        for (const exit of exits) exit.push(program.length);
        return;
      }
      case 'repeat': {
        for (let count = 0; count < node.min; count++) emit(node.part);
        if (node.max === Infinity) {
          const loop: number[] = [];
          const at = add({ op: 'split', to: loop });
          loop.push(program.length);
          emit(node.part);
          add({ op: 'split', to: [at] });
          loop.push(program.length);
          return;
        }
        const skips: number[][] = [];
        for (let count = node.min; count < node.max; count++) {
          const skip: number[] = [];
          add({ op: 'split', to: skip });
          skip.push(program.length);
          skips.push(skip);
          emit(node.part);
        }
        for (const skip of skips) skip.push(program.length);
        return;
      }
    }
  };
  emit(root);
  program.push({ op: 'found' });
  return program;
}
