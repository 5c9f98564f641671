/* The form that triggers a worker, made from its payload's JSON Schema. */

import { useEffect, useState } from "preact/hooks";
import { get, getAsWritten, path, post, sentence } from "../api/client";
import type { Accepted, PageOfWorker, PayloadForm, WorkerStatus } from "../api/schema";
import { Written, write } from "../json";
import { whole } from "../live/whole";
import { Loading, RunLink, Trouble } from "./bits";
import { Ask, Dialog, Field, openDialog } from "./dialog";
import { Timed } from "./time";
import { fieldsOf, read, seconds, type FormField } from "./schema";

export function openTrigger(worker: string): void {
  openDialog(<Trigger worker={worker} />);
}

function Trigger({ worker }: { worker: string }) {
  const [form, setForm] = useState<PayloadForm | null>(null);
  const [status, setStatus] = useState<WorkerStatus | null>(whole.peek()?.workers.get(worker) ?? null);
  const [trouble, setTrouble] = useState("");
  const failed = (error: unknown) => setTrouble(sentence(error));
  useEffect(() => {
    getAsWritten<PayloadForm>(`workers/${path(worker)}/payload`, ["default", "enum"]).then(setForm, failed);
    if (status === null) get<PageOfWorker>(`workers/${path(worker)}`, { runs: 1, instants: 0 }).then((page) => setStatus(page.worker), failed);
  }, [worker]);
  if (form !== null && status !== null) return <TriggerForm form={form} worker={status} />;
  return <Dialog title={`Trigger ${worker}`}>{trouble ? <Trouble error={trouble} /> : <Loading />}</Dialog>;
}

function TriggerForm({ form, worker }: { form: PayloadForm; worker: WorkerStatus }) {
  const fields = fieldsOf(form.schema);
  const disabled = worker.reasons.find((reason) => reason.fact === "disabled");
  const [asJson, setAsJson] = useState(!form.declared);
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [text, setText] = useState("{}");
  const [problems, setProblems] = useState<Record<string, string>>({});
  const [key, setKey] = useState("");
  const [delay, setDelay] = useState("");
  const [priority, setPriority] = useState("");
  const [force, setForce] = useState(false);

  const toJson = () => {
    setText(write(read(fields, typed).payload, "  "));
    setAsJson(true);
  };
  const act = async () => {
    const reading = asJson ? wholeOf(text) : read(fields, typed);
    const wait = delay === "" ? null : seconds(delay);
    if (wait === null && delay !== "") reading.problems["delay"] = "Not a duration; write 30s, 10m or 1h30m.";
    setProblems(reading.problems);
    if (Object.keys(reading.problems).length > 0) {
      requestAnimationFrame(() => document.querySelector<HTMLElement>("dialog [aria-invalid=true]")?.focus());
      return null;
    }
    const { run } = await post<Accepted>(`workers/${path(form.worker)}/trigger`, {
      payload: reading.payload,
      key: key || null,
      delay: wait,
      priority: priority || null,
      force,
    });
    return (
      <>
        Triggered {form.worker}: run <RunLink id={run} />.
      </>
    );
  };

  return (
    <Ask title={`Trigger ${form.worker}`} verb="Trigger" act={act}>
      <p class="takes">
        Payload: <code>{form.takes}</code>
        {fields.length > 0 && (
          <button type="button" class="small" onClick={() => (asJson ? setAsJson(false) : toJson())}>
            {asJson ? "As fields" : "As JSON"}
          </button>
        )}
      </p>
      {disabled && (
        <p class="hint">
          This worker is <Timed text={disabled.text} />.
        </p>
      )}
      {!form.declared && <p class="hint">This server does not load the app, so the payload is checked only when the run starts.</p>}
      {asJson ? (
        <Input name="payload" label="Payload" problem={problems["payload"]}>
          {(props) => <textarea {...props} class="code" rows={8} value={text} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} />}
        </Input>
      ) : (
        fields.map((field) => (
          <SchemaField
            key={field.name}
            field={field}
            value={typed[field.name] ?? field.initial}
            problem={problems[field.name]}
            onValue={(value) => setTyped({ ...typed, [field.name]: value })}
          />
        ))
      )}
      <details class="more" open={disabled !== undefined}>
        <summary>Key, delay, priority</summary>
        <Field label="Key" value={key} onValue={setKey} hint="Runs with the same key are created once." />
        <Input name="delay" label="Delay" problem={problems["delay"]} hint="30s, 10m, 1h30m; empty: none">
          {(props) => <input type="text" {...props} value={delay} onInput={(event) => setDelay(event.currentTarget.value)} />}
        </Input>
        <Input name="priority" label="Priority">
          {(props) => (
            <select {...props} value={priority} onChange={(event) => setPriority(event.currentTarget.value)}>
              <option value="">worker's default</option>
              {["low", "normal", "high", "critical"].map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          )}
        </Input>
        <label class="check">
          <input type="checkbox" checked={force} onChange={(event) => setForce(event.currentTarget.checked)} /> Run even if disabled
        </label>
      </details>
    </Ask>
  );
}

function wholeOf(text: string) {
  try {
    const payload: unknown = JSON.parse(text || "{}");
    if (typeof payload === "object" && payload !== null && !Array.isArray(payload)) {
      return { payload: new Written(text.trim() || "{}"), problems: {} as Record<string, string> };
    }
    return { payload: {}, problems: { payload: "A payload is a JSON object: { … }." } as Record<string, string> };
  } catch (error) {
    return { payload: {}, problems: { payload: `Not valid JSON: ${(error as Error).message}` } as Record<string, string> };
  }
}

interface InputProps {
  id: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
}

function Input(props: { name: string; label: string; needed?: boolean; hint?: string; problem?: string | undefined; children: (props: InputProps) => preact.ComponentChildren }) {
  const { name, label, needed = false, hint, problem, children } = props;
  const id = `trigger-${name}`;
  const describedBy = [hint ? `${id}-hint` : "", problem ? `${id}-problem` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>
        {label}
        {needed && <span class="muted"> required</span>}
      </label>
      {children({ id, "aria-invalid": problem !== undefined, "aria-describedby": describedBy || undefined })}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {problem && (
        <p class="problem" id={`${id}-problem`}>
          {problem}
        </p>
      )}
    </div>
  );
}

function SchemaField({ field, value, problem, onValue }: { field: FormField; value: string; problem: string | undefined; onValue: (value: string) => void }) {
  const optional = field.needed ? "" : field.initial === "" ? "optional" : `default ${field.initial}`;
  const hint = [field.hint, optional].filter(Boolean).join("; ");
  return (
    <Input name={field.name} label={field.name} needed={field.needed} hint={hint} problem={problem}>
      {(props) => {
        const typed = { ...props, required: field.needed, value, onInput: (event: Event) => onValue((event.currentTarget as HTMLInputElement).value) };
        if (field.kind === "boolean" || field.kind === "choice") {
          const choices = field.kind === "boolean" ? [true, false] : field.choices;
          return (
            <select {...typed}>
              {(!field.needed || value === "") && <option value="">{field.needed ? "choose…" : "not set"}</option>}
              {choices.map((each) => (
                <option key={write(each)} value={write(each)}>
                  {each instanceof Written ? each.text : String(each)}
                </option>
              ))}
            </select>
          );
        }
        if (field.kind === "json") return <textarea {...typed} class="code" rows={3} spellcheck={false} />;
        return <input {...typed} type="text" inputMode={field.kind === "text" ? "text" : "decimal"} autocomplete="off" />;
      }}
    </Input>
  );
}
