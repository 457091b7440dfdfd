/** Every page that has an address. The table is the whole of the routing. */
export interface Route {
  page: 'projects' | 'project' | 'compare' | 'run' | 'link' | 'sync' | 'settings' | 'people' | 'lost';
  /** Of the project, run or link; empty where the page is of none. */
  id: string;
}

const TABLE: readonly (readonly [parts: readonly string[], page: Route['page']])[] = [
  [[], 'projects'],
  [['p', ':id'], 'project'],
  [['p', ':id', 'compare'], 'compare'],
  [['r', ':id'], 'run'],
  [['l', ':id'], 'link'],
  [['sync'], 'sync'],
  [['settings'], 'settings'],
  [['people'], 'people'],
];

/** The page at a path; `lost` for an address that none has. */
export function routeOf(pathname: string): Route {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  for (const [parts, page] of TABLE) {
    const id = fit(parts, segments);
    if (id !== undefined) return { page, id };
  }
  return { page: 'lost', id: '' };
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

/** What stands at `:id`, nothing where there is none; undefined for another address. */
function fit(parts: readonly string[], segments: readonly string[]): string | undefined {
  if (parts.length !== segments.length) return undefined;
  let id = '';
  for (const [index, part] of parts.entries()) {
    let segment: string;
    try {
      segment = decodeURIComponent(segments[index]!);
    } catch {
      return undefined;
    }
    if (part === ':id') id = segment;
    else if (part !== segment) return undefined;
  }
  return id;
}
