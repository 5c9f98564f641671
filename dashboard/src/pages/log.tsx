/* The log of a run, as it is written; it scrolls along while its end is in view. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get, sentence } from "../api/client";
import type { Log as Page, LogLine } from "../api/schema";
import { plural } from "../format";
import { useFrames } from "../live/hooks";
import { epoch } from "../live/stream";
import { Copy, Empty, Trouble } from "../components/bits";
import { At } from "../components/time";

const MOST = 2000; // lines on the page; older ones go

export function Log({ run, isOver }: { run: number; isOver: boolean }) {
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [error, setError] = useState("");
  const [level, setLevel] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const looked = epoch.value;
  useEffect(() => {
    const gone = new AbortController();
    void readAll(run, gone.signal, (more) => setLines((before) => merged(before, more))).then(
      () => setError(""),
      (error: unknown) => {
        if (!gone.signal.aborted) setError(sentence(error));
      },
    );
    return () => gone.abort();
  }, [run, looked]);
  useFrames("log", (newLines) => {
    const mine = newLines.filter((line) => line.run === run);
    if (mine.length > 0) setLines((before) => merged(before, mine));
  });
  useLayoutEffect(() => {
    if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const scrolled = () => {
    const it = box.current;
    if (it) follows.current = it.scrollTop + it.clientHeight > it.scrollHeight - 24;
  };
  if (error) return <Trouble error={error} />;
  if (lines.length === 0) {
    return isOver ? <p class="quiet-line">No log output</p> : <Empty title="No log output yet" code={`import logging\n\nlogging.info("page %d", page)   # or ctx.log.info(…)`} />;
  }
  const levels = [...new Set(lines.map((line) => line.level))];
  const shown = level === "" ? lines : lines.filter((line) => line.level === level);
  return (
    <>
      <div class="log-head">
        <span class="muted">{plural(shown.length, "line")}</span>
        {levels.length > 1 && (
          <select aria-label="Level" value={level} onChange={(event) => setLevel(event.currentTarget.value)}>
            <option value="">all levels</option>
            {levels.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        )}
        <Copy text={shown.map((line) => `${line.at} ${line.level} ${line.text}`).join("\n")} what="the log" />
      </div>
      <div class="log" ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-label="Log of the run" aria-live="off">
        {shown.map((line) => (
          <div key={`${line.fence}-${line.number}`} class={`line ${line.level.toLowerCase()}`}>
            <span class="line-at">
              <At at={line.at} exact />
            </span>
            <span class="line-try" title="attempt">
              {line.attempt}
            </span>
            <span class="line-level">{line.level}</span>
            <span class="line-text">{line.text}</span>
          </div>
        ))}
      </div>
    </>
  );
}

async function readAll(run: number, signal: AbortSignal, onLines: (lines: readonly LogLine[]) => void): Promise<void> {
  let after = { fence: 0, number: 0 };
  for (;;) {
    const { lines } = await get<Page>(`runs/${run}/log`, after, signal);
    onLines(lines);
    const last = lines.at(-1);
    if (last === undefined || lines.length < 1000) return;
    after = { fence: last.fence, number: last.number };
  }
}

function merged(before: readonly LogLine[], more: readonly LogLine[]): readonly LogLine[] {
  if (more.length === 0) return before;
  const by = new Map([...before, ...more].map((line) => [`${line.fence}-${line.number}`, line]));
  return [...by.values()].sort((one, other) => one.fence - other.fence || one.number - other.number).slice(-MOST);
}
