/* Runs that ended, by minute: what the API counted, with what the stream has told since.  Pure. */

import type { Run } from "../api/schema";

export interface Minute {
  at: number; // its beginning, in ms
  succeeded: number;
  failed: number;
}

const MINUTE_MS = 60_000;

/** Every minute of the window, also those in which nothing ended. */
export function window(counted: readonly Minute[], told: Iterable<Run>, now: number, minutes: number): Minute[] {
  const last = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  const found = new Map<number, Minute>();
  for (let back = minutes - 1; back >= 0; back--) {
    const at = last - back * MINUTE_MS;
    found.set(at, { at, succeeded: 0, failed: 0 });
  }
  for (const minute of counted) if (found.has(minute.at)) found.set(minute.at, { ...minute });
  for (const run of told) {
    const minute = run.finished_at === null ? undefined : found.get(Math.floor(Date.parse(run.finished_at) / MINUTE_MS) * MINUTE_MS);
    if (minute !== undefined && run.status === "succeeded") minute.succeeded += 1;
    if (minute !== undefined && run.status === "dead") minute.failed += 1;
  }
  return [...found.values()];
}
