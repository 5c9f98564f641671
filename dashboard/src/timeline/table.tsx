/* The timeline as a table: the same runs, the newest first. */

import type { TimelineRow } from "../api/schema";
import { duration } from "../format";
import { RunLink, WorkerLink } from "../components/bits";
import { Badge, stateOf } from "../components/status";
import { At, now } from "../components/time";
import { spans } from "./spans";

const MOST = 500;

export function Table({ rows }: { rows: readonly TimelineRow[] }) {
  const runs = rows.flatMap((row) => row.runs).sort((one, other) => other.id - one.id);
  const at = now.value;
  return (
    <>
      {runs.length > MOST && <p class="timeline-note">The newest {MOST} of {runs.length} runs are listed.</p>}
      <div class="table" role="region" aria-label="Runs in this window">
        <table>
          <caption class="hide">Runs in this window, newest first</caption>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">Run</th>
              <th scope="col">Status</th>
              <th scope="col">Due</th>
              <th scope="col" class="number c-m">
                Waited
              </th>
              <th scope="col" class="number">
                Ran
              </th>
              <th scope="col" class="number c-m">
                Attempts
              </th>
            </tr>
          </thead>
          <tbody>
            {runs.slice(0, MOST).map((run) => {
              const parts = spans(run, at);
              const lasted = (...kinds: string[]) => parts.filter((part) => kinds.includes(part.kind)).reduce((sum, part) => sum + part.to - part.from, 0) / 1000;
              return (
                <tr key={run.id}>
                  <td>
                    <WorkerLink name={run.worker} />
                  </td>
                  <th scope="row" class="fit">
                    <RunLink id={run.id} />
                  </th>
                  <td class="fit">
                    <Badge status={stateOf(run)} />
                  </td>
                  <td class="fit">
                    <At at={run.due_at} />
                  </td>
                  <td class="fit number c-m">{duration(lasted("waiting"))}</td>
                  <td class="fit number">{run.first_started_at === null ? "–" : duration(lasted("running", "succeeded", "failed", "ended"))}</td>
                  <td class="fit number c-m">{parts.filter((part) => part.number !== undefined).length}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <Planned rows={rows} />
    </>
  );
}

function Planned({ rows }: { rows: readonly TimelineRow[] }) {
  const those = rows.filter((row) => row.planned.length > 0);
  if (those.length === 0) return null;
  return (
    <details class="timeline-planned">
      <summary>Planned</summary>
      <ul>
        {those.map((row) => (
          <li key={row.worker}>
            <WorkerLink name={row.worker} />{" "}
            {row.planned.slice(0, 20).map((at) => (
              <span key={at} class="number">
                <At at={at} />{" "}
              </span>
            ))}
          </li>
        ))}
      </ul>
    </details>
  );
}
