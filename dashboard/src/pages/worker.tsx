/* All about one worker: how it is and why, what holds it, when it runs next, how long it takes, what it is told to do. */

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { get, path } from "../api/client";
import type { Definition, PageOfWorker, Run, WorkerStatus } from "../api/schema";
import { bytes, capped, count, duration, label, plural, rate } from "../format";
import { useQuery } from "../live/useQuery";
import { useStableRows } from "../live/stableRows";
import { useFrames } from "../live/hooks";
import { whole } from "../live/whole";
import { DisableButton, EnableButton, ForgetButton, PauseButton, PreferButton, ResetButton, ResumeButton, TriggerButton } from "../components/actions";
import { Detail, Details, Empty, Fresh, Head, Loading, Section, Trouble, WorkerLink } from "../components/bits";
import { Holds, Why } from "../components/holds";
import { RunHead, RunRow } from "../components/runs";
import { Badge } from "../components/status";
import { Ago, At, Due, Timed } from "../components/time";
import { href } from "../routes";
import { Durations } from "../charts/durations";
import { UnreadableRow } from "../components/unreadable";

const RUNS = 20;
const MISFIRES = { one: "run once", all: "run all", skip: "skip" } as const;
const DECLARES = new Set(["worker_declared", "worker_forgotten", "node_joined", "node_left"]); // any worker's: relations have two sides

export function WorkerPage({ name }: { name: string }) {
  const asked = useQuery(name, (signal) => get<PageOfWorker>(`workers/${path(name)}`, { runs: RUNS, instants: 10 }, signal));
  const status = whole.value?.workers.get(name);
  useEffect(() => {
    if (whole.peek() !== null) asked.again();
  }, [status ?? whole.value?.revision]); // one that the stream does not show: whenever any worker changes
  useFrames("event", (events) => {
    if (events.some((event) => DECLARES.has(event.type))) asked.again();
  });
  useFrames("run", (newRuns) => {
    const mine = newRuns.filter((run) => run.worker === name);
    if (mine.length > 0) asked.change((page) => ({ ...page, runs: newest(page.runs, mine) }));
  });
  const page = asked.data;
  if (page === null) {
    return (
      <>
        <Head title={name} />
        {asked.error ? <Trouble error={asked.error} /> : <Loading />}
      </>
    );
  }
  const it = status ?? page.worker;
  return (
    <>
      <Head title={name} about={<About it={it} page={page} />}>
        <TriggerButton worker={name} primary />
        {it.breaker !== null && it.breaker !== "closed" && it.enabled && <ResetButton worker={name} />}
        {it.paused ? <ResumeButton worker={name} /> : it.enabled && <PauseButton worker={name} />}
        {it.enabled ? <DisableButton worker={name} /> : <EnableButton worker={name} />}
        {page.nodes.length === 0 && <ForgetButton worker={name} />}
      </Head>
      {asked.error && <Trouble error={asked.error} />}
      <Condition it={it} page={page} />
      <div class="beside">
        <Section title="Recent run times" aside={<span class="muted">{plural(page.durations.length, "attempt")}</span>}>
          {page.durations.length > 0 ? <Durations last={page.durations} runs={page.runs} height={132} /> : <p class="quiet-line">No attempts have ended yet.</p>}
        </Section>
        <Section title="Next">
          <NextInstants it={it} page={page} />
        </Section>
      </div>
      <Section title="Runs" aside={<a href={href("runs", null, { worker: name })}>all runs</a>}>
        <RunsOf runs={page.runs} name={name} />
      </Section>
      <div class="beside even">
        <Section title="Relations">
          <Relations page={page} />
        </Section>
        <Section title="Settings">
          <Settings of={page.definition} page={page} />
        </Section>
      </div>
    </>
  );
}

/** The newest ones, with what the stream told. */
function newest(runs: readonly Run[], newRuns: readonly Run[]): Run[] {
  const by = new Map(runs.map((run) => [run.id, run]));
  for (const run of newRuns) by.set(run.id, run);
  return [...by.values()].sort((one, other) => other.id - one.id).slice(0, Math.max(RUNS, runs.length));
}

function About({ it, page }: { it: WorkerStatus; page: PageOfWorker }) {
  const { schedule, executor } = page.definition;
  const rule = schedule?.type === "cron" ? schedule.expression : null;
  return (
    <>
      {it.doc && <span class="doc">{it.doc} </span>}
      <span class="muted">
        {it.schedule || it.mode}
        {rule && (
          <>
            {" "}
            <code>{rule}</code>
          </>
        )}{" "}
        · {executor} · priority {it.priority}
      </span>
    </>
  );
}

// ── how it is ────────────────────────────────────────────────────────────────────────────────────────────────────

function Condition({ it, page }: { it: WorkerStatus; page: PageOfWorker }) {
  return (
    <section aria-label="Condition" class="condition">
      <ul class="strip">
        <li>
          <span class="strip-name">health</span> <Badge status={it.health} />
        </li>
        {it.paused && (
          <li>
            <span class="strip-name">paused{it.paused.by && ` by ${it.paused.by}`}</span>
            {it.paused.until === null ? "until resumed" : <>resumes <Due at={it.paused.until} /></>}
            {it.paused.reason && <span class="muted"> · {it.paused.reason}</span>}
          </li>
        )}
        <li>
          <span class="strip-name">running</span>
          <a class="number" href={href("runs", null, { worker: it.name, status: "running" })}>
            {count(it.running)}
            {page.definition.concurrency !== null && <span class="muted"> of {page.definition.concurrency}</span>}
          </a>
        </li>
        <li>
          <span class="strip-name">pending</span>
          <a class="number" href={href("runs", null, { worker: it.name, status: "pending" })}>
            {capped(it.pending)} <span class="muted">· {capped(it.due)} due</span>
          </a>
        </li>
        <li>
          <span class="strip-name">dead letters</span>
          <a class={`number ${it.dead_letters ? "bad" : ""}`} href={href("dead", null, { worker: it.name })}>
            {count(it.dead_letters)}
          </a>
        </li>
        <li>
          <span class="strip-name">last success</span> <span class="number">{it.last_success_at ? <Ago at={it.last_success_at} focusable /> : "never"}</span>
        </li>
        {it.breaker && (
          <li>
            <span class="strip-name">breaker</span>{" "}
            <span>
              <Badge status={it.breaker} />{" "}
              {it.breaker_until && it.breaker !== "closed" && (
                <span class="muted">
                  next test call <Ago at={it.breaker_until} />
                </span>
              )}
            </span>
          </li>
        )}
      </ul>
      {it.unreadable.map((row) => (
        <UnreadableRow key={`${row.table}/${row.id}`} row={row} />
      ))}
      {it.reasons.length > 0 && (
        <ul class="reasons">
          {it.reasons.map((reason) => (
            <li key={reason.fact}>
              <Badge status={reason.severity} word={label(reason.fact)} />{" "}
              <span>
                <Timed text={reason.text} />
              </span>
            </li>
          ))}
          {it.last_error && it.health !== "healthy" && (
            <li>
              <span class="muted">last error</span>{" "}
              <span class="error-line clip">
                {it.last_error.type}: {it.last_error.message}
              </span>
            </li>
          )}
        </ul>
      )}
      {page.why !== null && page.why.holds.some((hold) => hold.scope !== "run") ? <Why why={page.why} /> : it.holds.length > 0 && <Holds holds={it.holds} />}
    </section>
  );
}

function NextInstants({ it, page }: { it: WorkerStatus; page: PageOfWorker }) {
  if (!it.enabled) return <p class="quiet-line">Disabled: no new runs start.</p>;
  if (page.next.length === 0) {
    const text = it.mode === "continuous" ? `Continuously, ${duration(page.definition.pause_s)} pause.` : page.definition.after.length > 0 ? `After each success of ${page.definition.after.join(" or ")}.` : "Runs only when triggered.";
    return <p class="quiet-line">{text}</p>;
  }
  return (
    <ol class="instants">
      {page.next.slice(0, 6).map((at) => {
        const change = page.clock_changes.find((each) => each.at.slice(0, 10) === at.slice(0, 10));
        return (
          <li key={at}>
            <At at={at} />
            <span class="muted">
              <Ago at={at} />
            </span>
            {change && (
              <span class="warn">
                clocks go {change.change_s > 0 ? "forward" : "back"} at <At at={change.at} />
              </span>
            )}
          </li>
        );
      })}
    </ol>
  );
}

function RunsOf({ runs, name }: { runs: readonly Run[]; name: string }) {
  const held = useStableRows(
    runs.map((run) => run.id),
    false,
    name,
  );
  const by = new Map(runs.map((run) => [run.id, run]));
  if (runs.length === 0) return <Empty title="No runs yet" code={`shiftboss trigger ${name}`} />;
  return (
    <div class="table" {...held.touch}>
      <Fresh waiting={held.waiting} show={held.show} what={held.waiting === 1 ? "run" : "runs"} />
      <table>
        <caption class="hide">Runs of {name}, newest first</caption>
        <RunHead withWorker={false} />
        <tbody>
          {held.shown.map((id) => {
            const run = by.get(id);
            return run && <RunRow key={id} run={run} withWorker={false} />;
          })}
        </tbody>
      </table>
    </div>
  );
}

// ── what is declared ─────────────────────────────────────────────────────────────────────────────────────────────

function Relations({ page }: { page: PageOfWorker }) {
  const { definition: it } = page;
  const rows: (readonly [string, ComponentChildren])[] = [
    ["depends on", it.depends_on.length > 0 && it.depends_on.map((edge) => <Edge key={edge.worker} name={edge.worker} more={[edge.fresh && "fresh", edge.max_age_s !== null && `at most ${duration(edge.max_age_s)} old`, edge.on_failure !== "wait" && `on failure: ${edge.on_failure}`]} />)],
    ["runs after", it.after.length > 0 && it.after.map((name) => <Edge key={name} name={name} />)],
    ["required by", page.dependents.length > 0 && page.dependents.map((name) => <Edge key={name} name={name} />)],
    ["triggers", page.triggers.length > 0 && page.triggers.map((name) => <Edge key={name} name={name} />)],
    ["never runs with", page.blocked_with.length > 0 && page.blocked_with.map((name) => <Edge key={name} name={name} />)],
    ["not named here", page.related_left_out > 0 && plural(page.related_left_out, "more related worker")],
    ["breaker", it.breaker && <code>{it.breaker}</code>],
    ["resources", Object.entries(it.uses).map(([name, slots]) => `${name} (${plural(slots, "concurrency slot")})`).join(", ")],
    ["tags", it.tags.length > 0 && it.tags.join(", ")],
    ["on nodes", page.nodes.length > 0 ? page.nodes.join(", ") : "no live node"],
  ];
  const present = rows.filter(([, what]) => what);
  return (
    <Details>
      {present.map(([name, what]) => (
        <Detail key={name} name={name}>
          {what}
        </Detail>
      ))}
    </Details>
  );
}

function Edge({ name, more = [] }: { name: string; more?: readonly (string | false)[] }) {
  const text = more.filter(Boolean).join(", ");
  return (
    <span class="edge">
      <WorkerLink name={name} />
      {text && <span class="muted"> {text}</span>}
    </span>
  );
}

/** "sensor,minutes?: …" → "sensor, minutes (optional)" */
function payload(parameters: string): string {
  const names = (parameters.split(":")[0] ?? "").split(",").filter(Boolean);
  return names.map((name) => name.replace(/\?$/, " (optional)")).join(", ") || "none";
}

function Settings({ of, page }: { of: Definition; page: PageOfWorker }) {
  const { retry } = of;
  const limit = (s: number | null, otherwise: string) => (s === null ? otherwise : duration(s));
  const rows: (readonly [string, string | null])[] = [
    ["timeout", limit(of.timeout_s, "none")],
    ["retries", retry.max_retries === null ? "unlimited" : String(retry.max_retries)],
    ["back-off", `${duration(retry.first_s)}, ×${retry.factor}, up to ${duration(retry.cap_s)}`],
    ["concurrency", of.concurrency === null ? "unlimited" : String(of.concurrency)],
    ["rate limit", of.rate === null ? null : rate(of.rate.count, of.rate.per_s)],
    ["pause", of.mode === "continuous" ? duration(of.pause_s) : null],
    ["missed runs", of.mode === "scheduled" ? MISFIRES[of.misfire] : null],
    ["jitter", of.jitter_s > 0 ? duration(of.jitter_s) : null],
    ["must start within", of.start_within_s === null ? null : duration(of.start_within_s)],
    ["deadline", of.deadline_s === null ? null : duration(of.deadline_s)],
    ["disabled after", of.max_consecutive_failures === null ? "never" : `${plural(of.max_consecutive_failures, "consecutive failure")}${(of.fatal_counts ?? of.mode !== "triggered") ? "" : ", not counting fatal errors"}`],
    ["executor", of.executor],
    ["memory limit", of.max_memory_bytes === null ? null : bytes(of.max_memory_bytes)],
    ["payload", payload(of.parameters)],
    ["at most once", of.at_most_once ? "yes" : null],
  ];
  return (
    <Details>
      {rows
        .filter(([, what]) => what !== null)
        .map(([name, what]) => (
          <Detail key={name} name={name}>
            {what}
          </Detail>
        ))}
      <Detail name="registered">
        <At at={page.declared_at} />
      </Detail>
      {page.declared_otherwise.map((other) => (
        <Detail key={other.id} name="other declaration">
          by node {other.node}
          {other.code_version !== "" && `, code ${other.code_version}`}
          {other.first_seen_at !== null && (
            <>
              , first seen <At at={other.first_seen_at} />
            </>
          )}
          . Stop its process {other.pid} on {other.host}, or use its declaration: <PreferButton worker={page.worker.name} id={other.id} name={other.node} />
        </Detail>
      ))}
    </Details>
  );
}
