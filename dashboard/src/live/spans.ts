/* A run as stretches of time: it waits, an attempt runs, it waits for the next, …  Pure. */

import type { Run } from "../api/schema";

export interface Span {
  kind: "waiting" | "attempt" | "backoff" | "running" | "planned";
  from: number;
  to: number;
  number: number; // of the attempt; 0 while it waits
  cause: string | null;
}

export function spansOf(run: Run, now: number): Span[] {
  const found: Span[] = [];
  const starts = [...run.attempts.map((attempt) => Date.parse(attempt.started_at)), ...(run.claim ? [Date.parse(run.claim.at)] : [])];
  const due = Date.parse(run.created_at > run.occurs_at ? run.created_at : run.occurs_at);
  const first = starts[0] ?? (run.finished_at ? Date.parse(run.finished_at) : Math.max(now, due));
  if (first > due) found.push({ kind: "waiting", from: due, to: first, number: 0, cause: null });
  run.attempts.forEach((attempt, at) => {
    const to = Date.parse(attempt.ended_at);
    found.push({ kind: "attempt", from: Date.parse(attempt.started_at), to, number: attempt.number, cause: attempt.cause });
    const next = starts[at + 1];
    if (next !== undefined && next > to) found.push({ kind: "backoff", from: to, to: next, number: attempt.number, cause: null });
  });
  if (run.claim) {
    found.push({ kind: "running", from: Date.parse(run.claim.at), to: Math.max(now, Date.parse(run.claim.at)), number: run.attempt, cause: null });
  } else if (run.status === "pending" && run.attempts.length > 0) {
    const from = Date.parse(run.attempts.at(-1)?.ended_at ?? run.due_at);
    const until = Math.max(Date.parse(run.due_at), now);
    found.push({ kind: "backoff", from, to: until, number: run.attempt, cause: null });
  }
  return found;
}

/** Ticks of a ruler over that many seconds: about six, at round numbers. */
export function ticks(lengthS: number): number[] {
  const STEPS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400];
  const step = STEPS.find((each) => lengthS / each <= 6) ?? Math.ceil(lengthS / 6 / 86_400) * 86_400;
  return Array.from({ length: Math.floor(lengthS / step + 1e-9) + 1 }, (_, at) => at * step);
}
