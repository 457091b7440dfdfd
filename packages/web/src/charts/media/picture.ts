import { number } from '../../app/format.ts';
import { histogramOf } from '../../components/preview/histogram.ts';
import { imageType, viewerOf } from '../../components/preview/kind.ts';
import { bytesOf } from '../../components/preview/load.ts';
import { sizeWords } from '../../components/preview/words.ts';
import type { PreviewItem } from '../../worker/files-api.ts';
import { blobOf } from '../figure/picture.ts';
import { scaleStops } from '../ink.ts';
import type { Heat } from './heat.ts';
import { heatImage } from './heat.ts';

/** One run's cell of a media grid, as it is drawn into a picture. */
export interface PictureCell {
  items: readonly PreviewItem[];
  captions: readonly string[];
  /** Histograms over all steps stand for the items. */
  heat: Heat | null;
  /** What is written below: the step, or why there is nothing. */
  words: string;
}

export interface PictureRow {
  name: string;
  /** A colour. */
  ink: string;
  /** By series. */
  cells: readonly PictureCell[];
}

const NAME = 150;
const CELL = 220;
const HIGH = 140;
const BELOW = 38;
const HEAD = 30;
const GAP = 12;
/** Browsers draw no larger canvas. */
const SIDE = 16_000;

/** A media grid as a PNG: every row that is listed, in sight or not. Pictures that are not to be had say so in their place. */
export async function gridPicture(
  title: { series: readonly string[]; step: string },
  rows: readonly PictureRow[],
  style: CSSStyleDeclaration,
): Promise<Blob> {
  const token = (name: string): string => style.getPropertyValue(name).trim();
  const width = NAME + title.series.length * (CELL + GAP) + GAP;
  const height = HEAD + rows.length * (HIGH + BELOW) + GAP;
  const fine = Math.min(2, SIDE / height, SIDE / width);
  if (fine < 0.75) throw new Error('So many runs make no picture that a browser can draw. Show fewer of them.');
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(width * fine);
  canvas.height = Math.round(height * fine);
  const context = canvas.getContext('2d')!;
  context.scale(fine, fine);
  context.fillStyle = token('--paper');
  context.fillRect(0, 0, width, height);
  const write = (text: string, x: number, y: number, room: number, ink: string, size = 12): void => {
    context.font = `${size}px system-ui, sans-serif`;
    context.fillStyle = token(ink);
    let shown = text;
    while (shown.length > 1 && context.measureText(shown).width > room) shown = `${shown.slice(0, -2)}…`;
    context.fillText(shown, x, y);
  };
  write(title.step, GAP, 20, NAME - GAP, '--ink-2');
  for (const [column, name] of title.series.entries()) write(name, NAME + column * (CELL + GAP), 20, CELL, '--ink');
  for (const [at, row] of rows.entries()) {
    const top = HEAD + at * (HIGH + BELOW);
    context.fillStyle = token('--rule');
    context.fillRect(0, top - 6, width, 1);
    context.fillStyle = row.ink;
    context.fillRect(GAP, top + 4, 8, 8);
    write(row.name, GAP + 14, top + 12, NAME - GAP - 20, '--ink');
    for (const [column, cell] of row.cells.entries()) {
      const left = NAME + column * (CELL + GAP);
      if (cell.heat !== null) drawHeat(context, cell.heat, style, left, top);
      else {
        const across = cell.items.length > 4 ? 3 : cell.items.length > 1 ? 2 : 1;
        const size = { width: CELL / across, height: HIGH / across };
        for (const [place, item] of cell.items.entries()) {
          const x = left + (place % across) * size.width;
          const y = top + Math.floor(place / across) * size.height;
          await drawItem(context, item, x, y, size.width - 2, size.height - 2, token, write);
        }
      }
      write(cell.words, left, top + HIGH + 12, CELL, '--ink-3', 11);
      if (cell.captions.length > 0) write(cell.captions.join('; '), left, top + HIGH + 26, CELL, '--ink-3', 11);
    }
  }
  return blobOf(canvas);
}

function drawHeat(
  context: CanvasRenderingContext2D,
  heat: Heat,
  style: CSSStyleDeclaration,
  x: number,
  y: number,
): void {
  const image = heatImage(heat, scaleStops(style));
  const small = document.createElement('canvas');
  small.width = image.width;
  small.height = image.height;
  small.getContext('2d')!.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, x, y, CELL, HIGH);
  context.imageSmoothingEnabled = true;
}

async function drawItem(
  context: CanvasRenderingContext2D,
  item: PreviewItem,
  x: number,
  y: number,
  width: number,
  height: number,
  token: (name: string) => string,
  write: (text: string, x: number, y: number, room: number, ink: string, size?: number) => void,
): Promise<void> {
  context.fillStyle = token('--paper-2');
  context.fillRect(x, y, width, height);
  const viewer = viewerOf(item);
  const histogram = viewer === 'histogram' ? histogramOf(item.text ?? '') : null;
  if (histogram !== null) {
    context.fillStyle = token('--ink-3');
    for (const bar of histogram.bars)
      context.fillRect(x + bar.x * width, y + (1 - bar.height) * height, bar.width * width, bar.height * height);
    return;
  }
  if (viewer !== 'image') {
    const lines = (item.text ?? `${item.kind === 'file' ? item.name : item.kind}, ${sizeWords(item.size)}`).split('\n');
    for (const [at, line] of lines.slice(0, Math.floor(height / 16)).entries())
      write(line, x + 6, y + 16 + at * 16, width - 12, '--ink-2', 11);
    return;
  }
  try {
    const bytes = await bytesOf(item);
    const url = URL.createObjectURL(new Blob([bytes], { type: imageType(item, bytes) }));
    try {
      const image = new Image();
      image.src = url;
      await image.decode();
      const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
      const [wide, high] = [image.naturalWidth * scale, image.naturalHeight * scale];
      // As on the page: few pixels are shown as squares.
      context.imageSmoothingEnabled = image.naturalWidth > 128 || image.naturalHeight > 128;
      context.drawImage(image, x + (width - wide) / 2, y + (height - high) / 2, wide, high);
      context.imageSmoothingEnabled = true;
    } finally {
      URL.revokeObjectURL(url);
    }
  } catch {
    write('not to be had here', x + 6, y + 16, width - 12, '--ink-3', 11);
  }
}

/** What stands below a cell. */
export function cellWords(step: number | null, first: number | null, shown: number, more: number): string {
  if (step === null) return first === null ? 'nothing logged' : `nothing before step ${number(first)}`;
  return `step ${number(step)}${step === shown ? '' : ', the last before'}${more > 0 ? `; and ${more} more` : ''}`;
}
