import type { AttributePath, BlobDigest, DeviceId, WriterId } from '@fieldbook/core';
import type { RunDocument } from '@fieldbook/core/documents';
import type { FileEntry, ObjectRow } from '@fieldbook/core/record';

const WRITER = '01kf0000000000000000000000' as WriterId;

/** Object rows, console lines, captures and files of a run, for what the API says of them. */
export function putObjects(document: RunDocument, device: DeviceId): void {
  const head = { writer: WRITER, device, extra: {} };
  const row = (change: Partial<ObjectRow> & { ordinal: number }): ObjectRow => {
    const base = { path: 'samples', step: change.ordinal, time: 1_768_478_400_000, kind: 'text', text: '', part: 0 };
    return { ...base, digest: '', size: 0, mime: '', name: '', meta: '', ...change };
  };
  const line = (ordinal: number, step: number, text: string, meta = ''): ObjectRow =>
    row({ path: 'console/stdout', ordinal, step, text, meta });
  const image = { digest: 'ab'.repeat(32) as BlobDigest, size: 9, mime: 'image/png', name: 'a.png' };
  const rows = [
    row({ ordinal: 0, text: 'größe' }),
    row({ ordinal: 1, kind: 'histogram', text: '{"edges":[0,1],"counts":[2]}' }),
    row({ ordinal: 2, kind: 'image', ...image, meta: '{"caption":"a"}' }),
    row({ ordinal: 3, kind: 'hologram', text: 'no JSON' }),
    ...Array.from({ length: 22 }, (_, step) => line(4 + step, step, `line ${step}`)),
    line(26, 22, '3 lines were left out', '{"gap":true}'),
  ];
  document.putObjectTail({ kind: 'objecttail', ...head, first: 0, last: 30, rows }, 0);
  const open = [line(27, 23, '99 %', '{"open":true}')];
  document.putObjectTail({ kind: 'objecttail', ...head, first: 27, last: 27, rows: open }, 'open');
  document.putCapture({ kind: 'capture', ...head, ordinal: 9, section: 'git', data: '{"commit":"abc","dirty":null}' });
  document.putCapture({ kind: 'capture', ...head, ordinal: 3, section: 'gpus', data: '{}' });
  // Another device that is behind.
  const behind = { ...head, device: 'd00000000000000000000000z' as DeviceId };
  document.putCapture({ kind: 'capture', ...behind, ordinal: 4, section: 'git', data: '{"commit":"old"}' });
  const file = {
    kind: 'file',
    ...head,
    place: null,
    path: 'model' as AttributePath,
    name: 'm.pt',
    size: 7,
    modified: null,
    mime: null,
    fileKind: 'model',
    meta: null,
    travel: null,
    digest: null,
    chunks: null,
    expected: null,
    source: null,
    failure: null,
  } as const satisfies Partial<FileEntry>;
  document.putFile({ ...file, ordinal: 5, time: 1, spool: '1-m.pt' });
  document.putFile({ ...file, ordinal: 6, time: 2, spool: '2-m.pt' });
  const stored = { ...file, path: 'stored' as AttributePath, digest: 'a'.repeat(64) as BlobDigest, spool: null };
  document.putFile({ ...stored, ordinal: 7, time: 3, meta: '{"epochs":3}' });
}
