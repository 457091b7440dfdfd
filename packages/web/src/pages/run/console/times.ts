/** `12:04:05.123`, local: lines of a console come several a second. */
export function clockTime(time: number): string {
  const at = new Date(time);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${three(at.getMilliseconds())}`;
}

/** `0:05.123`, `1:02:05.123`: since the start of the run, before it with a minus. */
export function elapsed(ms: number): string {
  const whole = Math.abs(Math.round(ms));
  const seconds = Math.floor(whole / 1_000);
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor(seconds / 60) % 60;
  const head = hours > 0 ? `${hours}:${two(minutes)}` : String(minutes);
  return `${ms <= -0.5 ? '−' : ''}${head}:${two(seconds % 60)}.${three(whole % 1_000)}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function three(value: number): string {
  return String(value).padStart(3, '0');
}
