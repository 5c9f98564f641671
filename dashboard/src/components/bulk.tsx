/* Actions on many at once: on all that match a filter, and only if they still are as many as was shown.

   - The number comes from a dry run when the dialog opens; it is sent as `expect`.
   - Where it has changed in between nothing is done; the dialog shows the new number and asks again. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { post, Problem, sentence } from "../api/client";
import type { Done } from "../api/schema";
import { count, plural } from "../format";
import { Trouble } from "./bits";
import { Ask, Field, openDialog } from "./dialog";

export interface Many {
  what: string; // "Replay", "Resolve", "Discard", "Cancel"
  done: string; // "replayed"
  path: string;
  filter: Record<string, unknown>;
  words: ComponentChildren; // the filter, in words
  one: string; // "dead letter"
  about: ComponentChildren;
  grave?: boolean;
  note?: "note" | "reason";
  rate?: boolean;
  changed: () => void;
}

export function openBulk(many: Many): void {
  openDialog(<Bulk {...many} />);
}

function Bulk({ what, done, path, filter, words, one, about, grave = false, note, rate = false, changed }: Many) {
  const [matched, setMatched] = useState<number | null>(null);
  const [trouble, setTrouble] = useState("");
  const [remark, setRemark] = useState("");
  const [pace, setPace] = useState(rate ? "10/s" : "");
  useEffect(() => {
    post<Done>(path, { filter, dry_run: true }).then(
      (answer) => setMatched(answer.matched),
      (error: unknown) => setTrouble(sentence(error)),
    );
  }, []);
  const act = async () => {
    try {
      const more = { ...(note ? { [note]: remark } : {}), ...(rate && pace !== "" ? { rate: pace } : {}) };
      const result = await post<Done>(path, { filter, expect: matched, ...more });
      changed();
      return outcomeText(result, done, one);
    } catch (error) {
      if (error instanceof Problem && error.kind === "count-changed") setMatched(error.facts["matched"] as number);
      throw error;
    }
  };
  const number = matched === null ? "…" : plural(matched, one);
  return (
    <Ask title={`${what} ${number}?`} verb={matched === null ? what : `${what} ${count(matched)}`} grave={grave} disabled={!matched} act={act}>
      <p class="filter-words" aria-live="polite">
        <strong>{number}</strong> {words}
      </p>
      <p>{about}</p>
      {rate && <Field label="Rate" value={pace} onValue={setPace} hint="How fast the new runs become due: 10/s, 100/m. Empty: all at once." />}
      {note && <Field label={note === "note" ? "Note" : "Reason"} value={remark} onValue={setRemark} long={note === "note"} />}
      {trouble && <Trouble error={trouble} />}
    </Ask>
  );
}

function outcomeText({ done: how, refused }: Done, did: string, one: string): string {
  const first = refused[0];
  return `${plural(how, one)} ${did}.${first ? ` ${count(refused.length)} refused; run ${first.run}: ${first.detail}` : ""}`;
}
