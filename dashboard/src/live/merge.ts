/* The status put together from what was said at first and what has changed since.  Pure.

   - Whoever has not changed keeps its object, so a row that has not changed is not drawn again. */

import type { StatusChange, SystemStatus, WorkerStatus } from "../api/schema";

export interface Whole extends Omit<SystemStatus, "workers" | "matching" | "next"> {
  workers: ReadonlyMap<string, WorkerStatus>; // those that need attention first; there may be more: `totals` counts all
  order: readonly string[]; // of these; disabled first, then the worst
  revision: number; // grows when any worker changes, also one that is not among these
}

export function snapshot(status: SystemStatus): Whole {
  const order = status.workers.map((worker) => worker.name);
  const { at, health, reasons, nodes, running, store, totals } = status;
  const workers = new Map(status.workers.map((worker) => [worker.name, worker]));
  return { at, health, reasons, nodes, running, store, totals, workers, order, revision: 0 };
}

/** Null while there is nothing to change. */
export function merge(before: Whole | null, change: StatusChange): Whole | null {
  if (before === null && !change.full) return null;
  const workers = new Map(change.full ? [] : before?.workers);
  for (const worker of change.workers) workers.set(worker.name, worker);
  for (const name of change.forgotten) workers.delete(name);
  const order = change.order ?? before?.order.filter((name) => workers.has(name)) ?? [...workers.keys()];
  const { at, health, reasons, nodes, running, store, totals, revision } = change;
  return { at, health, reasons, nodes, running, store, totals, revision, workers, order };
}
