/* The status put together from what was said at first and what has changed since.  Pure.

   - Whoever has not changed keeps its object, so a row that has not changed is not drawn again. */

import type { StatusChange, SystemStatus, WorkerStatus } from "../api/schema";

export interface Whole extends Omit<SystemStatus, "workers"> {
  workers: ReadonlyMap<string, WorkerStatus>;
  order: readonly string[]; // disabled first, then the worst
}

export function snapshot(status: SystemStatus): Whole {
  const order = status.workers.map((worker) => worker.name);
  return { ...status, workers: new Map(status.workers.map((worker) => [worker.name, worker])), order };
}

/** Null while there is nothing to change. */
export function merge(before: Whole | null, change: StatusChange): Whole | null {
  if (before === null && !change.full) return null;
  const workers = new Map(change.full ? [] : before?.workers);
  for (const worker of change.workers) workers.set(worker.name, worker);
  for (const name of change.forgotten) workers.delete(name);
  const order = change.order ?? before?.order.filter((name) => workers.has(name)) ?? [...workers.keys()];
  const { at, health, reasons, nodes, running, store } = change;
  return { at, health, reasons, nodes, running, store, workers, order };
}
