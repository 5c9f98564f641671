/* A list of runs that is alive: pages of the API, with what the stream has told since.  Pure.

   - A run keeps its row when it changes; one that no longer fits stays until nobody touches the list.
   - It is bounded: beyond MOST the oldest go. */

import type { Run } from "../api/schema";

export const MOST = 2000;
export const PAGE = 50;
const MOST_AT_ONCE = 500; // of the API

export interface RunQuery {
  worker: string;
  status: readonly string[];
  key: string;
  error: string;
  since: string | null; // an instant
}

export interface RunList {
  runs: ReadonlyMap<number, Run>;
  next: number | null;
}

export const NONE: RunList = { runs: new Map(), next: null };

export function fits(run: Run, asked: RunQuery): boolean {
  return (
    (asked.worker === "" || run.worker === asked.worker) &&
    (asked.status.length === 0 || asked.status.includes(run.status)) &&
    (asked.key === "" || run.key === asked.key) &&
    (asked.error === "" || run.error?.type === asked.error) &&
    (asked.since === null || run.finished_at === null || run.finished_at >= asked.since)
  );
}

/** What the stream told: known runs change, and new ones that fit are added. */
export function patched(list: RunList, newRuns: readonly Run[], asked: RunQuery): RunList {
  const oldest = list.next ?? 0; // below it begins the next page, which is not read yet
  const seen = newRuns.filter((run) => list.runs.has(run.id) || (run.id >= oldest && fits(run, asked)));
  if (seen.length === 0) return list;
  const runs = new Map(list.runs);
  for (const run of seen) runs.set(run.id, run);
  if (runs.size <= MOST) return { runs, next: list.next };
  const kept = [...runs.keys()].sort((one, other) => other - one).slice(0, MOST);
  return { runs: new Map(kept.map((id) => [id, runs.get(id) as Run])), next: kept.at(-1) ?? null };
}

/** A further page. */
export function extended(list: RunList, page: readonly Run[], next: number | null): RunList {
  const runs = new Map(list.runs);
  for (const run of page) if (!runs.has(run.id)) runs.set(run.id, run);
  return { runs, next };
}

export type Ask = (cursor: number | null, limit: number) => Promise<{ runs: readonly Run[]; next: number | null }>;

/** The same stretch anew, down to where it was read before: no hole between what is new and what was there. */
export async function renewed(list: RunList, ask: Ask): Promise<RunList> {
  const runs = new Map<number, Run>();
  const end = list.next ?? 0;
  let next: number | null = null;
  do {
    const page = await ask(next, Math.min(MOST_AT_ONCE, PAGE + list.runs.size));
    for (const run of page.runs) runs.set(run.id, run);
    next = page.next;
  } while (list.runs.size > 0 && next !== null && next > end && runs.size < MOST);
  if (list.next === null || (next !== null && next > end)) return { runs, next };
  for (const id of runs.keys()) if (id < end) runs.delete(id);
  return { runs, next: end };
}

/** The ids to show, newest first. */
export function wanted(list: RunList, asked: RunQuery): number[] {
  return [...list.runs.values()]
    .filter((run) => fits(run, asked))
    .map((run) => run.id)
    .sort((one, other) => other - one);
}
