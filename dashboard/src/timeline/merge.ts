/* A timeline with what the stream has told since.  Pure. */

import type { Run, Timeline, TimelineRow } from "../api/schema";

/** Runs that ended before *since* are let go; the others stand where they stood, new ones behind them. */
export function merged(said: Timeline, told: readonly Run[], since: number): Timeline {
  const fresh = new Map<string, Map<number, Run>>();
  for (const run of told) {
    const those = fresh.get(run.worker) ?? new Map<number, Run>();
    fresh.set(run.worker, those.set(run.id, run));
  }
  if (fresh.size === 0) return said;
  const rows = said.rows.map((row) => withRuns(row, fresh.get(row.worker), since));
  const known = new Set(said.rows.map((row) => row.worker));
  for (const [worker, runs] of fresh) if (!known.has(worker)) rows.push({ worker, runs: [...runs.values()], planned: [] });
  return { ...said, rows };
}

function withRuns(row: TimelineRow, fresh: ReadonlyMap<number, Run> | undefined, since: number): TimelineRow {
  if (fresh === undefined) return row;
  const kept = row.runs.filter((run) => run.finished_at === null || Date.parse(run.finished_at) >= since);
  const there = new Set(kept.map((run) => run.id));
  const runs = [...kept.map((run) => fresh.get(run.id) ?? run), ...[...fresh.values()].filter((run) => !there.has(run.id))];
  return { ...row, runs };
}
