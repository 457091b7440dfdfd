import type { RunId } from '@fieldbook/core';
import { actions } from '../../state/actions.svelte.ts';
import { client } from '../../state/client.svelte.ts';
import type { PanelRequest } from '../reading.svelte.ts';
import { csvOf, fileName, saveFile } from '../save.ts';
import type { Figure, FigureColours } from './figure.ts';
import { drawnRows, figureSvg, said } from './figure.ts';
import { savePicture } from './picture.ts';

/** Points asked for at a time, so that neither worker nor page stands still. */
const PAGE = 100_000;
/** A text of about 300 MB, beyond which browsers refuse strings. */
const ROWS_MOST = 5_000_000;

/** A figure's colours: as on screen, or on white whatever the screen is. */
export function coloursOf(style: CSSStyleDeclaration, white: boolean): FigureColours {
  const read = (name: string): string => style.getPropertyValue(name).trim();
  if (!white)
    return { paper: read('--paper'), ink: read('--ink'), fine: read('--ink-3'), rule: read('--rule'), of: read };
  return { paper: '#ffffff', ink: '#1c211b', fine: '#4c5449', rule: '#e2e4dc', of: read };
}

/** The tokens as the light theme has them. */
export function lightStyle(): CSSStyleDeclaration {
  const { dataset } = document.documentElement;
  const before = dataset['theme'];
  const style = getComputedStyle(document.documentElement);
  dataset['theme'] = 'light';
  const names = [
    '--paper',
    '--ink',
    '--ink-3',
    '--rule',
    ...Array.from({ length: 10 }, (_, index) => `--run-${index}`),
  ];
  const read = new Map(names.map((name) => [name, style.getPropertyValue(name)]));
  if (before === undefined) delete dataset['theme'];
  else dataset['theme'] = before;
  return { getPropertyValue: (name: string) => read.get(name) ?? '' } as CSSStyleDeclaration;
}

export function saveFigure(kind: 'png' | 'svg', figure: Figure): Promise<void> {
  return savePicture(kind, figure.title, figureSvg(figure));
}

export function saveDrawn(figure: Pick<Figure, 'title' | 'axis' | 'x' | 'lines'>): void {
  saveFile(fileName(figure.title, 'csv'), csvOf(drawnRows(figure)), 'text/csv');
}

/** Every recorded point of what is shown. */
export async function saveRaw(title: string, request: PanelRequest, nameOf: (id: string) => string): Promise<void> {
  const { runs, metrics, axis, from, to } = request;
  const parts: string[] = [
    csvOf([['run', 'id', 'metric', 'step', 'time', 'value', ...(axis.startsWith('metric:') ? [axis.slice(7)] : [])]]),
  ];
  const missing = new Set<string>();
  let rows = 0;
  try {
    for (const metric of metrics) {
      for (const run of runs) {
        for (let first = 0; ; first += PAGE) {
          const page = await client.worker.chartPoints({
            run: run as RunId,
            metric,
            axis,
            from,
            to,
            first,
            count: PAGE,
          });
          if (page.note !== null && page.total > 0) missing.add(`${nameOf(run)}: ${page.note}`);
          const { steps, times, values, x } = page;
          rows += steps.length;
          if (rows > ROWS_MOST)
            throw new Error(
              `These are more than ${ROWS_MOST.toLocaleString('en')} points: zoom in, or choose fewer runs.`,
            );
          parts.push(
            csvOf(
              Array.from(steps, (step, row) => [
                nameOf(run),
                run,
                metric,
                step,
                new Date(times[row]!).toISOString(),
                said(values[row]),
                ...(x === null ? [] : [x[row]!]),
              ]),
            ),
          );
          if (first + PAGE >= page.total) break;
        }
      }
    }
    saveFile(fileName(`${title}-points`, 'csv'), new Blob(parts, { type: 'text/csv;charset=utf-8' }));
    actions.say(
      missing.size === 0
        ? `Saved ${rows.toLocaleString('en')} points.`
        : `Saved ${rows.toLocaleString('en')} points. Not all there are: ${[...missing].join(' ')}`,
    );
  } catch (error) {
    actions.fail(error);
  }
}
