/* A run of the timeline in words.  Pure. */

import type { Run } from "../api/schema";
import { clock, duration, plural, shortType } from "../format";
import { look, stateOf } from "../components/status";
import type { Span } from "./spans";

export function facts(run: Run, parts: readonly Span[], utc: boolean): string[] {
  const total = (...kinds: Span["kind"][]) => parts.filter((part) => kinds.includes(part.kind)).reduce((sum, part) => sum + part.to - part.from, 0) / 1000;
  const attempts = parts.filter((part) => part.number !== undefined).length;
  const waited = total("waiting");
  const backOff = total("back-off");
  const ran = total("running", "succeeded", "failed", "ended");
  const error = run.error;
  return [
    look(stateOf(run)).word,
    `due ${clock(Date.parse(run.due_at), utc)}`,
    ...(waited > 0 ? [`waited ${duration(waited)}`] : []),
    ...(run.first_started_at !== null ? [`ran ${duration(ran)}`] : []),
    ...(attempts > 1 ? [plural(attempts, "attempt")] : []),
    ...(backOff > 0 ? [`back-off ${duration(backOff)}`] : []),
    ...(error !== null ? [`${shortType(error.type)}: ${error.message.slice(0, 80)}`] : []),
  ];
}
