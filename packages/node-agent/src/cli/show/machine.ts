import { formatBytes, plural } from '../format.ts';
import { facts } from '../table.ts';
import type { Captured, Section } from './section.ts';
import { capturesJson, capturesOf, listOf, numberOf, objectOf, said, words } from './section.ts';

type Lines = (readonly [label: string, value: string | null])[];

/** A section of captures whose writers each say some facts; more than one host is told apart by name. */
function captured(
  name: string,
  title: string,
  sections: readonly string[],
  lines: (captured: Captured, section: string) => Lines,
): Section {
  return {
    name,
    title,
    print: ({ run }, cli) => {
      const hosts = new Map<string | null, Lines>();
      for (const section of sections) {
        for (const one of capturesOf(run, section)) {
          const said = hosts.get(one.host) ?? [];
          hosts.set(one.host, [...said, ...lines(one, section)]);
        }
      }
      return [...hosts]
        .map(([host, said]) => facts(cli.terminal, [['on', hosts.size > 1 ? host : null], ...said]))
        .join('\n');
    },
    json: ({ run }) => capturesJson(run, ...sections),
  };
}

function bytes(value: unknown): string | null {
  const number = numberOf(value);
  return number === null ? null : formatBytes(number);
}

export const environmentSection = captured(
  'environment',
  'Environment',
  ['python', 'packages', 'conda', 'container'],
  ({ data }, section) => {
    switch (section) {
      case 'python':
        return [
          ['python', words(said(data['version']), said(data['implementation']))],
          ['executable', said(data['executable'])],
          ['virtual environment', said(data['virtualenv'])],
        ];
      case 'packages': {
        const packages = objectOf(data['packages']);
        const count = Object.keys(packages).length;
        const direct = Object.keys(objectOf(data['direct']));
        const told = KNOWN_PACKAGES.flatMap((name) => (name in packages ? [`${name} ${said(packages[name])}`] : []));
        return [
          ['packages', count === 0 ? 'none' : `${count}: environment/requirements.txt has all`],
          ['', told.length === 0 ? null : told.join(', ')],
          ['not from an index', direct.length === 0 ? null : direct.join(', ')],
          ['note', said(data['notes'])],
        ];
      }
      case 'conda': {
        const count = numberOf(data['packages']) ?? Object.keys(objectOf(data['packages'])).length;
        return [
          ['conda', words(said(data['name']), said(data['prefix']), count > 0 ? plural(count, 'package') : null)],
        ];
      }
      default:
        return [
          ['container', words(said(data['kind']), said(data['image']), said(data['id'])?.slice(0, 12) ?? null)],
          ['pod', words(said(data['namespace']), said(data['pod']))],
        ];
    }
  },
);

/** What is asked about first; the file has the rest. */
const KNOWN_PACKAGES = ['torch', 'tensorflow', 'jax', 'numpy', 'scikit-learn', 'transformers', 'lightning', 'pandas'];

export const machineSection = captured('machine', 'Machine', ['machine'], ({ data }) => {
  const [cores, threads, usable] = ['cores', 'threads', 'usable'].map((key) => numberOf(data[key]));
  return [
    [
      'system',
      words(said(data['distribution']) ?? said(data['system']), said(data['kernel']), said(data['architecture'])),
    ],
    [
      'CPU',
      words(
        said(data['cpu']),
        cores == null ? null : plural(cores, 'core'),
        threads == null ? null : plural(threads, 'thread'),
        usable == null || usable === threads ? null : `${usable} usable`,
        said(data['cpu_limit']) === null ? null : `limit ${said(data['cpu_limit'])}`,
      ),
    ],
    [
      'memory',
      words(
        bytes(data['memory_bytes']),
        data['memory_limit_bytes'] == null ? null : `limit ${bytes(data['memory_limit_bytes'])}`,
        numberOf(data['swap_bytes']) === 0 ? null : `${bytes(data['swap_bytes']) ?? '?'} swap`,
      ),
    ],
    ...listOf(data['disks']).map((disk): readonly [string, string | null] => {
      const { folder, filesystem, total_bytes: total, free_bytes: free } = objectOf(disk);
      const room = bytes(free) === null ? null : `${bytes(free)} free of ${bytes(total) ?? '?'}`;
      return ['disk', words(said(folder), said(filesystem), room)];
    }),
  ];
});

export const gpuSection = captured('gpus', 'GPUs', ['gpus'], ({ data }) => [
  ['driver', said(data['driver'])],
  ['CUDA', said(data['cuda'])],
  ...listOf(data['devices']).map((device): readonly [string, string | null] => {
    const { index, name, memory_bytes: memory, uuid } = objectOf(device);
    return [`GPU ${said(index) ?? '?'}`, words(said(name), bytes(memory), said(uuid))];
  }),
]);

/** What a scheduler or launcher said, word for word: their names differ too much for anything else. */
export const launcherSection = captured('launcher', 'Launcher', ['launcher'], ({ data }) =>
  Object.entries(data).map(([name, value]) => [name, said(value)] as const),
);

export const variablesSection = captured('variables', 'Environment variables', ['variables'], ({ data }) =>
  Object.entries(data).map(([name, value]) => [name, said(value)] as const),
);
