/** Label names and values of one sample. */
export type Labels = Readonly<Record<string, string>>;

/** Different label values that one metric keeps; what comes after them is counted as `other`. Bounds what strangers can make us hold. */
const SERIES_MAX = 200;

/** A number that only grows. */
export interface Counter {
  add(amount?: number, labels?: Labels): void;
}

/** How often something took how long. */
export interface Histogram {
  observe(seconds: number): void;
}

type Sample = readonly [labels: Labels, value: number];

interface Family {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  lines(): string[] | Promise<string[]>;
}

/**
 * Metrics in the text format of Prometheus (version 0.0.4). Nothing is computed before somebody asks: counters are
 * numbers, gauges are read when they are scraped.
 */
export class Registry {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string): Counter {
    const series = new Map<string, { labels: Labels; value: number }>();
    this.#add({
      name,
      help,
      type: 'counter',
      lines: () =>
        series.size === 0 ? [`${name} 0`] : [...series.values()].map(({ labels, value }) => line(name, labels, value)),
    });
    return {
      add: (amount = 1, labels = {}) => {
        let key = JSON.stringify(labels);
        let kept = labels;
        if (!series.has(key) && series.size >= SERIES_MAX) {
          kept = Object.fromEntries(Object.keys(labels).map((label) => [label, 'other']));
          key = JSON.stringify(kept);
        }
        const before = series.get(key);
        if (before === undefined) series.set(key, { labels: kept, value: amount });
        else before.value += amount;
      },
    };
  }

  /** `read` gives the value, or samples with labels; undefined values are left out: not known is not 0. */
  gauge(
    name: string,
    help: string,
    read: () => number | undefined | readonly Sample[] | Promise<number | undefined | readonly Sample[]>,
    type: 'gauge' | 'counter' = 'gauge',
  ): void {
    this.#add({
      name,
      help,
      type,
      lines: async () => {
        const value = await read();
        if (value === undefined) return [];
        if (typeof value === 'number') return [line(name, {}, value)];
        return value.map(([labels, each]) => line(name, labels, each));
      },
    });
  }

  /** `bounds` in seconds, ascending. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const counts = bounds.map(() => 0);
    let count = 0;
    let sum = 0;
    this.#add({
      name,
      help,
      type: 'histogram',
      lines: () => [
        ...bounds.map((bound, index) => line(`${name}_bucket`, { le: String(bound) }, counts[index]!)),
        line(`${name}_bucket`, { le: '+Inf' }, count),
        line(`${name}_sum`, {}, sum),
        line(`${name}_count`, {}, count),
      ],
    });
    return {
      observe: (seconds) => {
        count += 1;
        sum += seconds;
        for (let index = bounds.length - 1; index >= 0 && seconds <= bounds[index]!; index--) counts[index]! += 1;
      },
    };
  }

  /** Every metric there is, by name. */
  names(): string[] {
    return [...this.#families.keys()].sort();
  }

  /** The whole text. A gauge that cannot be read is left out and takes no other with it. */
  async text(): Promise<string> {
    const parts: string[] = [];
    for (const family of this.#families.values()) {
      const lines = await Promise.resolve()
        .then(() => family.lines())
        .catch(() => []);
      parts.push(`# HELP ${family.name} ${family.help}`, `# TYPE ${family.name} ${family.type}`, ...lines);
    }
    return `${parts.join('\n')}\n`;
  }

  #add(family: Family): void {
    if (this.#families.has(family.name)) throw new Error(`There are two metrics named ${family.name}.`);
    this.#families.set(family.name, family);
  }
}

function line(name: string, labels: Labels, value: number): string {
  const inner = Object.entries(labels)
    .map(([label, text]) => `${label}="${text.replaceAll(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`)
    .join(',');
  return `${name}${inner === '' ? '' : `{${inner}}`} ${Number.isFinite(value) ? value : 'NaN'}`;
}
