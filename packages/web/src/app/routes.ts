/** Every page that has an address. The table is the whole of the routing. */
export type Route =
  | { page: 'projects' }
  | { page: 'project'; project: string }
  | { page: 'compare'; project: string }
  | { page: 'run'; run: string }
  | { page: 'link'; link: string }
  | { page: 'sync' }
  | { page: 'settings' }
  | { page: 'lost' };

interface Pattern {
  parts: readonly string[];
  make: (values: Record<string, string>) => Route;
}

const TABLE: readonly Pattern[] = [
  { parts: [], make: () => ({ page: 'projects' }) },
  { parts: ['p', ':project'], make: ({ project }) => ({ page: 'project', project: project! }) },
  { parts: ['p', ':project', 'compare'], make: ({ project }) => ({ page: 'compare', project: project! }) },
  { parts: ['r', ':run'], make: ({ run }) => ({ page: 'run', run: run! }) },
  { parts: ['l', ':link'], make: ({ link }) => ({ page: 'link', link: link! }) },
  { parts: ['sync'], make: () => ({ page: 'sync' }) },
  { parts: ['settings'], make: () => ({ page: 'settings' }) },
];

/** The page at a path; `lost` for an address that none has. */
export function routeOf(pathname: string): Route {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  for (const { parts, make } of TABLE) {
    const values = fit(parts, segments);
    if (values !== undefined) return make(values);
  }
  return { page: 'lost' };
}

export function projectHref(project: string): string {
  return `/p/${encodeURIComponent(project)}`;
}

export function compareHref(project: string, runs: readonly string[]): string {
  return `${projectHref(project)}/compare?runs=${runs.map(shortId).map(encodeURIComponent).join(',')}`;
}

export function runHref(run: string): string {
  return `/r/${encodeURIComponent(run)}`;
}

const MINTED = /^[0-9a-hjkmnp-tv-z]{26}$/;

/** A minted id's last ten characters are 50 random bits: enough within one project, and a link stays short. */
export function shortId(run: string): string {
  return MINTED.test(run) ? run.slice(-10) : run;
}

function fit(parts: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (parts.length !== segments.length) return undefined;
  const values: Record<string, string> = {};
  for (const [index, part] of parts.entries()) {
    let segment: string;
    try {
      segment = decodeURIComponent(segments[index]!);
    } catch {
      return undefined;
    }
    if (part.startsWith(':')) values[part.slice(1)] = segment;
    else if (part !== segment) return undefined;
  }
  return values;
}
