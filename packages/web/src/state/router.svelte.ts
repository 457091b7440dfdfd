import type { Route } from '../app/routes.ts';
import { routeOf } from '../app/routes.ts';

/** The address as state. Links are plain `<a href>`; a click on one of ours changes the page without loading it. */
class Router {
  path = $state(location.pathname);
  search = $state(location.search);
  readonly route: Route = $derived(routeOf(this.path));

  start(): void {
    addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#click(event));
  }

  go(href: string): void {
    if (href === location.pathname + location.search) return;
    history.pushState(null, '', href);
    this.#read();
  }

  /** Goes on to another page; the back button skips this one. */
  redirect(href: string): void {
    history.replaceState(null, '', href);
    this.#read();
  }

  /** Changes the address of the page one is on; the back button skips it. */
  replaceSearch(search: string): void {
    if (search === location.search) return;
    history.replaceState(history.state, '', location.pathname + search);
    this.search = search;
  }

  /** Where somebody was on the page of this entry of the history, for when they come back to it. */
  get place(): unknown {
    return (history.state as { place?: unknown } | null)?.place;
  }

  set place(place: unknown) {
    history.replaceState({ place }, '');
  }

  #read(): void {
    this.path = location.pathname;
    this.search = location.search;
  }

  #click(event: MouseEvent): void {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = (event.target as Element | null)?.closest('a');
    if (
      !link ||
      link.target !== '' ||
      link.hasAttribute('download') ||
      link.origin !== location.origin ||
      link.getAttribute('href')?.startsWith('#') === true
    )
      return;
    if (link.pathname.startsWith('/api/')) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();
