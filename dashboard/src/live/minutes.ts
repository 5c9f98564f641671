/* Runs that ended, by minute: what the API counted, with what the stream has told since.  Pure.

   - Of what was told only counts are kept, and of the minutes that are shown alone: a page may stay open for weeks. */

import type { Run } from "../api/schema";

export interface Minute {
  at: number; // its beginning, in ms
  succeeded: number;
  failed: number;
}

const MINUTE_MS = 60_000;

/** Runs ended by minute of the last *minutes*; *told* goes on with *runs*. */
export function tally(counts: ReadonlyMap<number, Minute>, runs: readonly Run[], now: number, minutes: number): ReadonlyMap<number, Minute> {
  const since = beginning(now) - minutes * MINUTE_MS;
  const byMinute = new Map([...counts].filter(([at]) => at >= since));
  for (const run of runs) {
    if (run.finished_at === null || (run.status !== "succeeded" && run.status !== "dead")) continue;
    const at = beginning(Date.parse(run.finished_at));
    const { succeeded, failed } = byMinute.get(at) ?? { succeeded: 0, failed: 0 };
    const isGood = run.status === "succeeded";
    if (at >= since) byMinute.set(at, { at, succeeded: succeeded + (isGood ? 1 : 0), failed: failed + (isGood ? 0 : 1) });
  }
  return byMinute;
}

/** Every minute of the window, also those in which nothing ended. */
export function window(counted: readonly Minute[], counts: ReadonlyMap<number, Minute>, now: number, minutes: number): Minute[] {
  const last = beginning(now);
  const byMinute = new Map<number, Minute>();
  for (let back = minutes - 1; back >= 0; back--) {
    const at = last - back * MINUTE_MS;
    byMinute.set(at, { at, succeeded: 0, failed: 0 });
  }
  for (const minute of counted) if (byMinute.has(minute.at)) byMinute.set(minute.at, { ...minute });
  for (const { at, succeeded, failed } of counts.values()) {
    const minute = byMinute.get(at);
    if (minute !== undefined) byMinute.set(at, { at, succeeded: minute.succeeded + succeeded, failed: minute.failed + failed });
  }
  return [...byMinute.values()];
}

function beginning(at: number): number {
  return Math.floor(at / MINUTE_MS) * MINUTE_MS;
}
