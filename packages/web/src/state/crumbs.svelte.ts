export interface Crumb {
  text: string;
  href: string | null;
}

/** Where the header says that one is; each page writes it, and the document's title follows. */
class Crumbs {
  #current = $state.raw<readonly Crumb[]>([]);

  get current(): readonly Crumb[] {
    return this.#current;
  }

  set current(crumbs: readonly Crumb[]) {
    this.#current = crumbs;
    document.title = [...crumbs]
      .reverse()
      .map(({ text }) => text)
      .concat('Fieldbook')
      .join(' · ');
  }
}

export const crumbs = new Crumbs();
