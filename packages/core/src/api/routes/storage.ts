import { FieldbookError } from '../../errors.ts';
import type { StorageReport } from '../../usage/index.ts';
import { withNames } from '../../usage/index.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Route } from '../route.ts';
import { array, object, orNull } from '../schema.ts';

const count = { type: 'integer', minimum: 0 } as const;
const text = { type: 'string' } as const;
const moment = { type: 'integer', description: 'ms since the epoch' } as const;
const amount = object({ count, bytes: count });
const perRun = { documents: count, points: count, objects: count, files: count, bytes: count };

/** What takes how much of the disk, measured when somebody asks; who asks meanwhile gets the same answer. */
export function storageRoutes({ storage, library }: ApiContext): Route[] {
  let measuring: Promise<StorageReport> | undefined;
  return [
    {
      id: 'getStorage',
      method: 'GET',
      path: '/storage',
      summary: 'What takes how much of the disk, measured now: it may take minutes',
      needs: 'admin',
      whole: true,
      answers: [
        {
          status: 200,
          description: 'Bytes, as measured.',
          schema: object({
            at: moment,
            tookMs: count,
            disk: object({ free: count, total: count }),
            bytes: { ...count, description: 'Everything in the directory of the data.' },
            store: object({
              files: count,
              bytes: { ...count, description: 'On disk.' },
              live: { ...count, description: 'Of all keys and values.' },
              kinds: array(
                object({ kind: text, count, bytes: count }),
                'What the keys are for, as docs/operations.md says.',
              ),
            }),
            blobs: object({
              count,
              bytes: count,
              points: amount,
              objects: amount,
              files: amount,
              unnamed: amount,
              waiting: amount,
              shared: amount,
            }),
            folders: array(object({ name: text, files: count, bytes: count }), 'Files beside store and blobs.'),
            projects: array(object({ project: orNull(text), runs: count, ...perRun }), 'The largest first.'),
            runs: array(
              object({ run: text, project: orNull(text), name: orNull(text), ...perRun }),
              'The ten largest.',
            ),
            unreadable: { ...count, description: 'Parts of run documents that are damaged or of a newer version.' },
          }),
        },
      ],
      handle: async () => {
        if (storage === undefined)
          throw new FieldbookError('not_supported', 'This program does not measure its storage.');
        measuring ??= storage().finally(() => {
          measuring = undefined;
        });
        return json(
          200,
          await withNames(await measuring, async (project, run) => (await library.run(project, run))?.name),
        );
      },
    },
  ];
}
