/* A timeline with what the stream has told since.  Pure.

   - It is bounded as the first answer is: beyond *most* those go that ended first, and what is shown says so. */

import type { Run, Timeline, TimelineRow } from "../api/schema";

/** Runs that ended before *since* are let go; the others stand where they stood, new ones behind them. */
export function merged(timeline: Timeline, newRuns: readonly Run[], since: number, most: number): Timeline {
  const fresh = new Map<string, Map<number, Run>>();
  for (const run of newRuns) {
    const those = fresh.get(run.worker) ?? new Map<number, Run>();
    fresh.set(run.worker, those.set(run.id, run));
  }
  if (fresh.size === 0) return timeline;
  const rows = timeline.rows.map((row) => withRuns(row, fresh.get(row.worker), since));
  const known = new Set(timeline.rows.map((row) => row.worker));
  for (const [worker, runs] of fresh) if (!known.has(worker)) rows.push({ worker, runs: [...runs.values()], planned: [] });
  return bounded({ ...timeline, rows }, most);
}

function bounded(timeline: Timeline, most: number): Timeline {
  const count = timeline.rows.reduce((sum, row) => sum + row.runs.length, 0);
  if (count <= most) return timeline;
  const ends = timeline.rows.flatMap((row) => row.runs.map((run) => run.finished_at ?? "")).filter((end) => end !== "");
  const first = ends.sort()[count - most + Math.floor(most / 10)] ?? ends.at(-1) ?? ""; // a tenth more, or each frame would sort all
  const rows = timeline.rows.map((row) => ({ ...row, runs: row.runs.filter((run) => run.finished_at === null || run.finished_at > first) }));
  return { ...timeline, rows, complete: false };
}

function withRuns(row: TimelineRow, fresh: ReadonlyMap<number, Run> | undefined, since: number): TimelineRow {
  if (fresh === undefined) return row;
  const kept = row.runs.filter((run) => run.finished_at === null || Date.parse(run.finished_at) >= since);
  const there = new Set(kept.map((run) => run.id));
  const runs = [...kept.map((run) => fresh.get(run.id) ?? run), ...[...fresh.values()].filter((run) => !there.has(run.id))];
  return { ...row, runs };
}
