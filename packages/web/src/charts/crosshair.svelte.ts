import type { Axis } from './settings.ts';

/** Where somebody reads values: all charts with the same axis show the place. */
class Crosshair {
  at = $state.raw<{ axis: Axis; x: number; panel: string } | null>(null);
}

export const crosshair = new Crosshair();
