import { createHash } from 'node:crypto';
import type { ErrorCode } from '@fieldbook/core';
import { asFieldbookError } from '@fieldbook/core';
import type { ApiResponse } from '@fieldbook/core/api';
import { errorResponse } from '@fieldbook/core/api';

/** As the UI looks, of which nothing can be loaded here. */
const STYLE = `
:root { color-scheme: light dark; --paper: #fbfbf8; --ink: #1c211b; --rule: #dfe1d8; --accent: #24694a; --accent-ink: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #161814; --ink: #e6e8e0; --rule: #2e322b; --accent: #7fc39c; --accent-ink: #10150f; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 13px/20px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
header { display: flex; align-items: center; height: 44px; padding: 0 16px; border-bottom: 1px solid var(--rule); }
header a { display: flex; align-items: center; gap: 6px; color: inherit; font-weight: 600; text-decoration: none; }
main { max-width: 932px; margin: 0 auto; padding: 32px 24px; overflow-wrap: anywhere; }
h1 { margin: 0 0 12px; font-size: 22px; line-height: 28px; letter-spacing: -0.01em; }
p { margin: 0 0 16px; max-width: 68ch; }
p.ways { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; }
p a { color: var(--accent); text-underline-offset: 2px; }
p a.main { padding: 4px 9px; border-radius: 3px; background: var(--accent); color: var(--accent-ink); text-decoration: none; }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 700px) {
  body { font-size: 14px; }
  header { height: 48px; padding: 0 12px; }
  main { padding: 24px 16px; }
}
`;
const MARK =
  '<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.2"><path d="M3.5 1.5h8a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1h-8zM5.5 1.5v13"/><path d="M7.2 10.8c1.3 0 1.2-4.6 2.1-4.6" stroke-linecap="round"/></svg>';
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
<header><a href="/">${MARK}Fieldbook</a></header>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
<p class="ways"><a class="main" href="${escaped(again)}">Sign in again</a><a href="/">To the start page</a></p>
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
