/* One run: its attempts and the waits between them, why it failed or does not start, its payload, result and log. */

import { getAsWritten } from "../api/client";
import type { Attempt, DeadLetter, PageOfRun, Run } from "../api/schema";
import { duration, label, plural, shortType } from "../format";
import { useQuery } from "../live/useQuery";
import { useFrames } from "../live/hooks";
import { ticks } from "../live/ruler";
import { CancelButton, LetterButtons } from "../components/actions";
import { Copy, Detail, Details, Head, Loading, Progress, RunLink, Section, Trouble, WorkerLink } from "../components/bits";
import { Why } from "../components/holds";
import { Duration, FINAL, RunHead, RunRow, startedAt } from "../components/runs";
import { Badge, stateOf } from "../components/status";
import { Tree } from "../components/tree";
import { Ago, At, now, Since } from "../components/time";
import { spans as spansOf, type Span } from "../timeline/spans";
import { UnreadableRow } from "../components/unreadable";
import { Log } from "./log";

export function RunPage({ id }: { id: string }) {
  const asked = useQuery(id, (signal) => getAsWritten<PageOfRun>(`runs/${encodeURIComponent(id)}`, ["payload", "result"], signal));
  useFrames("run", (runs) => {
    const mine = runs.findLast((run) => String(run.id) === id);
    if (mine === undefined) return;
    asked.change((page) => ({ ...page, run: { ...mine, payload: page.run.payload, result: page.run.result, error: mine.error && { ...mine.error, traceback: page.run.error?.traceback ?? "" } } }));
    asked.again();
  });
  const page = asked.data;
  if (page === null) {
    return (
      <>
        <Head title={`Run ${id}`} />
        {asked.error ? <Trouble error={asked.error} /> : <Loading />}
      </>
    );
  }
  const { run } = page;
  return (
    <>
      <Head
        title={
          <>
            Run {run.id} <Badge status={stateOf(run)} />
          </>
        }
        about={<About page={page} />}
      >
        {!FINAL.has(run.status) && run.cancel === null && run.unreadable === null && <CancelButton run={run.id} worker={run.worker} />}
        {page.letter && page.letter.unreadable === null && run.unreadable === null && <LetterButtons letter={page.letter} changed={asked.again} />}
      </Head>
      {asked.error && <Trouble error={asked.error} />}
      {run.unreadable && <UnreadableRow row={run.unreadable} />}
      {run.undecodable && (
        <p class="said">
          <Badge status="dead" word="encrypted" /> Parts of this run are {run.undecodable}.
        </p>
      )}
      {page.letter?.unreadable && <UnreadableRow row={page.letter.unreadable} />}
      {page.letter && page.letter.state !== "open" && <Closed letter={page.letter} />}
      {run.cancel && (
        <p class="said">
          <Badge status="cancelled" word="cancellation requested" /> by {run.cancel.by} <Ago at={run.cancel.at} />
          {run.cancel.reason && <>: {run.cancel.reason}</>}
        </p>
      )}
      {page.why && <Why why={page.why} />}
      {run.status === "running" && run.progress && <Progress progress={run.progress} />}
      <Section title="Attempts">
        <Attempts page={page} />
      </Section>
      <Failure run={run} />
      <div class="beside even">
        <Section title="Payload">
          <Value value={run.payload} what="the payload" none="No payload" isSealed={run.undecodable !== ""} />
        </Section>
        <Section title="Result">
          <Value value={run.result} what="the result" none={FINAL.has(run.status) ? "No result" : "No result yet"} isSealed={run.undecodable !== ""} />
          {run.result_error && <p>The return value could not be stored as it was: {run.result_error}</p>}
        </Section>
      </div>
      <Section title="Log">
        <Log run={run.id} isOver={FINAL.has(run.status)} />
      </Section>
      <div class="beside even">
        <Section title="Details">
          <RunDetails page={page} />
        </Section>
        {page.chain.length > 0 && (
          <Section title="Caused by">
            <div class="table">
              <table>
                <caption class="hide">The runs that led to this one, oldest first</caption>
                <RunHead />
                <tbody>
                  {page.chain.map((each) => (
                    <RunRow key={each.id} run={each} />
                  ))}
                </tbody>
              </table>
            </div>
          </Section>
        )}
      </div>
    </>
  );
}

function About({ page }: { page: PageOfRun }) {
  const { run } = page;
  const started = startedAt(run);
  const by = { occurrence: "scheduled", iteration: "loop run", trigger: "triggered", after: "after an upstream run", replay: "replay" }[run.origin];
  return (
    <>
      <WorkerLink name={run.worker} />{" "}
      <span class="muted">
        · {by}
        {run.by && ` by ${run.by}`}
        {run.status === "pending" && (
          <>
            {" "}
            · {Date.parse(run.due_at) < now.value ? "was due" : "due"} <At at={run.due_at} />
          </>
        )}
        {started && (
          <>
            {" "}
            · started <At at={run.first_started_at ?? started} /> · {FINAL.has(run.status) ? "took " : "running for "}
            {FINAL.has(run.status) || run.claim === null ? <Duration run={run} /> : <Since at={run.first_started_at ?? started} />}
          </>
        )}
        {run.cause && run.status !== "succeeded" && ` · ${label(run.cause)}`}
      </span>
    </>
  );
}

function Closed({ letter }: { letter: DeadLetter }) {
  return (
    <p class="said">
      <Badge status={letter.state} />
      {letter.closed_by && ` by ${letter.closed_by}`} {letter.closed_at && <Ago at={letter.closed_at} />}
      {letter.replayed_as && (
        <>
          {" "}
          as run <RunLink id={letter.replayed_as} />
        </>
      )}
      {letter.note && <>: {letter.note}</>}
    </p>
  );
}

// ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────

function Attempts({ page }: { page: PageOfRun }) {
  const { run, nodes } = page;
  const isLive = !FINAL.has(run.status);
  const spans = spansOf(run, isLive ? now.value : Date.parse(run.finished_at ?? page.at));
  if (run.attempts.length === 0 && run.claim === null) return <p class="quiet-line">{isLive ? "Not started" : "Never started"}</p>;
  return (
    <>
      <Bars spans={spans} />
      <div class="table" role="group" aria-label="Attempts" tabIndex={0}>
        <table>
          <caption class="hide">Attempts, oldest first</caption>
          <thead>
            <tr>
              <th scope="col" class="number">
                Attempt
              </th>
              <th scope="col">Outcome</th>
              <th scope="col" class="grow">
                <span class="hide">Error</span>
              </th>
              <th scope="col" class="c-m">
                Node
              </th>
              <th scope="col" class="number">
                Duration
              </th>
              <th scope="col" class="number c-m">
                Started
              </th>
              <th scope="col" class="number c-m">
                Wait before retry
              </th>
            </tr>
          </thead>
          <tbody>
            {run.attempts.map((attempt, at) => (
              <AttemptRow key={`${attempt.number}-${attempt.started_at}`} attempt={attempt} next={run.attempts[at + 1]?.started_at ?? run.claim?.at ?? null} node={nodes[attempt.node]} />
            ))}
            {run.claim && (
              <tr>
                <th scope="row" class="number">
                  {run.attempt}
                </th>
                <td class="fit">
                  <Badge status={stateOf(run)} />
                </td>
                <td class="grow">{run.claim.probe && <span class="muted">test call of the breaker</span>}</td>
                <td class="fit c-m">{nodes[run.claim.node] ?? run.claim.node}</td>
                <td class="fit number">
                  <Duration run={run} />
                </td>
                <td class="fit number c-m">
                  <At at={run.claim.at} exact />
                </td>
                <td class="c-m" />
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}

function AttemptRow({ attempt, next, node }: { attempt: Attempt; next: string | null; node: string | undefined }) {
  const status = attempt.cause === null ? "succeeded" : attempt.cause === "interrupted" || attempt.cause === "rescued" || attempt.cause === "cancelled" ? "cancelled" : "failed";
  return (
    <tr>
      <th scope="row" class="number">
        {attempt.number}
      </th>
      <td class="fit">
        <Badge status={status} word={attempt.cause === null || attempt.cause === "error" ? undefined : label(attempt.cause)} />
      </td>
      <td class="grow">
        {attempt.error && (
          <span class="clip" title={attempt.error.message}>
            <span class="error-type">{shortType(attempt.error.type)}</span> {attempt.error.message}
          </span>
        )}
      </td>
      <td class="fit c-m">{node ?? <span class="muted">{attempt.node.slice(0, 8)}</span>}</td>
      <td class="fit number">{duration(attempt.duration_s)}</td>
      <td class="fit number c-m">
        <At at={attempt.started_at} exact />
      </td>
      <td class="fit number muted c-m">{next ? duration((Date.parse(next) - Date.parse(attempt.ended_at)) / 1000) : ""}</td>
    </tr>
  );
}

/** To scale: what waits is hatched, what ran is solid. */
function Bars({ spans }: { spans: readonly Span[] }) {
  const from = Math.min(...spans.map((span) => span.from));
  const to = Math.max(...spans.map((span) => span.to), from + 1);
  const at = (ms: number) => `${((ms - from) / (to - from)) * 100}%`;
  return (
    <div class="attempts" role="img" aria-label={spans.map(spanText).join(", ")}>
      <div class="attempt-track">
        {spans.map((span) => (
          <span
            key={`${span.kind}-${span.from}`}
            class={`span ${span.kind}`}
            style={{ left: `min(${at(span.from)}, 100% - 3px)`, width: at(from + span.to - span.from) }}
            title={spanText(span)}
          />
        ))}
      </div>
      <div class="ruler" aria-hidden="true">
        {ticks((to - from) / 1000).map((s) => (
          <span key={s} style={{ left: at(from + s * 1000) }}>
            {s === 0 ? "0" : duration(s)}
          </span>
        ))}
      </div>
    </div>
  );
}

function spanText({ kind, number, from, to }: Span): string {
  return `${number ? `attempt ${number} ` : ""}${kind} ${duration((to - from) / 1000)}`;
}

// ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

function Failure({ run }: { run: Run }) {
  const error = run.attempts.at(-1)?.error?.traceback ? run.attempts.at(-1)?.error : run.error;
  if (!error || run.status === "succeeded") return null;
  const text = error.traceback || `${error.type}: ${error.message}`;
  return (
    <Section title="Error" aside={<Copy text={text} what="the error" />}>
      <p class="error-head">
        <strong class="bad">{error.type}</strong>
        {error.message && <>: {error.message}</>}
      </p>
      {error.traceback && (
        <pre class="traceback" tabIndex={0} aria-label="Traceback">
          {error.traceback}
        </pre>
      )}
    </Section>
  );
}

function Value({ value, what, none, isSealed }: { value: unknown; what: string; none: string; isSealed: boolean }) {
  const sealed = isSealed ? (value as { $encrypted?: { reason: string } } | null)?.$encrypted : undefined;
  if (sealed) return <p class="quiet-line">Not readable: {sealed.reason}.</p>;
  return value === null || value === undefined ? <p class="quiet-line">{none}</p> : <Tree value={value} what={what} />;
}

function RunDetails({ page }: { page: PageOfRun }) {
  const { run } = page;
  return (
    <Details>
      <Detail name="priority">{run.priority}</Detail>
      {run.key && (
        <Detail name="key">
          <code>{run.key}</code>
        </Detail>
      )}
      <Detail name="created">
        <At at={run.created_at} />
      </Detail>
      <Detail name="scheduled for">
        <At at={run.occurs_at} />
        {run.missed > 0 && `, and instead of ${plural(run.missed, "missed run")}`}
      </Detail>
      {run.finished_at && (
        <Detail name="ended">
          <At at={run.finished_at} />
        </Detail>
      )}
      {page.executor && <Detail name="executor">{page.executor}</Detail>}
      {page.timeout_s !== null && <Detail name="timeout">{duration(page.timeout_s)}</Detail>}
      {run.claim && <Detail name="claim number">{run.claim.fence}</Detail>}
      {run.interruptions > 0 && <Detail name="interrupted">{plural(run.interruptions, "time")}</Detail>}
      {run.rescues > 0 && <Detail name="rescued">{plural(run.rescues, "time")}</Detail>}
      {run.degraded && <Detail name="degraded">ran although a dependency had failed</Detail>}
      {run.give_up_at && (
        <Detail name="deadline">
          <At at={run.give_up_at} />
        </Detail>
      )}
      {run.replay_of && (
        <Detail name="replay of">
          <RunLink id={run.replay_of} />
        </Detail>
      )}
      {run.caused_by && (
        <Detail name="caused by">
          <RunLink id={run.caused_by} />
        </Detail>
      )}
    </Details>
  );
}
