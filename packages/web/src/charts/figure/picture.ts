import { actions } from '../../state/actions.svelte.ts';
import { fileName, saveFile } from '../save.ts';

/** Every chart's way into a file: a standalone SVG, drawn or taken from the page, saved as it is or as a picture of it. */

const INLINED = [
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'stroke-opacity',
  'opacity',
  'font-family',
  'font-size',
  'font-weight',
  'text-anchor',
  'dominant-baseline',
] as const;

/**
 * A standalone SVG of one on the page: styles are written into it, hidden parts left out. `marks` is what a canvas shows, as SVG, put before
 * the element with `data-marks`.
 */
export function svgText(svg: SVGSVGElement, marks: string): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const from = [svg, ...svg.querySelectorAll<SVGElement>('*')];
  const to = [copy, ...copy.querySelectorAll<SVGElement>('*')];
  for (const [index, element] of from.entries()) {
    const style = getComputedStyle(element);
    const target = to[index]!;
    for (const name of INLINED) {
      const value = style.getPropertyValue(name);
      if (value !== '') target.setAttribute(name, value);
    }
    target.removeAttribute('class');
    target.removeAttribute('style');
  }
  for (const hidden of copy.querySelectorAll('[data-screen]')) hidden.remove();
  const { width, height } = svg.getBoundingClientRect();
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  copy.setAttribute('width', String(width));
  copy.setAttribute('height', String(height));
  if (!copy.hasAttribute('viewBox')) copy.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const paper = getComputedStyle(document.documentElement).getPropertyValue('--paper').trim();
  const text = new XMLSerializer().serializeToString(copy);
  const background = `<rect width="100%" height="100%" fill="${paper}"/>`;
  const open = text.indexOf('>') + 1;
  const whole = text.slice(0, open) + background + text.slice(open);
  const place = whole.indexOf('<g data-marks=""');
  return place === -1 ? whole : whole.slice(0, place) + marks + whole.slice(place);
}

/** Saves a standalone SVG that says its width and height, or a picture of it; what fails is told. */
export async function savePicture(kind: 'png' | 'svg', title: string, svg: string): Promise<void> {
  try {
    if (kind === 'svg') saveFile(fileName(title, 'svg'), svg, 'image/svg+xml');
    else saveFile(fileName(title, 'png'), await pngOf(svg));
  } catch (error) {
    actions.fail(error);
  }
}

/** Twice as fine as the screen shows it. */
async function pngOf(svg: string, fineness = 2): Promise<Blob> {
  const [width, height] = ['width', 'height'].map((name) =>
    Number(new RegExp(`<svg[^>]*? ${name}="([\\d.]+)"`).exec(svg)?.[1]),
  ) as [number, number];
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    await new Promise<void>((resolve, reject) => {
      image.onload = () => resolve();
      image.onerror = () => reject(new Error('The picture could not be made of this chart.'));
      image.src = url;
    });
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(width * fineness);
    canvas.height = Math.round(height * fineness);
    canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await blobOf(canvas);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** What a canvas shows, as a PNG. */
export async function blobOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise<Blob>((resolve, reject) =>
    canvas.toBlob(
      (blob) =>
        blob === null
          ? reject(new Error('The picture is too large for this browser. Show fewer runs.'))
          : resolve(blob),
      'image/png',
    ),
  );
}
