/* JSON to look into: nested things open and close, large ones say how large they are. */

import { plural } from "../format";
import { Written, write } from "../json";
import { Copy } from "./bits";

const OPEN_TO = 2; // levels that are open at first
const MAX_SHOWN = 200; // of one list; the rest can be copied

export function Tree({ value, what }: { value: unknown; what: string }) {
  const text = write(value, "  ");
  return (
    <div class="tree">
      <div class="tree-copy">
        <Copy text={text} what={what} />
      </div>
      <Node value={value} depth={0} />
    </div>
  );
}

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const head = name === undefined ? null : <span class="key">{name}: </span>;
  if (value === null || typeof value !== "object" || value instanceof Written) {
    return (
      <div class="leaf">
        {head}
        <span class={value === null ? "null" : value instanceof Written ? "number" : typeof value}>{write(value)}</span>
      </div>
    );
  }
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const size = isList ? plural(entries.length, "item") : plural(entries.length, "field");
  return (
    <details open={depth < OPEN_TO}>
      <summary>
        {head}
        <span class="muted">{entries.length === 0 ? (isList ? "[]" : "{}") : size}</span>
      </summary>
      <div class="branch">
        {entries.slice(0, MAX_SHOWN).map(([key, each]) => (
          <Node key={key} name={key} value={each} depth={depth + 1} />
        ))}
        {entries.length > MAX_SHOWN && <div class="leaf muted">{entries.length - MAX_SHOWN} more; copy to see all</div>}
      </div>
    </details>
  );
}
