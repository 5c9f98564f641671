/* A ruler beside something that lasted.  Pure. */

/** Ticks of a ruler over that many seconds: about six, at round numbers. */
export function ticks(lengthS: number): number[] {
  const STEPS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400];
  const step = STEPS.find((each) => lengthS / each <= 6) ?? Math.ceil(lengthS / 6 / 86_400) * 86_400;
  return Array.from({ length: Math.floor(lengthS / step + 1e-9) + 1 }, (_, at) => at * step);
}
