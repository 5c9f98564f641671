/* A stored row that cannot be read: which, why, and the remedy. */

import type { Unreadable } from "../api/schema";

export const REMEDY = "shiftboss doctor --set-aside";

const HOLDING = ["run", "worker", "record", "breaker"]; // what ended holds nobody

export function UnreadableRow({ row }: { row: Unreadable }) {
  return (
    <p class="said bad" role="note">
      Row {row.id} of table {row.table} cannot be read: {row.reason}. This page shows what is known of it.{HOLDING.includes(row.table) && " Runs that may conflict with it are held."} Move it
      out of the way with <code>{REMEDY}</code>
    </p>
  );
}
