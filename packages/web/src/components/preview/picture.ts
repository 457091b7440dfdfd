import { imageType } from './kind.ts';
import type { PreviewItem } from '../../worker/files-api.ts';

/** Four bytes each when a browser decodes them; a small file can claim any number. A poster at 600 dpi has 60 million. */
const PIXELS_MAX = 100_000_000;
/** Elements that an SVG stands for once all of its references are drawn. */
const ELEMENTS_MAX = 1_000_000;

/** What an `<img>` shows, or why it is not handed to the browser. */
export type Picture = { url: string; release: () => void } | { refused: string };

/** Makes an image of verified bytes. `most`: pixels that there is memory for. */
export function pictureOf(
  item: Pick<PreviewItem, 'name' | 'mime'>,
  bytes: Uint8Array<ArrayBuffer>,
  most = PIXELS_MAX,
): Picture {
  const type = imageType(item, bytes);
  if (type === 'image/svg+xml') {
    const text = new TextDecoder().decode(bytes);
    const elements = svgElements(text);
    if (elements === null || elements > ELEMENTS_MAX)
      return {
        refused:
          elements === null
            ? 'It is no well-formed SVG.'
            : 'This SVG stands for more elements than a browser draws in time. Download it to see it elsewhere.',
      };
    // Not under an address of this app: who opens the picture in a tab of its own opens a document, whose scripts would have our rights.
    return { url: `data:image/svg+xml,${encodeURIComponent(text)}`, release: () => undefined };
  }
  const size = pictureSize(bytes);
  if (size !== null && size.width * size.height > most)
    return {
      refused: `It claims ${size.width.toLocaleString('en')} × ${size.height.toLocaleString('en')} pixels, more than there is memory for here. Download it to see it elsewhere.`,
    };
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  return { url, release: () => URL.revokeObjectURL(url) };
}

/** Width and height as the head of a PNG, JPEG, GIF, WebP, BMP or AVIF says; null where it does not. */
export function pictureSize(bytes: Uint8Array): { width: number; height: number } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const has = (text: string, at: number): boolean =>
    at + text.length <= bytes.length &&
    [...text].every((character, index) => bytes[at + index] === character.charCodeAt(0));
  const at = (width: number, height: number): { width: number; height: number } => ({ width, height });
  if (has('\x89PNG', 0) && bytes.length >= 24) return at(view.getUint32(16), view.getUint32(20));
  if (has('GIF8', 0) && bytes.length >= 10) return at(view.getUint16(6, true), view.getUint16(8, true));
  if (has('BM', 0) && bytes.length >= 26)
    return at(Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true)));
  if (has('WEBP', 8) && bytes.length >= 30) {
    if (has('VP8X', 12)) return at(1 + (view.getUint32(24, true) & 0xffffff), 1 + (view.getUint32(26, true) >>> 8));
    if (has('VP8L', 12)) {
      const packed = view.getUint32(21, true);
      return at(1 + (packed & 0x3fff), 1 + ((packed >>> 14) & 0x3fff));
    }
    return at(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
  }
  if (has('\xff\xd8', 0)) return jpegSize(view);
  if (has('ftyp', 4)) {
    let most: { width: number; height: number } | null = null;
    for (let place = 8; place + 16 <= Math.min(bytes.length, 64 * 1024); place++)
      if (has('ispe', place)) {
        const found = at(view.getUint32(place + 8), view.getUint32(place + 12));
        if (most === null || found.width * found.height > most.width * most.height) most = found;
      }
    return most;
  }
  return null;
}

function jpegSize(view: DataView): { width: number; height: number } | null {
  for (let place = 2; place + 9 <= view.byteLength;) {
    if (view.getUint8(place) !== 0xff) return null;
    const marker = view.getUint8(place + 1);
    if (marker === 0xff) {
      place += 1;
      continue;
    }
    // Frames of any kind; between them are tables (C4), extensions (C8) and conditioning (CC).
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc)
      return { height: view.getUint16(place + 5), width: view.getUint16(place + 7) };
    if (marker === 0xd9 || marker === 0xda) return null;
    const alone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    place += 2 + (alone ? 0 : Math.max(2, view.getUint16(place + 2)));
  }
  return null;
}

/**
 * How many elements an SVG draws: ten of ten references to each other are ten thousand million. Null for what is no SVG. The document is
 * parsed for counting only, and never becomes a part of the page.
 */
export function svgElements(text: string): number | null {
  // Entities multiply as references do, and no drawing program writes them.
  if (/<!ENTITY/i.test(text)) return Infinity;
  const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
  const root = parsed.documentElement;
  if (root.localName !== 'svg' || parsed.querySelector('parsererror') !== null) return null;
  const elements = [...root.querySelectorAll('*')];
  const byId = new Map(elements.flatMap((element) => (element.id === '' ? [] : [[element.id, element] as const])));
  const weights = new Map<Element, number>();
  const weigh = (element: Element, inside: number): number => {
    const known = weights.get(element);
    if (known !== undefined) return known;
    // A reference to what holds it draws nothing; nested further than any drawing is, it counts as too much.
    if (inside > 200) return Infinity;
    weights.set(element, 0);
    let sum = 1;
    for (const child of element.children) sum += weigh(child, inside + 1);
    for (const attribute of element.attributes) {
      const named = /^href$/i.test(attribute.localName)
        ? /^\s*#(.+?)\s*$/.exec(attribute.value)
        : /url\(\s*["']?#([^"')]+)/.exec(attribute.value);
      const target = named === null ? undefined : byId.get(named[1]!);
      if (target !== undefined) sum += weigh(target, inside + 1);
    }
    weights.set(element, sum);
    return sum;
  };
  return weigh(root, 0);
}
