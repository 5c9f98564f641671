/* Dead letters as a file of JSON lines: each with its run, payload (secrets masked) and attempts. */

import { useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Letters, PageOfRun } from "../api/schema";
import { count, plural } from "../format";
import { Ask, openDialog } from "./dialog";

const PAGE = 200;
const TOGETHER = 4; // questions at once
const MOST = 2000; // a browser's memory; the command has no such limit

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
        One JSON object a line, with payload and attempts; at most {count(MOST)}. The command has no limit: <code>shiftboss dead export</code>.
      </p>
      {read > 0 && (
        <p role="status" class="number">
          {count(read)} read
        </p>
      )}
    </Ask>
  );
}

async function linesOf(filter: Record<string, string | null>, signal: AbortSignal, told: (read: number) => void): Promise<string[]> {
  const lines: string[] = [];
  let cursor: number | null = null;
  do {
    const page: Letters = await get<Letters>("dead-letters", { ...filter, cursor, limit: PAGE }, signal);
    for (let at = 0; at < page.letters.length && lines.length < MOST; at += TOGETHER) {
      const some = page.letters.slice(at, at + TOGETHER);
      const pages = await Promise.all(some.map((letter) => get<PageOfRun>(`dead-letters/${letter.run}`, undefined, signal)));
      lines.push(...pages.map(({ letter, run }) => JSON.stringify({ ...letter, run })));
      told(lines.length);
    }
    cursor = page.next;
  } while (cursor !== null && lines.length < MOST);
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
