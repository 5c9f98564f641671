/* What ran when, worker by worker: waiting, running, failed, in back-off, planned; drawn, alive, and the same as a table.

   - `#/timeline?window=6h&worker=NAME&as=table`: what is shown has an address.
   - Rows stand in the order of their names, whatever happens.  Only those in sight are drawn. */

import { useMemo } from "preact/hooks";
import { get } from "../api/client";
import type { Timeline as TimelineData, TimelineRow } from "../api/schema";
import { useQuery } from "../live/useQuery";
import { useFrames } from "../live/hooks";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Empty, Loading, Trouble } from "../components/bits";
import { Search } from "../components/filters";
import { now } from "../components/time";
import { ahead, WINDOWS, type Window } from "./axis";
import { Legend } from "./legend";
import { merged } from "./merge";
import { Rows } from "./rows";
import { Table } from "./table";
import "./timeline.css";

const LIMIT = 3000;

export function Timeline() {
  const { query } = route.value;
  const window = (Object.keys(WINDOWS) as Window[]).find((each) => each === query.get("window")) ?? "1h";
  const worker = query.get("worker") ?? "";
  const isTable = query.get("as") === "table";
  const { ms } = WINDOWS[window];
  const asked = useQuery(`timeline ${window} ${worker}`, (signal) => {
    const at = now.peek();
    const asks = { since: iso(at - ms), until: iso(at + ahead(window)), worker, limit: LIMIT };
    return get<TimelineData>("timeline", asks, signal);
  });
  useFrames("run", (runs) => asked.change((timeline) => merged(timeline, worker ? runs.filter((run) => run.worker === worker) : runs, now.peek() - ms, LIMIT)));
  const isOld = asked.data !== null && now.value - Date.parse(asked.data.now) > ahead(window) / 2;
  if (isOld) asked.again(); // for what is planned by now

  return (
    <div class="timeline">
      <Choice window={window} worker={worker} isTable={isTable} />
      <Legend />
      {asked.error !== null && asked.data === null ? (
        <Trouble error={asked.error} />
      ) : asked.data === null ? (
        <Loading />
      ) : (
        <Shown timeline={asked.data} window={window} isTable={isTable} />
      )}
    </div>
  );
}

function Choice({ window, worker, isTable }: { window: Window; worker: string; isTable: boolean }) {
  const names = [...(whole.value?.workers.keys() ?? [])].sort();
  const areAll = names.length === (whole.value?.totals.workers ?? 0);
  return (
    <div class="timeline-choice">
      <label>
        Last{" "}
        <select value={window} onChange={(event) => refine({ window: event.currentTarget.value === "1h" ? null : event.currentTarget.value })}>
          {Object.entries(WINDOWS).map(([key, { word }]) => (
            <option key={key} value={key}>
              {word}
            </option>
          ))}
        </select>
      </label>
      {areAll ? (
        <label>
          Worker{" "}
          <select value={worker} onChange={(event) => refine({ worker: event.currentTarget.value })}>
            <option value="">all</option>
            {(worker && !names.includes(worker) ? [worker, ...names] : names).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <Search main={false} value={worker} onValue={(name) => refine({ worker: name })} label="Worker" placeholder="Worker" list={names} />
      )}
      <button type="button" aria-pressed={isTable} onClick={() => refine({ as: isTable ? null : "table" })}>
        As table
      </button>
    </div>
  );
}

function Shown({ timeline, window, isTable }: { timeline: TimelineData; window: Window; isTable: boolean }) {
  const rows = useMemo<TimelineRow[]>(() => [...timeline.rows].sort((one, other) => (one.worker < other.worker ? -1 : 1)), [timeline]);
  if (rows.length === 0) {
    return (
      <Empty title={`No runs in the last ${WINDOWS[window].word}, and none planned`} code={`shiftboss trigger NAME`}>
        Runs appear here as soon as they are created.
      </Empty>
    );
  }
  return (
    <>
      {!timeline.complete && <p class="timeline-note">Too many runs to draw: older ones are left out. Choose a shorter time or one worker.</p>}
      {isTable ? <Table rows={rows} /> : <Rows rows={rows} window={window} />}
    </>
  );
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

