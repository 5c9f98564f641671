/* Why something does not start: each hold, since when, and when it can change. */

import type { Explanation, Hold } from "../api/schema";
import { href } from "../routes";
import { label } from "../format";
import { Glyph } from "./glyph";
import { Ago, Since } from "./time";
import { RunLink } from "./bits";

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
            {hold.since && (
              <>
                for <Since at={hold.since} />
              </>
            )}
            {hold.until && (
              <>
                {hold.since && ", "}
                may change <Ago at={hold.until} />
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Its sentence, with the runs and workers in it as links. */
function HoldText({ hold }: { hold: Hold }) {
  const run = hold["run"];
  const worker = hold["upstream"] ?? hold["by"] ?? hold["worker"];
  const isWorker = typeof worker === "string" && worker !== "" && hold.gate !== "disabled";
  return (
    <>
      {hold.text}{" "}
      {isWorker && (
        <a class="aside-link" href={href("workers", worker)}>
          {worker}
        </a>
      )}{" "}
      {typeof run === "number" && run > 0 && <RunLink id={run} />}
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
