/**
 * How far a feed is taken in without a gap. Seqs are begun in rising order and finished in any; `value` is the highest
 * seq such that everything at or below it that was begun is finished.
 */
export class Frontier {
  #value: number;
  #seen: number;
  #open: Ticket[] = [];
  #head = 0;

  constructor(from: number) {
    this.#value = from;
    this.#seen = from;
  }

  /** Everything at or below this is durable here. */
  get value(): number {
    return this.#value;
  }

  /** The feed holds something at `seq` that has to be taken in. Seqs that were passed already count as begun again. */
  begin(seq: number): Ticket {
    const ticket = { seq: Math.max(seq, this.#seen), done: false };
    this.#seen = ticket.seq;
    this.#open.push(ticket);
    this.#advance();
    return ticket;
  }

  /** The feed holds nothing at or below `seq` but what was begun. */
  reach(seq: number): void {
    this.#seen = Math.max(this.#seen, seq);
    this.#advance();
  }

  finish(ticket: Ticket): void {
    ticket.done = true;
    this.#advance();
  }

  #advance(): void {
    while (this.#head < this.#open.length && this.#open[this.#head]!.done) this.#head += 1;
    if (this.#head > 1_024 && this.#head * 2 > this.#open.length) {
      this.#open = this.#open.slice(this.#head);
      this.#head = 0;
    }
    const first = this.#open[this.#head];
    this.#value = Math.max(this.#value, first === undefined ? this.#seen : first.seq - 1);
  }
}

export interface Ticket {
  seq: number;
  done: boolean;
}
