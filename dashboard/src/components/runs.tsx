/* Runs as rows of a table, the same wherever runs are listed. */

import type { ComponentChildren } from "preact";
import { memo } from "preact/compat";
import type { Run } from "../api/schema";
import { duration, label, shortType } from "../format";
import { Progress, RunLink, WorkerLink } from "./bits";
import { Badge, stateOf } from "./status";
import { Ago, At, now, Since } from "./time";

export const FINAL = new Set(["succeeded", "dead", "cancelled", "skipped"]);

/** What created it. */
export const SOURCES = { occurrence: "schedule", iteration: "loop", trigger: "trigger", after: "upstream run", replay: "replay" } as const;

export function startedAt(run: Run): string | null {
  return run.claim?.at ?? run.attempts[0]?.started_at ?? run.first_started_at;
}

/** How long it took from its first start to its end; null before that. */
export function took(run: Run): number | null {
  if (run.finished_at === null || run.first_started_at === null) return null;
  return (Date.parse(run.finished_at) - Date.parse(run.first_started_at)) / 1000;
}

export function Duration({ run }: { run: Run }) {
  const s = took(run);
  if (s !== null) return <>{duration(s)}</>;
  if (run.status === "running" && run.claim !== null) return <Since at={run.claim.at} />;
  return <span class="muted">–</span>;
}

/** The one thing to know about it beside its status. */
export function Note({ run }: { run: Run }) {
  if (run.unreadable !== null) return <span class="bad clip" title={run.unreadable.reason}>row cannot be read</span>;
  if (run.status === "running" && run.progress !== null) return <Progress progress={run.progress} />;
  const isRetrying = stateOf(run) === "retrying";
  if (run.error !== null && run.status !== "succeeded") {
    return (
      <span class="clip" title={`${run.error.type}: ${run.error.message}`}>
        {isRetrying && <Next at={run.due_at} isRetrying />} <span class="error-type">{shortType(run.error.type)}</span> {run.error.message}
      </span>
    );
  }
  if (run.status === "pending") {
    return (
      <span class="muted clip">
        <Next at={run.due_at} isRetrying={isRetrying} />
      </span>
    );
  }
  if (run.cause !== null) return <span class="muted">{label(run.cause)}</span>;
  if (run.key !== null) return <span class="muted clip mono">{run.key}</span>;
  return null;
}

/** "due in 4 s", "retrying in 4 s"; "was due 2 min ago". */
function Next({ at, isRetrying }: { at: string; isRetrying: boolean }) {
  return (
    <span class="muted">
      {Date.parse(at) < now.value - 1000 ? "was due" : isRetrying ? "retrying" : "due"} <Ago at={at} />
    </span>
  );
}

export interface Choosing {
  chosen: boolean;
  choose: (id: number) => void;
}

interface RowProps {
  run: Run;
  withWorker?: boolean;
  choosing?: Choosing | undefined;
  actions?: ComponentChildren;
}

export const RunRow = memo(function RunRow({ run, withWorker = true, choosing, actions }: RowProps) {
  return (
    <tr data-row={run.id} aria-selected={choosing?.chosen}>
      {choosing && (
        <td class="tick">
          <input type="checkbox" aria-label={`Select run ${run.id}`} checked={choosing.chosen} onChange={() => choosing.choose(run.id)} />
        </td>
      )}
      <td class="fit">
        <Badge status={stateOf(run)} quiet={run.status === "succeeded"} />
      </td>
      <th scope="row" class="fit">
        <RunLink id={run.id} open />
      </th>
      {withWorker && (
        <td class="fit">
          <WorkerLink name={run.worker} />
        </td>
      )}
      <td class="grow">
        <Note run={run} />
      </td>
      <td class="fit number c-l">{run.attempt > 1 ? run.attempt : ""}</td>
      <td class="fit muted c-l">{SOURCES[run.origin]}</td>
      <td class="fit number">
        <Duration run={run} />
      </td>
      <td class="fit number muted c-m">
        <At at={run.finished_at ?? startedAt(run) ?? run.due_at} />
      </td>
      {actions !== undefined && <td class="fit row-actions c-m">{actions}</td>}
    </tr>
  );
});

export function RunHead({ withWorker = true, tick, actions = false }: { withWorker?: boolean; tick?: ComponentChildren; actions?: boolean }) {
  return (
    <thead>
      <tr>
        {tick !== undefined && <td class="tick">{tick}</td>}
        <th scope="col">Status</th>
        <th scope="col">Run</th>
        {withWorker && <th scope="col">Worker</th>}
        <th scope="col" class="grow">
          <span class="hide">Note</span>
        </th>
        <th scope="col" class="number c-l">
          Attempt
        </th>
        <th scope="col" class="c-l">
          Source
        </th>
        <th scope="col" class="number">
          Duration
        </th>
        <th scope="col" class="number c-m">
          Time
        </th>
        {actions && (
          <td class="c-m">
            <span class="hide">Actions</span>
          </td>
        )}
      </tr>
    </thead>
  );
}
