import { expect, test } from "vitest";
import type { Attempt, Run } from "../src/api/schema";
import { merged } from "../src/timeline/merge";
import { lanes, spans } from "../src/timeline/spans";
import { ticks } from "../src/timeline/axis";

const NOON = Date.parse("2026-03-01T12:00:00Z");
const at = (s: number) => new Date(NOON + s * 1000).toISOString();
const s = (ms: number) => (ms - NOON) / 1000;
const told = (run: Run, now = 100) => spans(run, NOON + now * 1000).map((span) => [span.kind, s(span.from), s(span.to)]);

function anAttempt(number: number, from: number, to: number, cause: Attempt["cause"] = null): Attempt {
  return { number, node: "a", started_at: at(from), ended_at: at(to), duration_s: to - from, cause, error: null, code_version: "" };
}

function aRun(more: Partial<Run>): Run {
  return {
    id: 1, worker: "fetch", origin: "trigger", status: "pending", priority: "normal", created_at: at(0), occurs_at: at(0), due_at: at(0),
    attempt: 0, attempts: [], claim: null, covers_until: null, missed: 0, key: null, digest: null, payload: null, forced: false,
    degraded: false, give_up_at: null, deadline_at: null, first_started_at: null, finished_at: null, cause: null, error: null, result: null, result_error: null,
    interruptions: 0, rescues: 0, cancel: null, progress: null, heartbeat_at: null, replay_of: null, caused_by: null, by: "", traceparent: null,
    by_calendar: false, masked: [], clock_set_us: 0, encoded_by: "", place_at: null, undecodable: "", unreadable: null,
    ...more,
  };
}

const claimed = (from: number) => ({ node: "a", fence: 1, at: at(from), probe: false, fallback: false, zombie_since: null });

test("from due to start a run waits, then it runs until now", () => {
  const run = aRun({ status: "running", attempt: 1, claim: claimed(10), first_started_at: at(10) });

  expect(told(run)).toEqual([["waiting", 0, 10], ["running", 10, 100]]);
});

test("between attempts it is in back-off, although its due moved", () => {
  const attempts = [anAttempt(1, 5, 8, "error"), anAttempt(2, 20, 30)];
  const run = aRun({ status: "succeeded", due_at: at(20), attempts, first_started_at: at(5), finished_at: at(30) });

  expect(told(run)).toEqual([["waiting", 0, 5], ["failed", 5, 8], ["back-off", 8, 20], ["succeeded", 20, 30]]);
});

test("a run that waits for its retry is in back-off until it is due", () => {
  const run = aRun({ due_at: at(140), attempt: 1, attempts: [anAttempt(1, 0, 8, "error")], first_started_at: at(0) });

  expect(told(run)).toEqual([["failed", 0, 8], ["back-off", 8, 140]]);
});

test("what is due later is planned, what is due waits", () => {
  expect(told(aRun({ due_at: at(300) }))).toEqual([["planned", 300, 300]]);
  expect(told(aRun({ due_at: at(40) }))).toEqual([["waiting", 40, 100]]);
});

test("what was cancelled before it started waited, and ended", () => {
  expect(told(aRun({ status: "cancelled", finished_at: at(50) }))).toEqual([["waiting", 0, 50], ["ended", 50, 50]]);
});

test("runs that overlap have lanes of their own, as many as there are", () => {
  const run = (from: number, to: number) => [{ kind: "running" as const, from, to }];

  expect(lanes([run(0, 10), run(5, 8), run(10, 12), run(11, 20)], 4)).toEqual({ of: [0, 1, 0, 1], count: 2 });
  expect(lanes([run(0, 10), run(0, 9), run(0, 8)], 2)).toEqual({ of: [0, 1, 1], count: 2 });
});

test("a run that changed stays in its place; a worker that is new comes last", () => {
  const said = { since: at(0), until: at(9), now: at(9), complete: true, rows: [{ worker: "fetch", runs: [aRun({}), aRun({ id: 2 })], planned: [] }] };
  const after = merged(said, [aRun({ status: "running" }), aRun({ id: 3 }), aRun({ id: 4, worker: "send" })], NOON, 10);

  expect(after.rows.map((row) => [row.worker, row.runs.map((run) => [run.id, run.status])])).toEqual([
    ["fetch", [[1, "running"], [2, "pending"], [3, "pending"]]],
    ["send", [[4, "pending"]]],
  ]);
});

test("a timeline keeps no more than it said at first, and says what is missing", () => {
  let said: Parameters<typeof merged>[0] = { since: at(0), until: at(9), now: at(9), complete: true, rows: [{ worker: "fetch", runs: [aRun({ id: 1_000_000 })], planned: [] }] };
  for (let id = 2; id < 2000; id++) said = merged(said, [aRun({ id, status: "succeeded", finished_at: at(id) })], NOON, 100);
  const kept = said.rows.flatMap((row) => row.runs.map((run) => run.id));

  expect(kept.length).toBeLessThanOrEqual(100);
  expect(kept).toContain(1_000_000);
  expect(kept).toContain(1999);
  expect(said.complete).toBe(false);
});

test("marks stand at round times of the zone", () => {
  const halfHour = 30 * 60_000;

  expect(ticks(NOON, NOON + 60 * 60_000, 5, 0).map(s)).toEqual([0, 900, 1800, 2700, 3600]);
  expect(ticks(NOON, NOON + 6 * 3_600_000, 4, halfHour).map(s)).toEqual([5400, 12600, 19800]);
});
