import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { asFieldbookError, FieldbookError } from '@fieldbook/core';
import { checkTail, HEADER_BYTES, isSealed, openSealed, readBundle, TAIL_BYTES } from '@fieldbook/core/bundle';
import { bundlePlatform } from '../../machine/bundles.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient } from '../command.ts';
import { formatBytes, plural } from '../format.ts';
import type { BundleImportShape } from '../shapes.ts';
import { Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';
import { openFile } from './file.ts';
import { passphraseOf } from './passphrase.ts';

const TYPE = 'application/vnd.fieldbook.bundle';

export interface ImportOptions {
  json?: boolean;
  passphraseFile?: string;
  rebuilt?: boolean;
}

/** `bundle import`: checks each file to its end before any of it is taken in. */
export async function importBundles(cli: Cli, files: readonly string[], options: ImportOptions): Promise<void> {
  const asJson = options.json === true;
  const imported: (BundleImportShape & { file: string })[] = [];
  await withClient(
    cli,
    async (client) => {
      for (const file of files) {
        const progress = new Progress(cli.terminal, `Reading ${file} …`);
        try {
          const open = await openBundle(cli, file, options, progress);
          await checkWhole(open('Checking'));
          const answer = await client.upload<BundleImportShape>(
            `/bundles${options.rebuilt === true ? '?rebuilt=true' : ''}`,
            TYPE,
            open('Taking in'),
          );
          progress.end();
          imported.push({ file, ...answer });
          if (!asJson) cli.terminal.out(`${becameOf(file, answer)}\n`);
        } catch (error) {
          if (error instanceof FieldbookError)
            throw new FieldbookError(error.code, `${file}: ${error.message}`, { details: error.details, cause: error });
          throw error;
        } finally {
          progress.end();
        }
      }
    },
    { telling: true },
  );
  if (asJson) printJson(cli.terminal, { imported });
}

/** All of it is looked at before any of it is taken in: of a damaged one nothing changes. Throws as `readBundle`. */
async function checkWhole(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of readBundle(bundlePlatform, bytes)) if (piece.kind === 'end') return;
  } catch (thrown) {
    const { code, message, details } = asFieldbookError(thrown);
    const words = message.includes('Nothing was changed') ? message : `${message} Nothing was changed.`;
    throw new FieldbookError(code, words, { details, cause: thrown });
  }
}

/**
 * A bundle's plain bytes, as often as they are asked for; one that broke off is refused before the first of them, and a sealed one is
 * opened. Throws `not_found`, `bundle_corrupt`, `bundle_passphrase`.
 */
async function openBundle(
  cli: Cli,
  file: string,
  options: ImportOptions,
  progress: Progress,
): Promise<(doing: string) => AsyncIterable<Uint8Array>> {
  const handle = await openFile(file);
  try {
    const { size } = await handle.stat();
    if (size === 0) throw new FieldbookError('bundle_corrupt', 'The file is empty.');
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const head = Buffer.alloc(Math.min(size, HEADER_BYTES));
    await handle.read(head, 0, head.length, 0);
    const read = async function* (doing: string): AsyncGenerator<Uint8Array> {
      yield* pieces(await openFile(file), size, (bytes) =>
        progress.update(`${doing} ${basename(file)}: ${formatBytes(bytes)} of ${formatBytes(size)} …`),
      );
    };
    // What is no bundle at all is told as that by who reads it.
    if (head.length < HEADER_BYTES || head[0] !== 0x89 || !isSealed(new Uint8Array(head))) {
      if (head[0] === 0x89) checkTail(new Uint8Array(tail), size);
      return read;
    }
    progress.end();
    const passphrase = await passphraseOf(cli, options.passphraseFile, { twice: false, of: basename(file) });
    return (doing) => openSealed(read(doing), passphrase);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EISDIR') throw error;
    throw new FieldbookError('invalid_argument', 'It is a folder, not a bundle.', { cause: error });
  } finally {
    await handle.close();
  }
}

async function* pieces(handle: FileHandle, size: number, tell: (read: number) => void): AsyncGenerator<Uint8Array> {
  try {
    let read = 0;
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(1024 * 1024), 0, 1024 * 1024, read);
      if (bytesRead === 0) return;
      read += bytesRead;
      tell(Math.min(read, size));
      yield new Uint8Array(buffer.buffer, buffer.byteOffset, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** Whose signature holds; what a bundle says of its maker is only what it says. */
function signedBy(signer: BundleImportShape['signer'], said: string | null): string {
  if (signer === null) return 'It is not signed: who made it is only what it says.';
  const other = said !== null && said !== signer.device ? `, though it says that ${said} made it` : '';
  return signer.known
    ? `Signed by ${oneLine(signer.name ?? signer.device)} (${signer.device}), a device of this workspace${other}.`
    : `Signed by ${signer.device}, which is no device of this workspace${other}.`;
}

function becameOf(file: string, told: BundleImportShape): string {
  const { manifest, changed, added, blobs, blobBytes, purged, refused, unwanted, signer } = told;
  const from = manifest === null ? '' : ` from ${manifest.by} on ${manifest.deviceName ?? manifest.device}`;
  const lines = [
    changed + added + blobs === 0
      ? `${file}${from}: everything was here already.`
      : `${file}${from}: ${plural(changed, 'document')} with something new, ${plural(added, 'new record')}, ${plural(blobs, 'new blob')} (${formatBytes(blobBytes)}).`,
  ];
  lines.push(signedBy(signer, manifest?.device ?? null));
  if (purged > 0) lines.push(`${plural(purged, 'run')} purged here stayed purged.`);
  if (unwanted > 0) lines.push(`${plural(unwanted, 'blob')} left aside: nothing here names them.`);
  for (const { name, code, message } of refused.slice(0, 20)) lines.push(`Not taken in: ${name}: ${message} (${code})`);
  if (refused.length > 20) lines.push(`… and ${refused.length - 20} more.`);
  return lines.join('\n');
}
