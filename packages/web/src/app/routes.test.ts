import { describe, expect, it } from 'vitest';
import { compareHref, projectHref, routeOf, runHref, shortId } from './routes.ts';

describe('routes', () => {
  it('reads every address that it writes', () => {
    expect(routeOf('/')).toEqual({ page: 'projects' });
    for (const project of ['mnist', 'größe', 'a.b_c-d'])
      expect(routeOf(projectHref(project))).toEqual({ page: 'project', project });
    expect(routeOf(compareHref('mnist', ['a']).split('?')[0]!)).toEqual({ page: 'compare', project: 'mnist' });
    expect(routeOf(runHref('run-1'))).toEqual({ page: 'run', run: 'run-1' });
    expect(routeOf('/sync/')).toEqual({ page: 'sync' });
    expect(routeOf('/settings')).toEqual({ page: 'settings' });
  });

  it('says of every other address that it is lost', () => {
    for (const path of ['/p', '/r/a/b', '/nowhere', '/p/%E0%A4%A']) expect(routeOf(path)).toEqual({ page: 'lost' });
  });

  it('shortens minted ids and leaves chosen ones', () => {
    expect(shortId('01kf0000000000000000abcdef')).toBe('0000abcdef');
    expect(shortId('lr-0.1-seed-1')).toBe('lr-0.1-seed-1');
  });
});
