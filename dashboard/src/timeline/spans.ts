/* What a run did when, as stretches of time.  Pure.

   - From due to start a run waits; between attempts it is in back-off; the attempt that runs ends now.
   - What is due later is planned, not waiting. */

import type { Run } from "../api/schema";

export type Kind = "waiting" | "running" | "succeeded" | "failed" | "back-off" | "planned" | "ended"; // ended: without an attempt

export interface Span {
  kind: Kind;
  from: number;
  to: number;
  number?: number; // of the attempt
}

export function spans(run: Run, now: number): Span[] {
  const bars: Span[] = [];
  let free = firstDue(run); // since when nothing happens
  const pause = (until: number, kind: Kind) => {
    if (until > free) bars.push({ kind, from: free, to: until });
    free = Math.max(free, until);
  };
  for (const attempt of run.attempts) {
    const [from, to] = [ms(attempt.started_at), ms(attempt.ended_at)];
    pause(from, attempt.number === 1 ? "waiting" : "back-off");
    bars.push({ kind: attempt.cause === null ? "succeeded" : "failed", from, to, number: attempt.number });
    free = Math.max(from, to);
  }
  if (run.claim !== null) {
    const from = ms(run.claim.at);
    pause(from, run.attempts.length === 0 ? "waiting" : "back-off");
    bars.push({ kind: "running", from, to: Math.max(from, now), number: run.attempt });
  } else if (run.status === "pending" && run.attempts.length > 0) {
    pause(Math.max(ms(run.due_at), now), "back-off");
  } else if (run.status === "pending") {
    pause(now, "waiting");
    if (bars.length === 0) bars.push({ kind: "planned", from: free, to: free });
  } else if (run.attempts.length === 0 && run.finished_at !== null) {
    const end = ms(run.finished_at);
    pause(end, "waiting");
    bars.push({ kind: "ended", from: end, to: end });
  }
  return bars;
}

/** Retries move `due_at`: then it is when the run came to be. */
function firstDue(run: Run): number {
  const isFinal = run.finished_at !== null;
  if (run.attempts.length <= (isFinal ? 1 : 0)) return ms(run.due_at);
  return Math.max(ms(run.occurs_at), ms(run.created_at));
}

/** The lane of each run: those that overlap stand below one another, as many as fit. */
export function lanes(runs: readonly (readonly Span[])[], most: number): { of: number[]; count: number } {
  const ends: number[] = [];
  const of = runs.map((parts) => {
    const from = Math.min(...parts.map((part) => part.from));
    const to = Math.max(...parts.map((part) => part.to));
    let lane = ends.findIndex((end) => end <= from);
    if (lane === -1) lane = ends.length < most ? ends.length : ends.indexOf(Math.min(...ends));
    ends[lane] = Math.max(ends[lane] ?? to, to);
    return lane;
  });
  return { of, count: Math.max(1, ends.length) };
}

export function ms(at: string): number {
  return Date.parse(at);
}
