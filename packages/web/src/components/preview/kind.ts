import type { PreviewItem } from '../../worker/files-api.ts';

/** How a file or object is shown. */
export type Viewer =
  | 'image'
  | 'table'
  | 'json'
  | 'text'
  | 'markdown'
  | 'html'
  | 'pdf'
  | 'audio'
  | 'video'
  | 'histogram'
  | 'array'
  | 'archive'
  | 'model'
  | 'bytes';

const MB = 1024 * 1024;

/** Beyond it a viewer would freeze the page or fill its memory: then the beginning is shown as text or bytes, or it is downloaded. */
export const VIEWER_BYTES: Readonly<Record<Viewer, number>> = {
  image: 64 * MB,
  json: 4 * MB,
  markdown: 1 * MB,
  html: 32 * MB,
  pdf: 128 * MB,
  audio: 256 * MB,
  video: 256 * MB,
  histogram: 1 * MB,
  // These read what they show.
  text: Infinity,
  table: Infinity,
  array: Infinity,
  archive: Infinity,
  model: Infinity,
  bytes: Infinity,
};

const BY_EXTENSION: Readonly<Record<string, Viewer>> = {
  ...of('image', 'png jpg jpeg jfif webp gif avif bmp ico svg apng'),
  ...of('table', 'csv tsv tab parquet pq'),
  ...of('json', 'json ipynb geojson webmanifest'),
  ...of('markdown', 'md markdown'),
  ...of('html', 'html htm xhtml'),
  ...of('pdf', 'pdf'),
  ...of('audio', 'wav mp3 ogg oga opus flac m4a aac'),
  ...of('video', 'mp4 m4v webm mov ogv'),
  ...of('array', 'npy'),
  ...of('archive', 'npz zip'),
  ...of('model', 'pt pth ckpt pkl pickle joblib onnx safetensors h5 hdf5 keras pb tflite gguf bin msgpack'),
  ...of(
    'text',
    'txt log out err py pyi pyx c h cc cpp hpp cu cuh rs go js mjs cjs ts tsx jsx css sh bash zsh fish toml yaml yml ini cfg conf env sql r jl java kt scala rb pl lua tex bib xml jsonl ndjson diff patch rst dockerfile makefile cmake gradle properties lock gitignore editorconfig',
  ),
};

const BY_MIME: readonly (readonly [RegExp, Viewer])[] = [
  [/^image\/(png|jpeg|webp|gif|avif|bmp|svg\+xml|x-icon|vnd\.microsoft\.icon|apng)\b/, 'image'],
  [/^text\/(csv|tab-separated-values)\b/, 'table'],
  [/^application\/(vnd\.apache\.parquet|x-parquet)\b/, 'table'],
  [/^(application|text)\/([\w.-]+\+)?json\b/, 'json'],
  [/^text\/markdown\b/, 'markdown'],
  [/^(text\/html|application\/xhtml\+xml)\b/, 'html'],
  [/^application\/pdf\b/, 'pdf'],
  [/^audio\//, 'audio'],
  [/^video\//, 'video'],
  [/^text\//, 'text'],
];

/** How to show it, by its name, type and kind; null when only its first bytes can tell. */
export function viewerOf(
  item: Pick<PreviewItem, 'name' | 'mime' | 'kind' | 'text' | 'content' | 'meta'>,
): Viewer | null {
  const { name, mime, kind, text, content } = item;
  if (kind === 'histogram') return 'histogram';
  if (kind === 'table') return 'table';
  if (kind === 'text') return 'text';
  if (content === null && text !== null) return looksLikeJson(text) ? 'json' : 'text';
  if (kind === 'model' || typeof item.meta?.['framework'] === 'string') return 'model';
  const dot = name.lastIndexOf('.');
  const extension = (dot === -1 ? name : name.slice(dot + 1)).toLowerCase();
  const byName = BY_EXTENSION[extension];
  // A page says so by its type, whatever it is called; of code the name knows more than `text/plain`.
  const byMime = BY_MIME.find(([pattern]) => pattern.test(mime ?? ''))?.[1];
  if (byMime !== undefined && byMime !== 'text' && byName !== 'table') return byMime;
  return byName ?? byMime ?? null;
}

const MAGIC: readonly (readonly [at: number, bytes: string, viewer: Viewer])[] = [
  [0, '\x89PNG\r\n\x1a\n', 'image'],
  [0, '\xff\xd8\xff', 'image'],
  [0, 'GIF8', 'image'],
  [8, 'WEBP', 'image'],
  [8, 'WAVE', 'audio'],
  [0, 'OggS', 'audio'],
  [0, 'fLaC', 'audio'],
  [0, 'ID3', 'audio'],
  [4, 'ftyp', 'video'],
  [0, '\x1aE\xdf\xa3', 'video'],
  [0, '%PDF-', 'pdf'],
  [0, 'PAR1', 'table'],
  [0, '\x93NUMPY', 'array'],
  [0, 'PK\x03\x04', 'archive'],
];

/** How to show what has neither a telling name nor a type, by its first few kilobytes. */
export function viewerOfBytes(head: Uint8Array): Viewer {
  for (const [at, bytes, viewer] of MAGIC)
    if ([...bytes].every((character, index) => head[at + index] === character.charCodeAt(0))) return viewer;
  return isText(head) ? 'text' : 'bytes';
}

/** UTF-8 without control characters; the last character may be cut. */
export function isText(head: Uint8Array): boolean {
  if (head.some((byte) => byte < 32 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13 && byte !== 27))
    return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

const IMAGE_TYPES: Readonly<Record<string, string>> = {
  png: 'image/png',
  apng: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  jfif: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  avif: 'image/avif',
  bmp: 'image/bmp',
  ico: 'image/x-icon',
  svg: 'image/svg+xml',
};

/** The type that an image's bytes are handed to the browser under: one of an image's, never what somebody claimed. */
export function imageType(item: Pick<PreviewItem, 'name' | 'mime'>, head: Uint8Array): string {
  const starts = (text: string, at = 0): boolean => [...text].every((c, index) => head[at + index] === c.charCodeAt(0));
  if (starts('\x89PNG')) return 'image/png';
  if (starts('\xff\xd8\xff')) return 'image/jpeg';
  if (starts('GIF8')) return 'image/gif';
  if (starts('WEBP', 8)) return 'image/webp';
  if (/^image\/svg\+xml\b/.test(item.mime ?? '')) return 'image/svg+xml';
  return IMAGE_TYPES[item.name.slice(item.name.lastIndexOf('.') + 1).toLowerCase()] ?? 'image/png';
}

function looksLikeJson(text: string): boolean {
  return /^\s*[[{]/.test(text);
}

function of(viewer: Viewer, extensions: string): Record<string, Viewer> {
  return Object.fromEntries(extensions.split(' ').map((extension) => [extension, viewer]));
}
