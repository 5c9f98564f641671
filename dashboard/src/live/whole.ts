/* The status as it is now: what the API said, with what the stream has told since.

   - Whoever has not changed keeps its object, so a row that has not changed is not drawn again. */

import { signal } from "@preact/signals";
import { get } from "../api/client";
import type { StatusChange, SystemStatus, WorkerStatus } from "../api/schema";
import { on } from "./stream";

export interface Whole extends Omit<SystemStatus, "workers"> {
  workers: ReadonlyMap<string, WorkerStatus>;
  order: readonly string[]; // disabled first, then the worst
}

export const whole = signal<Whole | null>(null);

export function snapshot(said: SystemStatus): Whole {
  const order = said.workers.map((worker) => worker.name);
  return { ...said, workers: new Map(said.workers.map((worker) => [worker.name, worker])), order };
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

export async function readWhole(): Promise<void> {
  whole.value = snapshot(await get<SystemStatus>("status"));
}

on("status", (changes) => {
  whole.value = changes.reduce(merge, whole.peek());
});
