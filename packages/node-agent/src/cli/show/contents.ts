import { dataDigestOf } from '@fieldbook/core/data';
import type { Cli } from '../command.ts';
import { formatAgo, formatBytes, formatNumber, formatValue, plural } from '../format.ts';
import type { Float, MetricShape } from '../shapes.ts';
import { facts, table } from '../table.ts';
import { oneLine } from '../width.ts';
import type { Section, Shown } from './section.ts';
import { attributeText, capturesOf, objectOf, said } from './section.ts';

/** Lists longer than this are cut where everything is shown; the section by itself has all. */
const LINES = 40;
/** What Fieldbook itself records, besides what the script does. */
const OWN = 'sys/';
const CONSOLE = 'console/';
/** Told among parent and children. */
const PARENT = 'sys/parent';

/** The first lines of a list, and what shows the others. */
function some<T>(all: readonly T[], { whole }: Shown): readonly T[] {
  return whole ? all : all.slice(0, LINES);
}

function more(count: number, { whole, run }: Shown, section: string): string {
  return whole || count <= LINES ? '' : `… and ${count - LINES} more: fieldbook show ${run.id} --section ${section}\n`;
}

/** Attributes of a kind, with those that people took off. */
function paths(shown: Shown, wanted: (path: string, value: unknown) => boolean): string[] {
  const { attributes, edited } = shown.run;
  const removed = Object.keys(edited).filter((path) => !Object.hasOwn(attributes, path));
  return [...Object.keys(attributes), ...removed]
    .filter((path) => wanted(path, Object.hasOwn(attributes, path) ? attributes[path] : edited[path]!.scripted))
    .sort();
}

function attributesOf(
  name: string,
  title: string,
  wanted: (path: string, value: unknown) => boolean,
  label: (path: string) => string = (path) => path,
): Section {
  return {
    name,
    title,
    print: (shown, cli) => {
      const found = paths(shown, wanted);
      const lines = some(found, shown).map((path) => [label(path), attributeText(shown, cli, path)] as const);
      return facts(cli.terminal, lines) + more(found.length, shown, name);
    },
    json: (shown) =>
      Object.fromEntries(
        paths(shown, wanted).map((path) => [
          path,
          { value: shown.run.attributes[path], edited: shown.run.edited[path] ?? null },
        ]),
      ),
  };
}

const isParameter = (path: string): boolean => path.startsWith('params/');
const isConfig = (path: string): boolean => path.startsWith('config/');
const isData = (_: string, value: unknown): boolean => dataDigestOf(value) !== undefined;

export const paramsSection = attributesOf('params', 'Parameters', isParameter, (path) => path.slice('params/'.length));
const configAttributes = attributesOf('config', 'Configuration files', isConfig, (path) =>
  path.slice('config/'.length),
);
export const configSection: Section = {
  ...configAttributes,
  print: (shown, cli) => {
    const notes = capturesOf(shown.run, 'config').flatMap(({ data }) => Object.entries(objectOf(data['notes'])));
    return (
      configAttributes.print(shown, cli) +
      facts(
        cli.terminal,
        notes.map(([file, note]) => [`(${file})`, said(note)] as const),
      )
    );
  },
};
export const attributesSection = attributesOf(
  'attributes',
  'Attributes',
  (path, value) => !isParameter(path) && !isConfig(path) && !isData(path, value) && path !== PARENT,
);
export const dataSection: Section = {
  ...attributesOf('data', 'Data versions', isData),
  print: (shown, cli) => {
    const found = paths(shown, isData);
    return facts(
      cli.terminal,
      found.map((path) => {
        const list = shown.files.find(
          (file) => file.kind === 'data' && file.current && file.path.startsWith(`${path}/`),
        );
        const count = list?.meta?.['files'];
        const bytes = list?.meta?.['bytes'];
        const size =
          typeof count === 'number'
            ? `  ${plural(count, 'file')}${typeof bytes === 'number' ? `, ${formatBytes(bytes)}` : ''}`
            : '';
        return [path, `${attributeText(shown, cli, path)}${size}`] as const;
      }),
    );
  },
  needs: ['files'],
};

function metricsOf(shown: Shown, own: boolean): [string, MetricShape][] {
  return Object.entries(shown.run.metrics).filter(([path]) => path.startsWith(OWN) === own);
}

export const metricsSection: Section = {
  name: 'metrics',
  title: 'Metrics',
  print: (shown, { terminal }) => {
    const all = metricsOf(shown, false);
    if (all.length === 0) return '';
    const columns = [
      { title: 'METRIC', text: ([path]: [string, MetricShape]) => path, shrink: true },
      { title: 'LAST', text: ([, metric]: [string, MetricShape]) => formatValue(metric.last), right: true },
      { title: 'MIN', text: ([, metric]: [string, MetricShape]) => formatValue(metric.min), right: true },
      { title: 'MAX', text: ([, metric]: [string, MetricShape]) => formatValue(metric.max), right: true },
      { title: 'STEP', text: ([, metric]: [string, MetricShape]) => formatValue(metric.lastStep), right: true },
      { title: 'POINTS', text: ([, metric]: [string, MetricShape]) => formatValue(metric.count), right: true },
    ];
    return table(terminal, columns, some(all, shown)) + more(all.length, shown, 'metrics');
  },
  json: (shown) => Object.fromEntries(metricsOf(shown, false)),
};

/** What the machine did meanwhile, apart from what the script measured. */
export const systemSection: Section = {
  name: 'system',
  title: 'System metrics',
  print: (shown, { terminal }) => {
    const all = metricsOf(shown, true);
    if (all.length === 0) return '';
    const samples = all.reduce((most, [, { count }]) => Math.max(most, count), 0);
    const columns = [
      { title: 'METRIC', text: ([path]: [string, MetricShape]) => withoutUnit(path), shrink: true },
      { title: 'LAST', text: ([path, { last }]: [string, MetricShape]) => withUnit(path, last), right: true },
      { title: 'MIN', text: ([path, { min }]: [string, MetricShape]) => withUnit(path, min), right: true },
      { title: 'MAX', text: ([path, { max }]: [string, MetricShape]) => withUnit(path, max), right: true },
    ];
    return `${plural(samples, 'sample')}\n${table(terminal, columns, some(all, shown))}${more(all.length, shown, 'system')}`;
  },
  json: (shown) => Object.fromEntries(metricsOf(shown, true)),
};

const UNITS: readonly (readonly [ending: string, show: (value: number) => string])[] = [
  ['_bytes_per_s', (value) => `${formatBytes(value)}/s`],
  ['_bytes', formatBytes],
  ['_percent', (value) => `${formatNumber(value)} %`],
  ['_watts', (value) => `${formatNumber(value)} W`],
  ['_celsius', (value) => `${formatNumber(value)} °C`],
];

function withoutUnit(path: string): string {
  const ending = UNITS.find(([name]) => path.endsWith(name))?.[0] ?? '';
  return path.slice(OWN.length, path.length - ending.length);
}

function withUnit(path: string, value: Float): string {
  const unit = UNITS.find(([ending]) => path.endsWith(ending));
  return unit === undefined || typeof value !== 'number' ? formatValue(value) : unit[1](value);
}

const WHERE = {
  here: 'here',
  elsewhere: 'elsewhere',
  pending: 'waits in the spool',
  named: 'only named',
  removed: 'removed',
} as const;

export const filesSection: Section = {
  name: 'files',
  title: 'Files',
  needs: ['files'],
  print: (shown, { terminal, now }) => {
    const current = shown.files.filter((file) => file.current);
    if (current.length === 0) return '';
    const columns = [
      { title: 'PATH', text: ({ path }: Shown['files'][number]) => path, shrink: true },
      { title: 'KIND', text: ({ kind }: Shown['files'][number]) => kind },
      {
        title: 'SIZE',
        text: ({ size }: Shown['files'][number]) => (size === null ? '–' : formatBytes(size)),
        right: true,
      },
      { title: 'WHEN', text: ({ at }: Shown['files'][number]) => formatAgo(at, now()) },
      {
        title: 'WHERE',
        text: ({ state, source, failure }: Shown['files'][number]) => failure ?? source ?? WHERE[state] ?? state,
      },
    ];
    return table(terminal, columns, some(current, shown)) + more(current.length, shown, 'files');
  },
  json: (shown) => shown.files,
};

export const objectsSection: Section = {
  name: 'objects',
  title: 'Objects',
  needs: ['objects'],
  print: (shown, { terminal }) => {
    const all = shown.objects.filter(({ path }) => !path.startsWith(CONSOLE));
    if (all.length === 0) return '';
    const columns = [
      { title: 'PATH', text: ({ path }: Shown['objects'][number]) => path, shrink: true },
      {
        title: 'KIND',
        text: ({ kinds }: Shown['objects'][number]) =>
          Object.entries(kinds)
            .map(([kind, count]) => (Object.keys(kinds).length === 1 ? kind : `${count} ${kind}`))
            .join(', '),
      },
      { title: 'COUNT', text: ({ rows }: Shown['objects'][number]) => String(rows), right: true },
      {
        title: 'STEPS',
        text: ({ firstStep, lastStep }: Shown['objects'][number]) =>
          firstStep === lastStep ? formatValue(firstStep) : `${formatValue(firstStep)} to ${formatValue(lastStep)}`,
      },
    ];
    return table(terminal, columns, some(all, shown)) + more(all.length, shown, 'objects');
  },
  json: (shown) => shown.objects.filter(({ path }) => !path.startsWith(CONSOLE)),
};

/** Lines that are there to be read; `--console` prints them. */
export function consoleText({ objects, run }: Shown, { terminal }: Cli): string {
  const streams = objects.filter(({ path }) => path.startsWith(CONSOLE));
  if (streams.length === 0) return '';
  return (
    facts(
      terminal,
      streams.map(({ path, rows }) => [oneLine(path.slice(CONSOLE.length)), plural(rows, 'line')] as const),
    ) + `fieldbook show ${run.id} --console prints them\n`
  );
}
