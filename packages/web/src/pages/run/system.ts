/** Metrics of machines under `sys/`, put in order for people: by what is measured, and of whom. */

export type SystemGroup = 'CPU' | 'Memory' | 'GPU' | 'Disk' | 'Network' | 'Others';

export interface SystemMetric {
  path: string;
  group: SystemGroup;
  /** What it measures, in words, without its unit. */
  label: string;
  /** The process tree, the machine, the container, a GPU; with the machine's name where there are several. */
  of: string;
  unit: '' | '%' | 'B' | 'B/s' | 'W' | '°C';
}

const ORDER: readonly SystemGroup[] = ['GPU', 'CPU', 'Memory', 'Disk', 'Network', 'Others'];

const UNITS: readonly (readonly [ending: string, unit: SystemMetric['unit']])[] = [
  ['_bytes_per_s', 'B/s'],
  ['_bytes', 'B'],
  ['_percent', '%'],
  ['_watts', 'W'],
  ['_celsius', '°C'],
];

const LABELS: Readonly<Record<string, string>> = {
  cpu: 'CPU',
  rss: 'Memory',
  memory: 'Memory',
  memory_used: 'Memory used',
  swap_used: 'Swap used',
  load_1min: 'Load, 1 min',
  disk_read: 'Read from disk',
  disk_written: 'Written to disk',
  disk_free: 'Free on disk',
  net_received: 'Received',
  net_sent: 'Sent',
  read: 'Read',
  written: 'Written',
  throttled: 'Throttled',
  utilisation: 'Utilisation',
  power: 'Power',
  temperature: 'Temperature',
  threads: 'Threads',
  processes: 'Processes',
};

const PARTS: Readonly<Record<string, string>> = { process: 'Process', machine: 'Machine', cgroup: 'Container' };

/** What a path under `sys/` says: `sys/[<host>/]<process|machine|cgroup|gpu/<index>>/<name>`. */
export function systemMetric(path: string): SystemMetric {
  const parts = path.split('/').slice(1);
  const name = parts.at(-1) ?? path;
  const [ending, unit] = UNITS.find(([end]) => name.endsWith(end)) ?? (['', ''] as const);
  const bare = name.slice(0, name.length - ending.length);
  const head = parts.slice(0, -1);
  const gpu = head.at(-2) === 'gpu' ? head.at(-1)! : null;
  const part = gpu === null ? (head.at(-1) ?? '') : `gpu ${gpu}`;
  const host = head.slice(0, gpu === null ? -1 : -2).join('/');
  const who = gpu === null ? (PARTS[part] ?? part) : `GPU ${gpu}`;
  return {
    path,
    group: groupOf(bare, gpu !== null),
    label: LABELS[bare] ?? bare.replaceAll('_', ' '),
    of: host === '' ? who : `${who} on ${host}`,
    unit,
  };
}

function groupOf(name: string, gpu: boolean): SystemGroup {
  if (gpu) return 'GPU';
  if (/^(cpu|load|throttled|threads|processes)/.test(name)) return 'CPU';
  if (/^(rss|memory|swap)/.test(name)) return 'Memory';
  if (/^(disk|read|written)/.test(name)) return 'Disk';
  return name.startsWith('net') ? 'Network' : 'Others';
}

/** All of them by group, in the order in which one looks: the GPUs first, what is wrong is there most often. */
export function systemGroups(paths: Iterable<string>): { group: SystemGroup; metrics: SystemMetric[] }[] {
  const metrics = [...paths]
    .map(systemMetric)
    .sort((a, b) => a.of.localeCompare(b.of, 'en', { numeric: true }) || (a.label < b.label ? -1 : 1));
  return ORDER.map((group) => ({ group, metrics: metrics.filter((metric) => metric.group === group) })).filter(
    (each) => each.metrics.length > 0,
  );
}
