/* Actions, each a button that asks first; whoever may not do it, by role or by the host, sees no button. */

import { useState } from "preact/hooks";
import { path, post } from "../api/client";
import type { Accepted, DeadLetter, Drained, Preferred, Run, Switched } from "../api/schema";
import { mayDo } from "../api/permissions";
import { go } from "../nav";
import { Ask, Field, openDialog } from "./dialog";
import { RunLink, WorkerLink } from "./bits";
import { seconds } from "./schema";
import { openTrigger } from "./trigger";

interface Look {
  small?: boolean;
  primary?: boolean;
}

interface ActionProps extends Look {
  name: string;
  about?: string; // what it is about, for its accessible name
  grave?: boolean;
  open: () => void;
}

export function Action({ name, about, open, small = false, primary = false, grave = false }: ActionProps) {
  return (
    <button
      type="button"
      data-action
      class={[small && "small", primary && "primary", grave && "grave-text"].filter(Boolean).join(" ")}
      aria-label={about === undefined ? undefined : `${name.replace("…", "")} ${about}`}
      aria-haspopup="dialog"
      onClick={open}
    >
      {name}
    </button>
  );
}

// ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

export function TriggerButton({ worker, label = "Trigger…", ...look }: { worker: string; label?: string } & Look) {
  return mayDo("operator", "trigger", worker) ? <Action name={label} about={worker} open={() => openTrigger(worker)} {...look} /> : null;
}

export function DisableButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "disable", worker) ? <Action name="Disable…" about={worker} open={() => openDialog(<Disable worker={worker} />)} {...look} /> : null;
}

export function EnableButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "enable", worker) ? <Action name="Enable…" about={worker} open={() => openDialog(<Enable worker={worker} />)} {...look} /> : null;
}

export function PauseButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "pause", worker) ? <Action name="Pause…" about={worker} open={() => openDialog(<Pause worker={worker} />)} {...look} /> : null;
}

export function ResumeButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "resume", worker) ? <Action name="Resume…" about={worker} open={() => openDialog(<Resume worker={worker} />)} {...look} /> : null;
}

/** Enabling what is enabled closes its breaker and forgets its failures. */
export function ResetButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "enable", worker) ? <Action name="Close breaker…" about={`of ${worker}`} open={() => openDialog(<Enable worker={worker} isOn />)} {...look} /> : null;
}

export function ForgetButton({ worker }: { worker: string }) {
  return mayDo("admin", "forget", worker) ? <Action name="Forget…" about={worker} grave open={() => openDialog(<Forget worker={worker} />)} /> : null;
}

function Disable({ worker }: { worker: string }) {
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={`Disable ${worker}?`}
      verb="Disable"
      act={async () => {
        await post<Switched>(`workers/${path(worker)}/disable`, { reason });
        return (
          <>
            Disabled <WorkerLink name={worker} />.
          </>
        );
      }}
    >
      <p>No new runs start. Running ones finish. Dependent workers wait.</p>
      <Field label="Reason" value={reason} onValue={setReason} hint="Shown on the worker and in the activity log." />
    </Ask>
  );
}

const LENGTHS: readonly (readonly [string, string])[] = [
  ["30m", "for 30 minutes"],
  ["2h", "for 2 hours"],
  ["8h", "for 8 hours"],
  ["1d", "for a day"],
  ["", "until somebody resumes it"],
];

function Pause({ worker }: { worker: string }) {
  const [until, setUntil] = useState("2h");
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={`Pause ${worker}?`}
      verb="Pause"
      act={async () => {
        await post<Switched>(`workers/${path(worker)}/pause`, { until: until || null, reason });
        return (
          <>
            Paused <WorkerLink name={worker} />.
          </>
        );
      }}
    >
      <p>No new runs start. Running ones finish. Triggers are accepted and wait. A pause makes nothing unhealthy.</p>
      <div class="field">
        <label for="pause-until">How long</label>
        <select id="pause-until" value={until} onChange={(event) => setUntil(event.currentTarget.value)}>
          {LENGTHS.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <Field label="Reason" value={reason} onValue={setReason} hint="Shown on the worker and in the activity log." />
    </Ask>
  );
}

function Resume({ worker }: { worker: string }) {
  return (
    <Ask
      title={`Resume ${worker}?`}
      verb="Resume"
      act={async () => {
        await post<Switched>(`workers/${path(worker)}/resume`);
        return (
          <>
            Resumed <WorkerLink name={worker} />.
          </>
        );
      }}
    >
      <p>Pending runs start in their order.</p>
    </Ask>
  );
}

function Enable({ worker, isOn = false }: { worker: string; isOn?: boolean }) {
  return (
    <Ask
      title={isOn ? `Close the breaker of ${worker}?` : `Enable ${worker}?`}
      verb={isOn ? "Close the breaker" : "Enable"}
      act={async () => {
        await post<Switched>(`workers/${path(worker)}/enable`);
        return (
          <>
            {isOn ? "Closed the breaker of" : "Enabled"} <WorkerLink name={worker} />.
          </>
        );
      }}
    >
      <p>{isOn ? "Pending runs start at once, without a test call. The count of consecutive failures is reset." : "New runs start again. The count of consecutive failures is reset and the breaker is closed."}</p>
    </Ask>
  );
}

function Forget({ worker }: { worker: string }) {
  return (
    <Ask
      title={`Forget ${worker}?`}
      verb="Forget"
      grave
      act={async () => {
        await post<void>(`workers/${path(worker)}/forget`);
        go("workers");
        return `Forgot ${worker}.`;
      }}
    >
      <p>It is removed from all lists; its history stays. Possible only when no live node declares it.</p>
    </Ask>
  );
}

// ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export function CancelButton({ run, worker, ...look }: { run: number; worker: string } & Look) {
  return mayDo("operator", "cancel", worker) ? (
    <Action name="Cancel…" about={`run ${run}`} open={() => openDialog(<Cancel run={run} worker={worker} />)} {...look} />
  ) : null;
}

function Cancel({ run, worker }: { run: number; worker: string }) {
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={`Cancel run ${run} of ${worker}?`}
      verb="Cancel the run"
      grave
      act={async () => {
        const after = await post<Run>(`runs/${run}/cancel`, { reason });
        return after.status === "cancelled" ? (
          <>
            Run <RunLink id={run} /> is cancelled.
          </>
        ) : (
          <>
            Cancellation of run <RunLink id={run} /> requested.
          </>
        );
      }}
    >
      <p>A pending run is cancelled at once. A running one is asked to stop. It is not retried.</p>
      <Field label="Reason" value={reason} onValue={setReason} />
    </Ask>
  );
}

// ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────

export function LetterButtons({ letter, small = false, changed }: { letter: DeadLetter; small?: boolean; changed: () => void }) {
  if (letter.state !== "open") return null;
  const about = `run ${letter.run}`;
  return (
    <>
      {letter.has_payload && mayDo("operator", "replay", letter.worker) && (
        <Action name="Replay…" about={about} small={small} primary={!small} open={() => openDialog(<Replay letter={letter} changed={changed} />)} />
      )}
      {mayDo("operator", "resolve", letter.worker) && (
        <Action name="Resolve…" about={about} small={small} open={() => openDialog(<Close letter={letter} how="resolve" changed={changed} />)} />
      )}
      {mayDo("admin", "discard", letter.worker) && (
        <Action name="Discard…" about={about} small={small} grave open={() => openDialog(<Close letter={letter} how="discard" changed={changed} />)} />
      )}
    </>
  );
}

function Replay({ letter, changed }: { letter: DeadLetter; changed: () => void }) {
  const [delay, setDelay] = useState("");
  const wait = delay === "" ? 0 : seconds(delay);
  return (
    <Ask
      title={`Replay run ${letter.run} of ${letter.worker}?`}
      verb="Replay"
      disabled={wait === null}
      act={async () => {
        const { run } = await post<Accepted>(`dead-letters/${letter.run}/replay`, { delay: wait ?? 0 });
        changed();
        return (
          <>
            Run {letter.run} is replayed as <RunLink id={run} />.
          </>
        );
      }}
    >
      <p>Creates a new run with the same payload and fresh attempts. This dead letter is closed and keeps its history.</p>
      <Field
        label="Delay"
        value={delay}
        onValue={setDelay}
        placeholder="none"
        hint={wait === null ? "Not a duration; write 30s, 10m or 1h30m." : "30s, 10m, 1h30m"}
      />
    </Ask>
  );
}

function Close({ letter, how, changed }: { letter: DeadLetter; how: "resolve" | "discard"; changed: () => void }) {
  const [note, setNote] = useState("");
  const isGrave = how === "discard";
  return (
    <Ask
      title={`${isGrave ? "Discard" : "Resolve"} run ${letter.run} of ${letter.worker}?`}
      verb={isGrave ? "Discard" : "Resolve"}
      grave={isGrave}
      act={async () => {
        await post<DeadLetter>(`dead-letters/${letter.run}/${how}`, { note });
        changed();
        return (
          <>
            Run <RunLink id={letter.run} /> is {isGrave ? "discarded" : "resolved"}.
          </>
        );
      }}
    >
      <p>{isGrave ? "Closed now; deleted with its payload when its retention ends (30 days unless configured otherwise)." : "Mark as handled without re-running."}</p>
      <Field label="Note" value={note} onValue={setNote} hint="What was done about it; kept with the dead letter." long />
    </Ask>
  );
}

// ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function DrainButton({ id, name }: { id: string; name: string }) {
  return mayDo("admin", "drain", null) ? <Action name="Drain…" about={name} small open={() => openDialog(<Drain id={id} name={name} />)} /> : null;
}

export function PreferButton({ worker, id, name }: { worker: string; id: string; name: string }) {
  return mayDo("admin", "prefer", worker) ? <Action name="Prefer…" about={name} small open={() => openDialog(<Prefer worker={worker} id={id} name={name} />)} /> : null;
}

function Prefer({ worker, id, name }: { worker: string; id: string; name: string }) {
  return (
    <Ask
      title={`Use the declaration of ${worker} by ${name}?`}
      verb="Prefer"
      grave
      act={async () => {
        const { names } = await post<Preferred>(`nodes/${path(id)}/prefer`, { worker });
        return `The declaration of ${worker} by ${name} ${names.length > 0 ? "applies from now on" : "already applies"}.`;
      }}
    >
      <p>It applies to the whole fleet, even if another node has newer code, until newer code declares the worker.</p>
    </Ask>
  );
}

function Drain({ id, name }: { id: string; name: string }) {
  return (
    <Ask
      title={`Drain ${name}?`}
      verb="Drain"
      grave
      act={async () => {
        const node = await post<Drained>(`nodes/${path(id)}/drain`);
        return `${node.name} is draining: it finishes its running runs and starts no new ones.`;
      }}
    >
      <p>Its running runs finish. No new runs start on it until its process is restarted.</p>
    </Ask>
  );
}
