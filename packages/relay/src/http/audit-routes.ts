import { FieldbookError } from '@fieldbook/core';
import type { Route } from '@fieldbook/core/api';
import { array, json, object, orNull } from '@fieldbook/core/api';
import { readAuditPage } from '../audit-page.ts';
import type { Audit, AuditEvent } from '../audit.ts';
import { AUDIT_EVENTS } from '../audit.ts';

const LIMIT = { type: 'integer', minimum: 1, maximum: 200, default: 50 } as const;

/** What `fieldbook-relay audit` prints, for admins who cannot log in where the relay runs. */
export function auditRoutes({ audit }: { audit: Audit }): Route[] {
  return [
    {
      id: 'readAudit',
      method: 'GET',
      path: '/audit',
      summary: 'The audit log, newest first: who was let in, what was refused, what was done to the data',
      needs: 'admin',
      whole: true,
      inQuery: {
        limit: { description: 'Entries at most.', schema: LIMIT },
        before: { description: '`next` of the page before.', schema: { type: 'string', maxLength: 64 } },
        events: {
          description: `Only these, with commas between them: ${AUDIT_EVENTS.join(', ')}.`,
          schema: { type: 'string', minLength: 1, maxLength: 512 },
        },
      },
      answers: [
        {
          status: 200,
          description:
            'Fewer entries than asked for do not mean that there are no older ones: `next` is null when there are none.',
          schema: object({
            entries: array({
              type: 'object',
              description: 'Besides these what belongs to the event, as it stands in the log.',
              properties: {
                time: { type: 'string', format: 'date-time' },
                event: { type: 'string' },
                count: {
                  type: 'integer',
                  description: 'How often the same happened within a minute, when more than once.',
                },
              },
              required: ['time', 'event'],
              additionalProperties: true,
            }),
            next: orNull({ type: 'string' }),
          }),
        },
      ],
      handle: async ({ query }) => {
        const { limit, before, events } = query as { limit: number; before?: string; events?: string };
        // What somebody has done a moment ago is what they look for.
        await audit.flush();
        return json(
          200,
          await readAuditPage(audit.path, {
            limit,
            before: before ?? null,
            events: events === undefined ? null : eventsOf(events),
          }),
        );
      },
    },
  ];
}

function eventsOf(text: string): Set<AuditEvent> {
  const known: readonly string[] = AUDIT_EVENTS;
  const events = text.split(',');
  const unknown = events.find((event) => !known.includes(event));
  if (unknown === undefined) return new Set(events as AuditEvent[]);
  throw new FieldbookError(
    'invalid_argument',
    `events: ${JSON.stringify(unknown.slice(0, 40))} is none; there are ${known.join(', ')}.`,
  );
}
