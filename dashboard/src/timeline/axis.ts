/* Windows of time, where an instant stands in one, and the round ones for an axis.  Pure. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30].map((count) => count * MINUTE).concat([1, 2, 3, 6, 12].map((count) => count * HOUR), [DAY, 2 * DAY]);

export const WINDOWS = {
  "15m": { word: "15 minutes", ms: 15 * MINUTE },
  "1h": { word: "1 hour", ms: HOUR },
  "6h": { word: "6 hours", ms: 6 * HOUR },
  "24h": { word: "24 hours", ms: DAY },
  "6d": { word: "6 days", ms: 6 * DAY },
} as const;
export type Window = keyof typeof WINDOWS;

/** What lies ahead, beside it. */
export function ahead(window: Window): number {
  return WINDOWS[window].ms / 6;
}

/** At most *most* of them, at round times of that zone. */
export function ticks(from: number, to: number, most: number, offsetMs: number): number[] {
  const step = STEPS.find((each) => (to - from) / each <= most) ?? DAY * Math.ceil((to - from) / DAY / Math.max(1, most));
  const instants: number[] = [];
  for (let at = Math.ceil((from + offsetMs) / step) * step - offsetMs; at <= to; at += step) instants.push(at);
  return instants;
}

export interface Scale {
  from: number;
  to: number;
  now: number;
  width: number; // px
}

export function xOf({ from, to, width }: Scale, at: number): number {
  return ((at - from) / (to - from)) * width;
}
