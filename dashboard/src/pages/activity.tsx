/* What happened and who did what, newest first. */

import { useEffect, useRef, useState } from "preact/hooks";
import { get, sentence } from "../api/client";
import type { Act, Activity as Page, Acts, StoredEvent } from "../api/schema";
import { useStableRows } from "../live/stableRows";
import { useFrames } from "../live/hooks";
import { epoch } from "../live/stream";
import { whole } from "../live/whole";
import { refine, route } from "../nav";
import { Empty, Fresh, Head, Loading, RunLink, Trouble, WorkerLink } from "../components/bits";
import { Search } from "../components/filters";
import { Glyph, type GlyphName } from "../components/glyph";
import { LinkedText } from "../components/linkedText";
import type { Tone } from "../components/status";
import { Ago, At } from "../components/time";

const PAGE = 50;
const GAP_MS = 1500;
const MOST = 2000; // events on the page; the oldest go, and can be read again
const WHOSE: readonly (readonly [string, string])[] = [
  ["", "Everything"],
  ["people", "Actions by people"],
  ["system", "Automatic changes"],
];

interface State {
  events: ReadonlyMap<number, StoredEvent>;
  next: number | null;
  reading: boolean;
  error: string;
}

export function Activity() {
  const worker = route.value.query.get("worker") ?? "";
  const by = route.value.query.get("by") ?? "";
  const [state, setState] = useState<State>({ events: new Map(), next: null, reading: true, error: "" });
  const looked = epoch.value;
  const asking = useRef(0);
  const read = (cursor: number | null, signal?: AbortSignal) => {
    page(worker, by, cursor, signal).then(
      ({ events, next }) =>
        setState((before) => {
          const goesOn = cursor !== null || events.some((each) => before.events.has(each.number)); // else there would be a hole
          const all = new Map([...(goesOn ? before.events : []), ...events.map((each) => [each.number, each] as const)]);
          const goes = cursor === null && all.size > MOST; // what was asked for stays
          return {
            events: goes ? new Map([...all].sort(([one], [other]) => other - one).slice(0, MOST)) : all,
            next: goes ? 1 : goesOn && cursor === null ? before.next : next,
            reading: false,
            error: "",
          };
        }),
      (error: unknown) => {
        if (!signal?.aborted) setState((before) => ({ ...before, reading: false, error: sentence(error) }));
      },
    );
  };
  useEffect(() => {
    setState({ events: new Map(), next: null, reading: true, error: "" });
  }, [worker, by]);
  useEffect(() => {
    const gone = new AbortController();
    read(null, gone.signal);
    return () => gone.abort();
  }, [worker, by, looked]);
  useFrames("event", () => {
    if (asking.current) return;
    asking.current = window.setTimeout(() => {
      asking.current = 0;
      read(null);
    }, GAP_MS);
  });
  useEffect(() => () => clearTimeout(asking.current), []);
  const numbers = [...state.events.keys()].sort((one, other) => other - one);
  const held = useStableRows(numbers, false, `${by} ${worker}`);
  return (
    <>
      <Head title="Activity" about={by === "people" ? "Audit log, kept for a year and sealed" : "Audit log and state changes"} />
      <div class="filters" role="search" aria-label="Filter the activity">
        <Search value={worker} onValue={(name) => refine({ worker: name })} label="Worker" placeholder="Worker" list={whole.value?.order ?? []} />
        <select aria-label="Source" value={by} onChange={(event) => refine({ by: event.currentTarget.value || null })}>
          {WHOSE.map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
      </div>
      {state.error && <Trouble error={state.error} />}
      {held.shown.length === 0 ? (
        state.reading ? (
          <Loading />
        ) : (
          <Empty title="No activity yet" code="shiftboss disable NAME --reason '…'">
            Actions by people and changes of state are listed here.
          </Empty>
        )
      ) : (
        <div class="table" {...held.touch}>
          <Fresh waiting={held.waiting} show={held.show} what={held.waiting === 1 ? "event" : "events"} />
          <table>
            <caption class="hide">Events, newest first</caption>
            <thead>
              <tr>
                <th scope="col" class="grow">
                  Event
                </th>
                <th scope="col">Subject</th>
                <th scope="col" class="c-m">
                  By
                </th>
                <th scope="col" class="number">
                  Time
                </th>
              </tr>
            </thead>
            <tbody>
              {held.shown.map((number) => {
                const it = state.events.get(number);
                return it && <Row key={number} it={it} />;
              })}
            </tbody>
          </table>
          {state.next !== null && (
            <button type="button" class="more-rows" onClick={() => read(Math.min(...numbers))}>
              Load more
            </button>
          )}
        </div>
      )}
    </>
  );
}

/** What people did comes from the audit, which is kept for longer than the other events. */
async function page(worker: string, by: string, cursor: number | null, signal?: AbortSignal): Promise<Page> {
  if (by !== "people") return get<Page>("activity", { worker, by, cursor, limit: PAGE }, signal);
  const { acts, next } = await get<Acts>("audit", { worker, cursor, limit: PAGE }, signal);
  return { events: acts.map(eventOf), next };
}

function eventOf({ id, sealed, ...act }: Act): StoredEvent {
  return { number: id, event: { type: "audit", ...act } };
}

type Severity = StoredEvent["event"]["severity"];
const LOOKS: Record<Severity, readonly [Tone, GlyphName]> = {
  debug: ["off", "clock"],
  info: ["running", "play"],
  success: ["ok", "check"],
  warning: ["warn", "bang"],
  error: ["bad", "cross"],
};

function Row({ it: { event, number } }: { it: StoredEvent }) {
  const [tone, glyph] = LOOKS[event.severity];
  return (
    <tr data-row={number}>
      <th scope="row" class="grow">
        <span class={`status plain-word ${tone}`} title={event.text}>
          <Glyph name={glyph} />{" "}
          <span class="word clip">
            <LinkedText text={event.text} />
          </span>
        </span>
      </th>
      <td class="fit">
        {event.worker && <WorkerLink name={event.worker} open={event.run === null} />} {event.run !== null && <RunLink id={event.run} open />}
      </td>
      <td class="fit c-m">{"by" in event && event.by}</td>
      <td class="fit number">
        <At at={event.at} />{" "}
        <span class="muted c-m-inline">
          <Ago at={event.at} />
        </span>
      </td>
    </tr>
  );
}
