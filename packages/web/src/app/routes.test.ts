import { describe, expect, it } from 'vitest';
import { compareHref, projectHref, routeOf, runHref, shortId } from './routes.ts';

describe('routes', () => {
  it('reads every address that it writes', () => {
    expect(routeOf('/')).toEqual({ page: 'projects', id: '' });
    for (const project of ['mnist', 'größe', 'a.b_c-d'])
      expect(routeOf(projectHref(project))).toEqual({ page: 'project', id: project });
    expect(routeOf(compareHref('mnist', ['a']).split('?')[0]!)).toEqual({ page: 'compare', id: 'mnist' });
    expect(routeOf(runHref('run-1'))).toEqual({ page: 'run', id: 'run-1' });
    expect(routeOf('/sync/')).toEqual({ page: 'sync', id: '' });
    expect(routeOf('/settings')).toEqual({ page: 'settings', id: '' });
    expect(routeOf('/people')).toEqual({ page: 'people', id: '' });
  });

  it('says of every other address that it is lost', () => {
    for (const path of ['/p', '/r/a/b', '/nowhere', '/p/%E0%A4%A'])
      expect(routeOf(path)).toEqual({ page: 'lost', id: '' });
  });

  it('shortens minted ids and leaves chosen ones', () => {
    expect(shortId('01kf0000000000000000abcdef')).toBe('0000abcdef');
    expect(shortId('lr-0.1-seed-1')).toBe('lr-0.1-seed-1');
  });
});
