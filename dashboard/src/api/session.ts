/* Who we are here, and what we may do; buttons that a role may not use are not there. */

import { signal } from "@preact/signals";
import { get, post, remove, whenSessionEnds } from "./client";
import type { SessionInfo } from "./schema";

const RANK = { viewer: 1, operator: 2, admin: 3 } as const;
export type Role = keyof typeof RANK;

export const session = signal<SessionInfo | null>(null);

export function may(role: Role): boolean {
  const mine = session.value?.role as Role | null | undefined;
  return mine ? RANK[mine] >= RANK[role] : false;
}

export function mustLogIn(): boolean {
  const mine = session.value;
  return mine !== null && mine.role === null && mine.asks_for_token;
}

export async function readSession(): Promise<SessionInfo> {
  session.value = await get<SessionInfo>("session");
  return session.value;
}

export async function logIn(token: string): Promise<void> {
  await post("session", { token });
  await readSession();
}

export async function logOut(): Promise<void> {
  await remove("session");
  await readSession();
}

whenSessionEnds(() => {
  if (session.value !== null) session.value = { ...session.value, role: null, name: "" };
});
