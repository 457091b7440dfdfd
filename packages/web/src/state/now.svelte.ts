/** The time, for "5 min ago": moves every 20 seconds while the page is visible. */
class Now {
  current = $state(Date.now());

  start(): void {
    const tick = (): void => {
      if (document.visibilityState === 'visible') this.current = Date.now();
    };
    setInterval(tick, 20_000);
    document.addEventListener('visibilitychange', tick);
  }
}

export const now = new Now();
