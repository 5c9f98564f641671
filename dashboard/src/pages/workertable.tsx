/* Workers as a table, which keeps still while it is touched. */

import { memo } from "preact/compat";
import type { WorkerStatus } from "../api/schema";
import { capped, count } from "../format";
import { useStableRows } from "../live/stableRows";
import { Fresh, WorkerLink } from "../components/bits";
import { look, Badge } from "../components/status";
import { Glyph } from "../components/glyph";
import { Ago, Due, Timed } from "../components/time";
import { href } from "../routes";

export function WorkerTable({ names, workers, about }: { names: readonly string[]; workers: ReadonlyMap<string, WorkerStatus>; about: string }) {
  const { shown, waiting, show, touch } = useStableRows(names, false, about);
  return (
    <div class="table" {...touch}>
      <Fresh waiting={waiting} show={show} what={waiting === 1 ? "worker" : "workers"} />
      <table>
        <caption class="hide">Workers</caption>
        <thead>
          <tr>
            <th scope="col">Worker</th>
            <th scope="col">Health</th>
            <th scope="col" class="grow c-l">
              <span class="hide">Why</span>
            </th>
            <th scope="col" class="c-m">
              Schedule
            </th>
            <th scope="col" class="number c-m">
              Last run
            </th>
            <th scope="col" class="number">
              Next
            </th>
            <th scope="col" class="number c-m">
              Running
            </th>
            <th scope="col" class="number c-m">
              Pending
            </th>
            <th scope="col" class="number">
              Dead letters
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((name) => {
            const worker = workers.get(name);
            return worker === undefined ? null : <Row key={name} it={worker} />;
          })}
        </tbody>
      </table>
    </div>
  );
}

const Row = memo(function Row({ it }: { it: WorkerStatus }) {
  return (
    <tr data-row={it.name}>
      <th scope="row">
        <WorkerLink name={it.name} open />
      </th>
      <td class="fit">
        <Badge status={it.health} quiet={it.health === "healthy"} />
      </td>
      <td class="grow c-l">
        <span class="muted clip"><Timed text={it.reasons[0]?.text ?? it.holds[0]?.text ?? ""} /></span>
      </td>
      <td class="fit muted c-m">{it.schedule || it.mode}</td>
      <td class="fit number c-m">
        <LastRun it={it} />
      </td>
      <td class="fit number">
        <Next it={it} />
      </td>
      <td class="fit number c-m">
        <Number value={it.running} to={href("runs", null, { worker: it.name, status: "running" })} what="running" />
      </td>
      <td class="fit number c-m">
        <Number value={it.pending} to={href("runs", null, { worker: it.name, status: "pending" })} what="pending" />
      </td>
      <td class="fit number">
        <Number value={it.dead_letters} to={href("dead", null, { worker: it.name })} what="dead letters" tone="bad" />
      </td>
    </tr>
  );
});

function Number({ value, to, what, tone = "" }: { value: number; to: string; what: string; tone?: string }) {
  return value === 0 ? (
    <span class="faint">0</span>
  ) : (
    <a class={`plain ${tone}`} href={to} aria-label={`${count(value)} ${what}`}>
      {capped(value)}
    </a>
  );
}

function LastRun({ it }: { it: WorkerStatus }) {
  if (it.last_run_at === null) return <span class="faint">never</span>;
  const ended = it.latest === null ? null : look(it.latest.ok ? "succeeded" : "failed");
  return (
    <span class="last">
      <Ago at={it.last_run_at} />
      {ended && (
        <span class={`status ${ended.tone}`} title={ended.word}>
          <Glyph name={ended.glyph} size={12} />
          <span class="hide">{ended.word}</span>
        </span>
      )}
    </span>
  );
}

function Next({ it }: { it: WorkerStatus }) {
  if (!it.enabled) return <span class="faint">disabled</span>;
  if (it.paused) return <span class="faint">paused</span>;
  if (it.next_due_at === null) return <span class="faint">{it.mode === "triggered" ? "on trigger" : "–"}</span>;
  return <Due at={it.next_due_at} />;
}
