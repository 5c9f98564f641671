/* A row that nobody can read: which, why, and what helps. */

import type { Unreadable } from "../api/schema";

export const REMEDY = "shiftboss doctor --set-aside";

const HOLDING = ["run", "worker", "record", "breaker"]; // what ended holds nobody

export function UnreadableRow({ row }: { row: Unreadable }) {
  return (
    <p class="said bad" role="note">
      Row {row.id} of table {row.table} cannot be read: {row.reason}. What stands here is what could be told of it{HOLDING.includes(row.table) && ", and what could meet it is held"}.
      To move it out of the way: <code>{REMEDY}</code>
    </p>
  );
}
