import { Persisted } from './persisted.svelte.ts';

export type ThemeChoice = 'system' | 'light' | 'dark';

class Theme {
  readonly choice = new Persisted<ThemeChoice>('theme', 'system');
  #system = $state<'light' | 'dark'>('light');
  readonly current: 'light' | 'dark' = $derived(this.choice.current === 'system' ? this.#system : this.choice.current);

  /** Before the first paint. */
  start(): void {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const read = (): void => {
      this.#system = dark.matches ? 'dark' : 'light';
    };
    read();
    dark.addEventListener('change', read);
    $effect.root(() => {
      $effect.pre(() => {
        document.documentElement.dataset['theme'] = this.current;
      });
    });
    document.documentElement.dataset['theme'] = this.current;
  }
}

export const theme = new Theme();
