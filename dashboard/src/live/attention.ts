/* What needs attention first, why, and what helps.  Pure.

   - One entry per worker, the worst first; what is only a consequence of another entry stands in its reasons.
   - Every entry has something that helps: an action, or the place where the answer is.
   - What makes nothing less healthy needs no attention: `remarks`. */

import type { HealthReason, Hold, WorkerStatus } from "../api/schema";
import type { Whole } from "./merge";

export type Help =
  | { kind: "enable"; worker: string }
  | { kind: "trigger"; worker: string }
  | { kind: "cancel"; worker: string; run: number }
  | { kind: "letters"; worker: string | null; count: number }
  | { kind: "reset"; worker: string }
  | { kind: "waiting"; worker: string }
  | { kind: "worker"; worker: string }
  | { kind: "fleet" };

export interface Entry {
  key: string;
  status: string;
  worker: string | null;
  title: string;
  reasons: readonly string[];
  error: string | null;
  until: string | null; // when it may change by itself
  holds: readonly Hold[];
  helps: readonly Help[];
}

const LONG_S = 60; // due, and still waiting
export const ILL: readonly string[] = ["disabled", "unhealthy", "offline", "degraded"];
const WEIGHT: Record<string, number> = { unhealthy: 0, offline: 1, degraded: 3, disabled: 2 };

export function attention(whole: Whole, now: number): Entry[] {
  const workers = [...whole.workers.values()];
  const entries = [...workers.flatMap((worker) => ofWorker(worker, whole, now)), ...whole.reasons.filter(({ worker, severity }) => worker === "" && severity !== "healthy").map(ofWhole)];
  const dead = workers.filter((worker) => worker.dead_letters > 0 && !entries.some((entry) => entry.worker === worker.name));
  const letters = whole.totals.dead_letters;
  if (dead.length > 0 && !entries.some((entry) => entry.key === "dead_letters")) entries.push(ofLetters(dead, letters));
  return entries.sort((one, other) => weight(one) - weight(other));
}

/** How many workers need attention beside those that were sent. */
export function unshown(whole: Whole): number {
  const all = ILL.reduce((sum, health) => sum + (whole.totals.health[health] ?? 0), 0);
  return all - [...whole.workers.values()].filter((worker) => ILL.includes(worker.health)).length;
}

/** What is only said. */
export function remarks(whole: Whole): string[] {
  return whole.reasons.filter(({ worker, severity }) => worker === "" && severity === "healthy").map(({ text }) => text);
}

/** A store that takes no work comes first: nothing else can be helped before it. */
function weight(entry: Entry): number {
  return entry.worker === null && entry.key === "store" ? -1 : (WEIGHT[entry.status] ?? 4);
}

function ofWorker(worker: WorkerStatus, whole: Whole, now: number): Entry[] {
  const late = worker.next_due_at === null ? 0 : (now - Date.parse(worker.next_due_at)) / 1000;
  const waitsLong = worker.enabled && worker.holds.length > 0 && late > LONG_S;
  if (worker.reasons.length === 0 && !waitsLong) return [];
  const failing = worker.reasons.some(({ fact }) => fact === "failure_rate" || fact === "breaker" || fact === "disabled");
  const { last_error: error } = worker;
  return [
    {
      key: worker.name,
      status: worker.reasons.length > 0 ? worker.health : "pending",
      worker: worker.name,
      title: worker.name,
      reasons: worker.reasons.map(({ text }) => text),
      error: failing && error ? `${error.type}: ${error.message}` : null,
      until: worker.breaker_until,
      holds: waitsLong ? worker.holds : [],
      helps: helpsFor(worker, whole),
    },
  ];
}

function helpsFor(worker: WorkerStatus, whole: Whole): Help[] {
  const { name } = worker;
  const entries: Help[] = [];
  for (const { fact } of worker.reasons) {
    if (fact === "disabled") entries.push({ kind: "enable", worker: name });
    else if (fact === "no_success") entries.push({ kind: "trigger", worker: name });
    else if (fact === "offline") entries.push({ kind: "fleet" });
    else if (fact === "backlog") entries.push({ kind: "waiting", worker: name });
    else if (fact === "breaker") entries.push({ kind: "reset", worker: name });
    else if (fact === "stuck" || fact === "zombie") entries.push(...stuck(worker, whole));
  }
  if (worker.dead_letters > 0) entries.push({ kind: "letters", worker: name, count: worker.dead_letters });
  if (entries.length === 0) entries.push({ kind: "worker", worker: name });
  return entries;
}

function stuck(worker: WorkerStatus, whole: Whole): Help[] {
  const runs = whole.running.filter((run) => run.worker === worker.name && !run.cancelling);
  const worst = runs.find((run) => run.zombie) ?? runs[0];
  return worst === undefined ? [] : [{ kind: "cancel", worker: worker.name, run: worst.run }];
}

function ofWhole(reason: HealthReason): Entry {
  const helps: Help[] = reason.fact === "dead_letters" ? [{ kind: "letters", worker: null, count: 0 }] : [{ kind: "fleet" }];
  return { key: reason.fact, status: reason.severity, worker: null, title: reason.fact.replaceAll("_", " "), reasons: [reason.text], error: null, until: null, holds: [], helps };
}

function ofLetters(workers: readonly WorkerStatus[], all: number): Entry {
  const most = [...workers].sort((one, other) => other.dead_letters - one.dead_letters);
  const named = most.slice(0, 3).map((worker) => `${worker.dead_letters} of ${worker.name}`);
  const first = most[0];
  const error = first?.last_error ?? null;
  const one = workers.length === 1 && first !== undefined;
  return {
    key: "letters",
    status: "dead",
    worker: null,
    title: all === 1 ? "1 dead letter" : `${all} dead letters`,
    reasons: [`${named.join(", ")}${most.length > 3 ? `, ${most.length - 3} more workers` : ""}`],
    error: one && error !== null ? `${error.type}: ${error.message}` : null,
    until: null,
    holds: [],
    helps: [{ kind: "letters", worker: one ? first.name : null, count: all }],
  };
}
