/* Is anything wrong, what, why, and what helps?  Then: what runs, how fast, and every worker, worst first. */

import type { RunningRun } from "../api/schema";
import { capped, count, plural } from "../format";
import { attention, ILL, remarks, unshown, type Entry, type Help } from "../live/attention";
import type { Whole } from "../live/merge";
import { whole } from "../live/whole";
import { CancelButton, EnableButton, ResetButton, TriggerButton } from "../components/actions";
import { Arriving, Empty, Head, Progress, RunLink, Section, WorkerLink } from "../components/bits";
import { Glyph } from "../components/glyph";
import { Holds } from "../components/holds";
import { Badge } from "../components/status";
import { Ago, now, Since, Timed } from "../components/time";
import { href, type Page, type Query } from "../routes";
import { Pace } from "./pace";
import { WorkerTable } from "./workertable";

const WORST = 12;
const RUNNING_SHOWN = 8;

export function Overview() {
  const it = whole.value;
  if (it === null) return <Arriving title="Overview" />;
  const entries = attention(it, now.value);
  const more = Math.max(0, unshown(it));
  const all = it.totals.workers;
  const title = entries.length > 0 ? `${plural(entries.length + more, "thing needs", "things need")} attention` : all > 0 ? "All is well" : "No workers yet";
  return (
    <>
      <Head title={title} about={<Live it={it} />} />
      {entries.length > 0 && <Attention entries={entries} />}
      {more > 0 && (
        <p class="quiet-line">
          <a href={href("workers", null, { health: ILL })}>and {plural(more, "more worker")}</a>
        </p>
      )}
      <Counts it={it} />
      {remarks(it).map((text) => (
        <p key={text} class="quiet-line" role="note">
          {text}
        </p>
      ))}
      <div class="beside">
        <Section title="Runs per minute" aside={<a href={href("timeline")}>timeline</a>}>
          <Pace />
        </Section>
        <Section title="Running now" aside={it.totals.running > 0 && <a href={href("runs", null, { status: "running" })}>all {count(it.totals.running)}</a>}>
          <RunningNow running={it.running} />
        </Section>
      </div>
      <Section title="Workers, worst first" aside={all > WORST && <a href={href("workers")}>all {count(all)}</a>}>
        {all === 0 ? <NoWorkers /> : <WorkerTable names={it.order.slice(0, WORST)} workers={it.workers} about="overview" />}
      </Section>
    </>
  );
}

function Live({ it }: { it: Whole }) {
  const live = it.nodes.filter((node) => node.live && node.mode !== "client");
  return (
    <>
      {plural(it.totals.workers, "worker")} on <a href={href("fleet")}>{plural(live.length, "node")}</a>, {it.health}
    </>
  );
}

// ── what needs attention ─────────────────────────────────────────────────────────────────────────────────────────

function Attention({ entries }: { entries: readonly Entry[] }) {
  return (
    <section aria-label="Needs attention">
      <ul class="attention">
        {entries.map((entry) => (
          <li key={entry.key} data-row={entry.key}>
            <Badge status={entry.status} />
            <div class="attention-what">
              <p>
                {entry.worker ? <WorkerLink name={entry.worker} open /> : <strong>{entry.title}</strong>}{" "}
                <span>
                  <Timed text={entry.reasons.join("; ")} />
                </span>
                {entry.until && (
                  <span class="muted">
                    , next test call <Ago at={entry.until} />
                  </span>
                )}
              </p>
              {entry.error && <p class="error-line clip">{entry.error}</p>}
              {entry.holds.length > 0 && <Holds holds={entry.holds} />}
            </div>
            <div class="actions">
              {entry.helps.map((help) => (
                <Helps key={help.kind} help={help} />
              ))}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Helps({ help }: { help: Help }) {
  switch (help.kind) {
    case "enable":
      return <EnableButton worker={help.worker} small />;
    case "trigger":
      return <TriggerButton worker={help.worker} label="Run now…" small />;
    case "cancel":
      return <CancelButton run={help.run} worker={help.worker} small />;
    case "letters":
      return <Place page="dead" query={{ worker: help.worker }} name={help.count ? plural(help.count, "dead letter") : "Dead letters"} {...(help.worker ? { about: `of ${help.worker}` } : {})} />;
    case "reset":
      return <ResetButton worker={help.worker} small />;
    case "waiting":
      return <Place page="runs" query={{ worker: help.worker, status: "pending" }} name="Show backlog" about={`of ${help.worker}`} />;
    case "worker":
      return <Place page="workers" id={help.worker} name="Open worker" about={help.worker} />;
    case "fleet":
      return <Place page="fleet" name="Show fleet" />;
  }
}

function Place({ page, id, query, name, about }: { page: Page; id?: string; query?: Query; name: string; about?: string }) {
  return (
    <a class="button small" data-action href={href(page, id, query)} aria-label={about ? `${name} ${about}` : undefined}>
      {name}
    </a>
  );
}

// ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────

function Counts({ it }: { it: Whole }) {
  const { workers, running, pending, due, dead_letters: dead, health } = it.totals;
  const slots = it.nodes.filter((node) => node.live && node.mode !== "client").reduce((all, node) => all + node.slots, 0);
  const off = health["disabled"] ?? 0;
  const ill = ["unhealthy", "degraded", "offline"].reduce((sum, each) => sum + (health[each] ?? 0), 0);
  return (
    <section aria-label="Counts">
      <ul class="counts">
        <Count page="runs" query={{ status: "running" }} name="running" value={count(running)} aside={`of ${plural(slots, "slot")}`} />
        <Count page="runs" query={{ status: "pending" }} name="pending" value={capped(pending)} aside={`${capped(due)} due now`} />
        <Count page="dead" name="dead letters" value={count(dead)} aside={dead ? "open" : "none open"} tone={dead ? "bad" : ""} />
        <Count page="workers" query={{ health: ["unhealthy", "offline", "degraded"] }} name="unhealthy or degraded" value={count(ill)} aside={`of ${plural(workers, "worker")}`} tone={ill ? "warn" : ""} />
        <Count page="workers" query={{ health: "disabled" }} name="disabled" value={count(off)} aside={`of ${plural(workers, "worker")}`} />
      </ul>
    </section>
  );
}

function Count({ page, query, name, value, aside, tone = "" }: { page: Page; query?: Query; name: string; value: string; aside: string; tone?: string }) {
  return (
    <li>
      <a href={href(page, null, query)}>
        <span class={`big ${tone}`}>{value}</span> <span class="count-name">{name}</span> <span class="muted">{aside}</span>
      </a>
    </li>
  );
}

// ── running now ──────────────────────────────────────────────────────────────────────────────────────────────────

function RunningNow({ running }: { running: readonly RunningRun[] }) {
  if (running.length === 0) return <p class="quiet-line">Nothing running</p>;
  return (
    <ul class="running">
      {running.slice(0, RUNNING_SHOWN).map((run) => (
        <li key={run.run}>
          <Glyph name="play" size={12} />
          <WorkerLink name={run.worker} />
          <RunLink id={run.run} />
          <span class="grow">{run.zombie ? <Badge status="zombie" /> : run.progress && <Progress progress={{ ...run.progress, message: "" }} />}</span>
          <span class="number muted">
            <Since at={run.since} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function NoWorkers() {
  return (
    <Empty
      title="No workers are registered in this store"
      code={`boss = Orchestrator()\n\n@boss.worker(every="1m")\nasync def hello() -> str:\n    return "done"`}
    >
      Write one, then start it: <code>shiftboss run app.py</code>.
    </Empty>
  );
}
