/* Why something does not start: each hold as the server says it, for how long it has held, and when it may end. */

import type { Explanation, Hold } from "../api/schema";
import { label } from "../format";
import { Glyph } from "./glyph";
import { LinkedText } from "./linkedText";
import { Ago, now, Since } from "./time";
import { RunLink } from "./bits";

export function Holds({ holds }: { holds: readonly Hold[] }) {
  return (
    <ul class="holds">
      {holds.map((hold, at) => (
        <li key={at}>
          <span class="gate">{label(hold.gate)}</span>
          <span class="grow">
            <LinkedText text={hold.text} subject={hold.subject} kind={hold.subject_kind} />
          </span>
          <span class="muted number">
            <When hold={hold} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** "for 11 min; re-checked in 2 s" */
function When({ hold: { since, until, until_says } }: { hold: Hold }) {
  const holds = since !== null && Date.parse(since) < now.value;
  return (
    <>
      {holds && (
        <>
          for <Since at={since} />
        </>
      )}
      {holds && until && "; "}
      {until && (
        <>
          {until_says} <Ago at={until} />
        </>
      )}
    </>
  );
}

export function Why({ why }: { why: Explanation }) {
  const { holds, behind, earliest, run } = why;
  return (
    <div class="why">
      <p>
        <Glyph name="clock" /> Run <RunLink id={run.id} /> {Date.parse(run.due_at) <= now.value ? "was" : "is"} due <Ago at={run.due_at} />
        {holds.length === 0 && behind === null && <span class="muted">: nothing holds it back.</span>}
        {behind !== null && (
          <>
            ; run <RunLink id={behind} /> goes first.
          </>
        )}
        {earliest && holds.length > 0 && (
          <span class="muted">
            . Can start <Ago at={earliest} /> at the earliest.
          </span>
        )}
      </p>
      {holds.length > 0 && <Holds holds={holds} />}
    </div>
  );
}
