/* Why something does not start: each hold, since when, and when it can change. */

import { Fragment } from "preact";
import type { Explanation, Hold } from "../api/schema";
import { label } from "../format";
import { Glyph } from "./glyph";
import { Ago, now, Since } from "./time";
import { RunLink, WorkerLink } from "./bits";

export function Holds({ holds }: { holds: readonly Hold[] }) {
  return (
    <ul class="holds">
      {holds.map((hold, at) => (
        <li key={at}>
          <span class="gate">{label(hold.gate)}</span>
          <span class="grow">
            <HoldText hold={hold} />
          </span>
          <span class="muted number">
            {hold.since && Date.parse(hold.since) < now.value && (
              <>
                for <Since at={hold.since} />
              </>
            )}
            {hold.until && (
              <>
                {hold.since && Date.parse(hold.since) < now.value && ", "}
                may change <Ago at={hold.until} />
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Its sentence, with the workers and runs in it as links. */
function HoldText({ hold }: { hold: Hold }) {
  const names = [hold["upstream"], hold["worker"], hold.gate === "blocks" ? hold["by"] : ""];
  return (
    <>
      {hold.text.split(/(\brun \d+\b|^[\w.-]+(?=: ))/).map((part, at) => {
        if (at % 2 === 0) return part;
        const run = /^run (\d+)$/.exec(part)?.[1];
        if (run !== undefined) return <Fragment key={at}>run <RunLink id={Number(run)} /></Fragment>;
        return names.includes(part) ? <WorkerLink key={at} name={part} /> : part;
      })}
    </>
  );
}

export function Why({ why }: { why: Explanation }) {
  const { holds, behind, earliest, run } = why;
  return (
    <div class="why">
      <p>
        <Glyph name="clock" /> Run <RunLink id={run.id} /> is due <Ago at={run.due_at} />
        {holds.length === 0 && behind === null && <span class="muted">: nothing holds it back.</span>}
        {behind !== null && (
          <>
            ; run <RunLink id={behind} /> goes first.
          </>
        )}
        {earliest && holds.length > 0 && (
          <span class="muted">
            . Earliest change <Ago at={earliest} />.
          </span>
        )}
      </p>
      {holds.length > 0 && <Holds holds={holds} />}
    </div>
  );
}
