import type { Brush } from '../painter.ts';

/** A brush that writes paths of an SVG instead of painting: what a canvas shows, in vectors. */
export class VectorBrush implements Brush {
  strokeStyle = '#000';
  fillStyle = '#000';
  globalAlpha = 1;
  lineWidth = 1;
  lineJoin: CanvasLineJoin = 'round';
  readonly #parts: string[] = [];
  #path: string[] = [];
  #dash: readonly number[] = [];

  beginPath(): void {
    this.#path = [];
  }

  moveTo(x: number, y: number): void {
    this.#path.push(`M${short(x)} ${short(y)}`);
  }

  lineTo(x: number, y: number): void {
    this.#path.push(`L${short(x)} ${short(y)}`);
  }

  /** Whole circles only: nothing else is drawn with it. */
  arc(x: number, y: number, radius: number): void {
    const [r, left, right] = [short(radius), short(x - radius), short(x + radius)];
    this.#path.push(`M${left} ${short(y)}A${r} ${r} 0 1 0 ${right} ${short(y)}A${r} ${r} 0 1 0 ${left} ${short(y)}`);
  }

  closePath(): void {
    this.#path.push('Z');
  }

  setLineDash(dash: number[]): void {
    this.#dash = dash;
  }

  stroke(): void {
    if (this.#path.length === 0) return;
    const dash = this.#dash.length === 0 ? '' : ` stroke-dasharray="${this.#dash.join(' ')}"`;
    this.#parts.push(
      `<path d="${this.#path.join('')}" fill="none" stroke="${escaped(String(this.strokeStyle))}" stroke-opacity="${this.globalAlpha}" stroke-width="${this.lineWidth}" stroke-linejoin="round"${dash}/>`,
    );
  }

  fill(): void {
    if (this.#path.length === 0) return;
    this.#parts.push(
      `<path d="${this.#path.join('')}" fill="${escaped(String(this.fillStyle))}" fill-opacity="${this.globalAlpha}"/>`,
    );
  }

  get markup(): string {
    return this.#parts.join('');
  }
}

/** Text and attribute values of an SVG. */
export function escaped(text: string): string {
  return (
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      // XML has no way to say these.
      .replace(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, '')
  );
}

/** A hundredth of a pixel is more than any printer shows. */
function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}
