/* The status as it is now: what the API said, with what the stream has told since. */

import { signal } from "@preact/signals";
import { get } from "../api/client";
import type { SystemStatus } from "../api/schema";
import { merge, snapshot, type Whole } from "./merge";
import { on } from "./stream";

export const whole = signal<Whole | null>(null);

export async function readWhole(): Promise<void> {
  whole.value = snapshot(await get<SystemStatus>("status"));
}

on("status", (changes) => {
  whole.value = changes.reduce(merge, whole.peek());
});
