import { createHash } from 'node:crypto';
import type { ErrorCode } from '@fieldbook/core';
import { asFieldbookError } from '@fieldbook/core';
import type { ApiResponse } from '@fieldbook/core/api';
import { errorResponse } from '@fieldbook/core/api';

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; display: grid; min-height: 100vh; place-items: center; }
main { max-width: 34rem; padding: 2rem 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
a { color: inherit; margin-right: 1.5rem; }
`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** The page for an error, with its status; `headers` go with it. */
export function refusal(thrown: unknown, again: string, headers: Readonly<Record<string, string>> = {}): ApiResponse {
  const { code, message } = asFieldbookError(thrown);
  const { status, headers: plain } = errorResponse(thrown, headers);
  const { title, text } = WORDS[code] ?? { title: 'You are not signed in', text: same };
  // That the provider is away is no fault of what was asked.
  const page = refusalPage(code === 'peer_unreachable' ? 503 : status, { title, text: text(message), again });
  return { ...page, headers: { ...plain, ...page.headers } };
}

const same = (message: string): string => message;
const WORDS: Partial<Record<ErrorCode, { title: string; text(message: string): string }>> = {
  peer_unreachable: {
    title: 'Signing in does not work now',
    text: (message) =>
      `${message} Tokens and invitations work as before; try again later, or ask whoever runs this relay.`,
  },
  forbidden: { title: 'You are not let in', text: same },
  rate_limited: { title: 'Wait a moment', text: same },
  internal: { title: 'Something went wrong', text: () => 'The log of this relay says what; ask whoever runs it.' },
};

/** What somebody sees who was not let in: a page of its own, with no script, which works where the UI does not. */
function refusalPage(
  status: number,
  { title, text, again }: { title: string; text: string; again: string },
): ApiResponse {
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)} · Fieldbook</title>
<style>${STYLE}</style>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
<p><a href="${escaped(again)}">Sign in again</a><a href="/">To the start page</a></p>
</main>
</html>
`;
  return {
    status,
    headers: {
      ...PRIVATE,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'x-content-type-options': 'nosniff',
    },
    body: new TextEncoder().encode(html),
  };
}

/** Neither kept nor told to the next page: addresses of the way back hold a code. */
const PRIVATE = { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' } as const;

export function redirection(location: string): ApiResponse {
  return { status: 303, headers: { ...PRIVATE, location }, body: null };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}
