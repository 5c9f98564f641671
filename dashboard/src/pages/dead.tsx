/* Dead letters by worker and error; a group opens, and all that match can be replayed, resolved or discarded at once. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import type { DeadGroup, DeadLetter, Groups, Letters } from "../api/schema";
import { mayDoToMany } from "../api/permissions";
import type { Role } from "../api/session";
import { count, label, plural, shortType } from "../format";
import { useQuery } from "../live/useQuery";
import { useStableRows } from "../live/stableRows";
import { useFrames } from "../live/hooks";
import { instantOf } from "../live/since";
import { skewMs } from "../live/stream";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Action, LetterButtons } from "../components/actions";
import { Empty, Fresh, Head, Loading, RunLink, Trouble, WorkerLink } from "../components/bits";
import { openBulk, type Many } from "../components/bulk";
import { openExport } from "../components/export";
import { Search, SinceChoice } from "../components/filters";
import { Glyph } from "../components/glyph";
import { Badge } from "../components/status";
import { Ago, At } from "../components/time";

const CLOSED = ["replayed", "resolved", "discarded", "superseded"];
const PAGE = 50;

interface Filter {
  worker: string | null;
  error: string | null;
  since: string | null;
}

export function Dead() {
  const { query } = route.value;
  const about = query.toString();
  const filter = useMemo<Filter>(
    () => ({ worker: query.get("worker"), error: query.get("error"), since: instantOf(query.get("since"), Date.now() + skewMs.peek()) }),
    [about],
  );
  const state = query.get("state") ?? "open";
  const [chosen, setChosen] = useState<Chosen>(new Map());
  useEffect(() => setChosen(new Map()), [about]);
  const choose = useCallback((ids: readonly number[], worker: string, on: boolean) => {
    setChosen((before) => {
      const after = new Map(before);
      for (const id of ids) if (on) after.set(id, worker); else after.delete(id);
      return after;
    });
  }, []);
  const [changes, change] = useState(0);
  const changed = useCallback(() => {
    setChosen(new Map());
    change((number) => number + 1);
  }, []);
  return (
    <>
      <Head title="Dead letters" about="Runs that failed for good. Replay, resolve or discard them." />
      <div class="filters" role="search" aria-label="Filter dead letters">
        <Search value={filter.worker ?? ""} onValue={(worker) => refine({ worker })} label="Worker" placeholder="Worker" list={whole.value?.order ?? []} />
        <Search main={false} value={filter.error ?? ""} onValue={(error) => refine({ error })} label="Error type or cause" placeholder="Error type" />
        <SinceChoice value={query.get("since") ?? ""} />
        <State state={state} />
      </div>
      {state === "open" ? (
        <OpenGroups changes={changes} about={about} filter={filter} chosen={chosen} choose={choose} changed={changed} />
      ) : (
        <Flat about={about} filter={filter} state={state} />
      )}
      {chosen.size > 0 && (
        <div class="selection" role="region" aria-label="Selection">
          <span>
            <strong class="number">{count(chosen.size)}</strong> selected
          </span>
          <BulkButtons filter={{ runs: [...chosen.keys()] }} of={chosen.values()} words="selected." changed={changed} />
          <button type="button" class="small" onClick={() => setChosen(new Map())}>
            Clear
          </button>
        </div>
      )}
    </>
  );
}

function State({ state }: { state: string }) {
  return (
    <select aria-label="State" value={state} onChange={(event) => refine({ state: event.currentTarget.value === "open" ? null : event.currentTarget.value })}>
      {["open", ...CLOSED, "all"].map((each) => (
        <option key={each}>{each}</option>
      ))}
    </select>
  );
}

// ── open ones, by error ──────────────────────────────────────────────────────────────────────────────────────────

type Chosen = ReadonlyMap<number, string>; // run → its worker

interface Chooser {
  changes: number; // how often something was done here
  chosen: Chosen;
  choose: (ids: readonly number[], worker: string, on: boolean) => void;
  changed: () => void;
}

function OpenGroups({ about, filter, chosen, choose, changed, changes }: { about: string; filter: Filter } & Chooser) {
  const { data, error, again } = useQuery(`groups ${about}`, (signal) => get<Groups>("dead-letters/groups", { ...filter }, signal));
  useEffect(() => {
    if (changes > 0) again();
  }, [changes]);
  useFrames("run", (frames) => {
    if (frames.some((run) => run.status === "dead" || run.replay_of !== null)) again();
  });
  useFrames("event", (frames) => {
    if (frames.some((event) => event.type === "audit")) again();
  });
  if (data === null) return error ? <Trouble error={error} /> : <Loading />;
  const isFiltered = filter.worker !== null || filter.error !== null || filter.since !== null;
  if (data.groups.length === 0) {
    return isFiltered ? (
      <Empty title="No matching dead letters">
        <button type="button" onClick={() => refine({ worker: null, error: null, since: null })}>
          Show all
        </button>
      </Empty>
    ) : (
      <Empty title="No dead letters" code={`raise Fatal("no such order")   # in a worker: do not retry`}>
        A run becomes a dead letter when its retries are used up, when it expires, or when its function raises Fatal.
      </Empty>
    );
  }
  const workers = data.groups.map((group) => group.worker);
  return (
    <>
      {error && <Trouble error={error} />}
      <div class="bulk">
        <p>
          <strong class="number">{count(data.total)}</strong> {isFiltered ? (data.total === 1 ? "matches" : "match") : "open"}
        </p>
        <div class="actions">
          <BulkButtons filter={{ ...filter }} of={workers} words={inWords(filter)} changed={changed} />
          {mayDoToMany("operator", "export_many", "export_many", filter.worker, workers) && <Action name="Export…" open={() => openExport({ ...filter })} />}
        </div>
      </div>
      <ul class="groups">
        {data.groups.map((group) => (
          <Group alone={data.groups.length === 1} key={`${group.worker} ${group.cause} ${group.error_type}`} group={group} since={filter.since} chosen={chosen} choose={choose} changed={changed} changes={changes} />
        ))}
      </ul>
      {data.left_out > 0 && <p class="quiet-line">{plural(data.left_out, "smaller group is", "smaller groups are")} not shown: choose a worker or an error type.</p>}
    </>
  );
}

function inWords(filter: Filter): string {
  const parts = [filter.worker && `of ${filter.worker}`, filter.error && `error ${filter.error}`, filter.since && `since ${filter.since.slice(0, 16).replace("T", " ")} UTC`].filter(Boolean);
  return parts.length > 0 ? `${parts.join(", ")}.` : "of all workers.";
}

function Group({ group, alone, since, ...chooser }: { group: DeadGroup; alone: boolean; since: string | null } & Chooser) {
  const [open, setOpen] = useState(alone);
  const error = group.error_type || group.cause;
  const filter = { worker: group.worker, error, since };
  return (
    <li class="group" data-row={`${group.worker} ${error}`}>
      <div class="group-head">
        <button type="button" class="disclose" aria-expanded={open} data-open onClick={() => setOpen(!open)}>
          <Glyph name="chevron" />
          <strong class="number">{count(group.count)}</strong>{" "}
          <span class="times" aria-hidden="true">
            ×
          </span>{" "}
          <span class="group-name">{group.worker}</span>{" "}
          <span class="error-type" title={group.error_type}>
            {group.error_type ? shortType(group.error_type) : label(group.cause)}
          </span>{" "}
          {group.cause !== "error" && !isSaid(group) && <span class="muted">{label(group.cause)}</span>}
        </button>
        <span class="muted group-when c-m">
          {group.count > 1 && (
            <>
              first <Ago at={group.oldest_at} />, last{" "}
            </>
          )}
          <Ago at={group.newest_at} />
        </span>
        {!alone && (
          <span class="actions">
            <BulkButtons small filter={{ ...filter }} words={inWords(filter)} changed={chooser.changed} count={group.count} about={`${group.worker} ${error}`} />
          </span>
        )}
      </div>
      {open && <Members filter={filter} cause={group.cause} errorType={group.error_type} newest={`${group.count} ${group.newest_run}`} {...chooser} />}
    </li>
  );
}

/** The error's name already is the cause: `Fatal`, `TimedOut`. */
function isSaid({ cause, error_type }: DeadGroup): boolean {
  return error_type === "" || shortType(error_type).toLowerCase() === cause.replaceAll("_", "").toLowerCase();
}

function Members({ filter, cause, errorType, newest, chosen, choose, changed, changes }: { filter: Filter & { worker: string }; cause: string; errorType: string; newest: string } & Chooser) {
  const [limit, setLimit] = useState(PAGE);
  const { data, error } = useQuery(`letters ${JSON.stringify(filter)} ${limit} ${newest}`, (signal) => get<Letters>("dead-letters", { ...filter, limit }, signal));
  const kept = useKept(data);
  const letters = (kept?.letters ?? []).filter((letter) => letter.cause === cause && letter.error_type === errorType);
  const by = useRef(new Map<number, DeadLetter>());
  for (const letter of letters) by.current.set(letter.run, letter);
  const held = useStableRows(
    letters.map((letter) => letter.run),
    chosen.size > 0,
    `${JSON.stringify(filter)} ${changes} ${kept === null}`,
  );
  if (kept === null) return error ? <Trouble error={error} /> : <Loading />;
  const ids = held.shown;
  const all = ids.length > 0 && ids.every((id) => chosen.has(id));
  return (
    <div class="table members" {...held.touch}>
      <Fresh waiting={held.waiting} show={held.show} what={held.waiting === 1 ? "dead letter" : "dead letters"} />
      <table>
        <caption class="hide">Dead letters of {filter.worker}</caption>
        <thead>
          <tr>
            <td class="tick">
              <input type="checkbox" aria-label="Select all shown" checked={all} onChange={() => choose(ids, filter.worker, !all)} />
            </td>
            <th scope="col">Run</th>
            <th scope="col">Failed at</th>
            <th scope="col" class="grow c-m">
              <span class="hide">Note</span>
            </th>
            <td>
              <span class="hide">Actions</span>
            </td>
          </tr>
        </thead>
        <tbody>
          {ids.map((id) => {
            const letter = by.current.get(id);
            return letter && (
            <tr key={letter.run} data-row={letter.run} aria-selected={chosen.has(letter.run)}>
              <td class="tick">
                <input type="checkbox" aria-label={`Select run ${letter.run}`} checked={chosen.has(letter.run)} onChange={() => choose([letter.run], letter.worker, !chosen.has(letter.run))} />
              </td>
              <th scope="row" class="fit">
                <RunLink id={letter.run} open />
              </th>
              <td class="fit">
                <At at={letter.entered_at} />{" "}
                <span class="muted">
                  <Ago at={letter.entered_at} />
                </span>
              </td>
              <td class="grow c-m">{letter.unreadable !== null ? <span class="bad">row cannot be read</span> : !letter.has_payload && <span class="muted">Scheduled run: the next one replaces it</span>}</td>
              <td class="fit row-actions">
                {letter.unreadable === null && <LetterButtons letter={letter} small changed={changed} />}
              </td>
            </tr>
            );
          })}
        </tbody>
      </table>
      {kept.next !== null && limit < 500 && (
        <button type="button" class="more-rows" onClick={() => setLimit(Math.min(500, limit * 2))}>
          Show more
        </button>
      )}
    </div>
  );
}

/** The last answer, while the next is under way. */
function useKept<T>(data: T | null): T | null {
  const [kept, keep] = useState<T | null>(data);
  useEffect(() => {
    if (data !== null) keep(data);
  }, [data]);
  return data ?? kept;
}

interface BulkProps {
  filter: { worker?: string | null } & Record<string, unknown>;
  of?: Iterable<string>; // workers whose letters fit it
  words: string;
  changed: () => void;
  small?: boolean;
  count?: number;
  about?: string;
}

function BulkButtons({ filter, of, words, changed, small = false, count: number, about }: BulkProps) {
  const many = (more: Pick<Many, "what" | "done" | "path" | "about"> & Partial<Many>) => openBulk({ filter, words, one: "dead letter", changed, ...more });
  const label = number === undefined ? "" : ` ${count(number)}`;
  const workers = [...(of ?? [])];
  const allowed = (role: Role, one: string) => mayDoToMany(role, `${one}_many`, one, filter.worker ?? null, workers);
  return (
    <>
      {allowed("operator", "replay") && (
        <Action
          name={`Replay${label}…`}
          {...(about ? { about } : {})}
          small={small}
          primary={!small}
          open={() => many({ what: "Replay", done: "replayed", path: "dead-letters/replay", rate: true, about: "Each becomes a new run with the same payload and fresh attempts, oldest first." })}
        />
      )}
      {allowed("operator", "resolve") && (
        <Action
          name="Resolve…"
          {...(about ? { about } : {})}
          small={small}
          open={() => many({ what: "Resolve", done: "resolved", path: "dead-letters/resolve", note: "note", about: "Mark as handled without re-running." })}
        />
      )}
      {allowed("admin", "discard") && (
        <Action
          name="Discard…"
          {...(about ? { about } : {})}
          small={small}
          grave
          open={() => many({ what: "Discard", done: "discarded", path: "dead-letters/discard", note: "note", grave: true, about: "Closed now; deleted with their payloads when their retention ends (30 days unless configured otherwise)." })}
        />
      )}
    </>
  );
}

// ── closed ones, newest first ────────────────────────────────────────────────────────────────────────────────────

function Flat({ about, filter, state }: { about: string; filter: Filter; state: string }) {
  const { data, error } = useQuery(`closed ${about}`, (signal) => get<Letters>("dead-letters", { ...filter, state, limit: 200 }, signal));
  if (data === null) return error ? <Trouble error={error} /> : <Loading />;
  if (data.letters.length === 0) return <Empty title={state === "all" ? "No dead letters" : `No ${state} dead letters`} />;
  return (
    <div class="table">
      <table>
        <caption class="hide">Dead letters, newest first</caption>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Run</th>
            <th scope="col">Worker</th>
            <th scope="col" class="c-m">
              Error
            </th>
            <th scope="col" class="grow">
              Note
            </th>
            <th scope="col" class="number c-m">
              Closed
            </th>
          </tr>
        </thead>
        <tbody>
          {data.letters.map((letter) => (
            <FlatRow key={letter.run} letter={letter} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function FlatRow({ letter }: { letter: DeadLetter }) {
  return (
    <tr data-row={letter.run}>
      <td class="fit">
        <Badge status={letter.state === "open" ? "dead" : letter.state} word={letter.state} />
      </td>
      <th scope="row" class="fit">
        <RunLink id={letter.run} open />
      </th>
      <td class="fit">
        <WorkerLink name={letter.worker} />
      </td>
      <td class="fit c-m error-type">{letter.error_type ? shortType(letter.error_type) : label(letter.cause)}</td>
      <td class="grow">
        {letter.replayed_as && (
          <>
            as run <RunLink id={letter.replayed_as} />{" "}
          </>
        )}
        <span class="muted clip">
          {letter.closed_by && `by ${letter.closed_by}`} {letter.note}
          {letter.unreadable !== null && <span class="bad">row cannot be read</span>}
        </span>
      </td>
      <td class="fit number muted c-m">{letter.closed_at && <Ago at={letter.closed_at} />}</td>
    </tr>
  );
}
