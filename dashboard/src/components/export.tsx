/* Dead letters as a file of JSON lines: each with its run, payload (secrets masked) and attempts. */

import { useRef, useState } from "preact/hooks";
import { postForStream } from "../api/client";
import { count, plural } from "../format";
import { Ask, openDialog } from "./dialog";

const MOST = 2000; // as the server says: a browser's memory; the command has no such limit

export function openExport(filter: Record<string, string | null>): void {
  openDialog(<Export filter={filter} />);
}

function Export({ filter }: { filter: Record<string, string | null> }) {
  const [read, setRead] = useState(0);
  const stop = useRef(new AbortController());
  return (
    <Ask
      title="Export dead letters"
      verb="Export"
      act={async () => {
        const lines = await linesOf(filter, stop.current.signal, setRead);
        save(`dead-letters-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl`, lines.join("\n") + "\n");
        return `Exported ${plural(lines.length, "dead letter")}.`;
      }}
    >
      <p>
        One JSON object per line, with payload and attempts; at most {count(MOST)}. The command has no limit: <code>shiftboss dead export</code>.
      </p>
      {read > 0 && (
        <p role="status" class="number">
          {count(read)} read
        </p>
      )}
    </Ask>
  );
}

/** Asked as one act, which the audit has; read as it comes. */
async function linesOf(filter: Record<string, string | null>, signal: AbortSignal, onRead: (read: number) => void): Promise<string[]> {
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null));
  const answer = await postForStream("dead-letters/export", { filter: given }, signal);
  const lines: string[] = [];
  let rest = "";
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop()!;
    lines.push(...whole);
    onRead(lines.length);
  }
  if (lines.length !== Number(answer.headers.get("shiftboss-lines"))) throw new Error("The server stopped before it had sent all of them; try again.");
  return lines;
}

function save(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
