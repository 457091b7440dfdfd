/**
 * Characters that are not seen, or turn round what stands beside them: a name with them reads as another one. Joiners within words and
 * emoji stay.
 */
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
/** Names that Windows keeps for its devices, whatever their extension. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
/** File systems have 255; a number may be added. */
const BYTES = 200;

/** A path or name as it is shown: what nobody would see is named. */
export function shownName(text: string): string {
  return text.replace(
    UNSEEN,
    (character) => `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`,
  );
}

/** A name that a file is saved under on any machine: of one segment, without what has a meaning there. */
export function savedName(name: string): string {
  const plain = name
    .replace(UNSEEN, '_')
    .replace(/[\ud800-\udfff]/gu, '_')
    .replace(/[/\\:*?"<>|]/g, '_')
    .replace(/[. ]+$/, '')
    .replace(/^ +/, '');
  if (plain === '') return 'file';
  const dot = plain.lastIndexOf('.');
  const extension = dot > 0 && plain.length - dot <= 16 ? plain.slice(dot) : '';
  let stem = extension === '' ? plain : plain.slice(0, dot);
  const encoder = new TextEncoder();
  while (encoder.encode(stem).length + extension.length > BYTES) stem = Array.from(stem).slice(0, -8).join('');
  return `${DEVICE.test(plain) ? '_' : ''}${stem}${extension}`;
}

/** A path within an archive: no segment of it leads up, out, or to another drive, wherever it is unpacked. */
export function savedPath(path: string): string {
  const segments = path.split('/').filter((segment) => !/^[. ]*$/.test(segment));
  return segments.length === 0 ? 'file' : segments.map(savedName).join('/');
}
