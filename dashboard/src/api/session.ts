/* Who we are here, and what we may do; buttons that a role may not use are not there. */

import { signal } from "@preact/signals";
import { get, post, remove, sentence, whenSessionEnds } from "./client";
import type { SessionInfo } from "./schema";

const RANK = { metrics: 0, viewer: 1, operator: 2, admin: 3 } as const;
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
  if (session.value.role !== null) linkTrouble.value = "";
  return session.value;
}

export async function logIn(token: string): Promise<void> {
  await post("session", { token });
  linkTrouble.value = "";
  await readSession();
}

const CODE = /^#code=([\w-]+)$/;

/** Where we came by a link that logs in: why it did not, if it did not.  The code leaves the address at once. */
export const linkTrouble = signal("");

export async function logInByLink(): Promise<void> {
  const code = CODE.exec(location.hash)?.[1];
  if (code === undefined) return;
  linkTrouble.value = "";
  history.replaceState(history.state, "", "#/");
  dispatchEvent(new HashChangeEvent("hashchange")); // replaceState tells nobody
  try {
    await post("session", { code });
  } catch (error) {
    linkTrouble.value = sentence(error);
  }
}

export async function logOut(): Promise<void> {
  await remove("session");
  await readSession();
}

addEventListener("hashchange", () => {
  if (CODE.test(location.hash)) void logInByLink().then(readSession); // pasted into a page that is open
});

whenSessionEnds(() => {
  if (session.value !== null) session.value = { ...session.value, role: null, name: "" };
});
