interface Follower {
  /** One finger moves over the plot. */
  one: (left: number, top: number) => void;
  /** What lies under a finger as it is put down, in units of the axis. */
  held: (left: number) => number;
  /** Two fingers: the stretch that keeps under each of them what it held. */
  two: (min: number, max: number) => void;
}

/** Fingers nearer to each other than this say nothing of a stretch, in CSS pixels. */
const APART = 16;

/** One finger reads values, two zoom and move; up and down is left to the page, which scrolls. */
export function followFingers(element: HTMLElement, { one, held, two }: Follower): void {
  const fingers = new Map<number, { left: number; value: number }>();
  const leftOf = ({ clientX }: PointerEvent): number => clientX - element.getBoundingClientRect().left;
  element.addEventListener('pointerdown', (event) => {
    if (event.pointerType !== 'touch') return;
    fingers.set(event.pointerId, { left: leftOf(event), value: 0 });
    for (const finger of fingers.values()) finger.value = held(finger.left);
  });
  element.addEventListener('pointermove', (event) => {
    const finger = fingers.get(event.pointerId);
    if (finger === undefined) return;
    finger.left = leftOf(event);
    const [a, b] = [...fingers.values()];
    if (a === undefined) return;
    if (b === undefined) {
      one(finger.left, event.clientY - element.getBoundingClientRect().top);
      return;
    }
    const stretch = stretchOf(a, b, element.offsetWidth);
    if (stretch !== null) two(...stretch);
  });
  const gone = (event: PointerEvent): void => void fingers.delete(event.pointerId);
  element.addEventListener('pointerup', gone);
  element.addEventListener('pointercancel', gone);
}

/** The ends of an axis of `width` pixels on which two values lie at two places; null when they lie on each other. */
export function stretchOf(
  a: { left: number; value: number },
  b: { left: number; value: number },
  width: number,
): [min: number, max: number] | null {
  if (Math.abs(a.left - b.left) < APART || a.value === b.value) return null;
  const each = (b.value - a.value) / (b.left - a.left);
  const min = a.value - a.left * each;
  return each > 0 ? [min, min + width * each] : null;
}
