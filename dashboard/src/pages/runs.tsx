/* Runs by worker, status, key, error and time; all that match can be cancelled at once. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, sentence } from "../api/client";
import type { Run, Runs as Page } from "../api/schema";
import { mayDoToMany } from "../api/permissions";
import { may } from "../api/session";
import { useStableRows } from "../live/stableRows";
import { useFrames } from "../live/hooks";
import { extended, NONE, PAGE, patched, renewed, wanted, type RunList, type RunQuery } from "../live/runs";
import { instantOf } from "../live/since";
import { epoch, skewMs } from "../live/stream";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Empty, Fresh, Head, Loading, Trouble } from "../components/bits";
import { Action, CancelButton } from "../components/actions";
import { openBulk } from "../components/bulk";
import { Chips, Search, SinceChoice } from "../components/filters";
import { RunHead, RunRow } from "../components/runs";

const STATUSES = ["pending", "running", "succeeded", "dead", "cancelled", "skipped"];

export function Runs() {
  const { query } = route.value;
  const about = query.toString();
  const asked = useMemo<RunQuery>(
    () => ({
      worker: query.get("worker") ?? "",
      status: query.getAll("status"),
      key: query.get("key") ?? "",
      error: query.get("error") ?? "",
      since: instantOf(query.get("since"), Date.now() + skewMs.peek()),
    }),
    [about],
  );
  const { list, error, reading, more } = useRuns(asked, about);
  const ids = useMemo(() => wanted(list, asked), [list, asked]);
  const held = useStableRows(ids, false, about);
  const last = useRef(new Map<number, Run>()); // a row that is held shows the run as it was last
  for (const id of held.shown) {
    const run = list.runs.get(id);
    if (run !== undefined) last.current.set(id, run);
  }
  const unfinished = [...list.runs.values()].filter(isLive).map((run) => run.worker);
  const names = whole.value?.order ?? [];
  return (
    <>
      <Head title="Runs" about={<Words asked={asked} />}>
        <CancelAll asked={asked} of={unfinished} />
      </Head>
      <div class="filters" role="search" aria-label="Filter runs">
        <Search value={asked.worker} onValue={(worker) => refine({ worker })} label="Worker" placeholder="Worker" list={names} />
        <Search main={false} value={asked.key} onValue={(key) => refine({ key })} label="Key" placeholder="Key" />
        <Search main={false} value={asked.error} onValue={(value) => refine({ error: value })} label="Error type" placeholder="Error type" />
        <SinceChoice value={query.get("since") ?? ""} />
        <Chips label="Status" name="status" chosen={asked.status} options={STATUSES.map((status) => ({ value: status, status }))} />
        {about !== "" && (
          <button type="button" class="small" onClick={() => refine({ worker: null, status: null, key: null, error: null, since: null })}>
            Clear
          </button>
        )}
      </div>
      {error && <Trouble error={error} />}
      {held.shown.length === 0 ? (
        reading ? (
          <Loading />
        ) : (
          !error && <NoRuns filtered={about !== ""} />
        )
      ) : (
        <div class="table" {...held.touch}>
          <Fresh waiting={held.waiting} show={held.show} what={held.waiting === 1 ? "run" : "runs"} />
          <table>
            <caption class="hide">Runs, newest first</caption>
            <RunHead actions={may("operator")} />
            <tbody>
              {held.shown.map((id) => {
                const run = last.current.get(id);
                return run && <RunRow key={id} run={run} actions={may("operator") ? isLive(run) && run.cancel === null ? <CancelButton run={id} worker={run.worker} small /> : null : undefined} />;
              })}
            </tbody>
          </table>
          {list.next !== null && (
            <button type="button" class="more-rows" disabled={reading} onClick={more}>
              {reading ? "Loading…" : "Load more"}
            </button>
          )}
        </div>
      )}
    </>
  );
}

function isLive(run: Run): boolean {
  return run.status === "pending" || run.status === "running";
}

/** Pages of the API, alive. */
function useRuns(asked: RunQuery, about: string) {
  const [state, setState] = useState<{ about: string; list: RunList; error: string; reading: boolean }>({ about, list: NONE, error: "", reading: true });
  const latest = useRef(asked);
  latest.current = asked;
  const looked = epoch.value;
  const shown = useRef(state);
  shown.current = state;
  const newRuns = useRef<Run[]>([]); // since the last question: an answer may be older
  const ask = (cursor: number | null, limit: number, signal?: AbortSignal) => {
    const { worker, status, key, error, since } = latest.current;
    return get<Page>("runs", { worker, status, key, error, since, cursor, limit }, signal);
  };
  useEffect(() => {
    const gone = new AbortController();
    setState((before) => ({ about, list: before.about === about ? before.list : NONE, error: "", reading: true }));
    newRuns.current = [];
    renewed(shown.current.about === about ? shown.current.list : NONE, (cursor, limit) => ask(cursor, limit, gone.signal)).then(
      (list) => {
        if (!gone.signal.aborted) setState({ about, list: patched(list, newRuns.current, latest.current), error: "", reading: false });
      },
      (error: unknown) => {
        if (!gone.signal.aborted) setState((before) => ({ ...before, error: sentence(error), reading: false }));
      },
    );
    return () => gone.abort();
  }, [about, looked]);
  useFrames("run", (runs) => {
    newRuns.current.push(...runs);
    if (!shown.current.reading) newRuns.current = [];
    setState((before) => (before.about === about ? { ...before, list: patched(before.list, runs, latest.current) } : before));
  });
  const more = () => {
    setState((before) => ({ ...before, reading: true }));
    ask(state.list.next, PAGE).then(
      ({ runs, next }) => setState((before) => ({ ...before, list: extended(before.list, runs, next), reading: false })),
      (error: unknown) => setState((before) => ({ ...before, error: sentence(error), reading: false })),
    );
  };
  return state.about === about ? { ...state, more } : { list: NONE, error: "", reading: true, more };
}

function Words({ asked }: { asked: RunQuery }) {
  const status = asked.status.length > 0 && asked.status.join(" or ");
  const parts = [asked.worker && `of ${asked.worker}`, status, asked.key && `key ${asked.key}`, asked.error && `error ${asked.error}`, asked.since && "recent"].filter(Boolean);
  return <>{parts.length > 0 ? `Runs ${parts.join(", ")}` : "All runs"}, newest first</>;
}

/** Unfinished ones of this worker and status: what the API can cancel at once. */
function CancelAll({ asked, of }: { asked: RunQuery; of: readonly string[] }) {
  const status = asked.status.length === 0 ? ["pending", "running"] : asked.status.filter((each) => each === "pending" || each === "running");
  const canFilter = asked.key === "" && asked.error === "" && asked.since === null && status.length > 0;
  if (!canFilter || !mayDoToMany("operator", "cancel_many", "cancel", asked.worker || null, of)) return null;
  const words = status.join(" or ");
  return (
    <Action
      name="Cancel all matching…"
      grave
      open={() =>
        openBulk({
          what: "Cancel",
          done: "cancelled",
          path: "runs/cancel",
          filter: { worker: asked.worker || null, status },
          words: (
            <>
              {words}
              {asked.worker ? (
                <>
                  {" "}
                  of <code>{asked.worker}</code>
                </>
              ) : (
                " of all workers"
              )}
              .
            </>
          ),
          one: "run",
          about: "Pending runs are cancelled at once. Running ones are asked to stop. None of them is retried.",
          grave: true,
          note: "reason",
          changed: () => undefined,
        })
      }
    />
  );
}

function NoRuns({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Empty title="No matching runs">
      <button type="button" onClick={() => refine({ worker: null, status: null, key: null, error: null, since: null })}>
        Show all runs
      </button>
    </Empty>
  ) : (
    <Empty title="No runs yet" code={`shiftboss trigger NAME key=value`}>
      Schedules and triggers create runs.
    </Empty>
  );
}
