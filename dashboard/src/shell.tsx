/* What stands around every page: where one can go, how it is, and how fresh that is. */

import { useEffect, useRef } from "preact/hooks";
import { logOut, mustLogIn, session } from "./api/session";
import { count, plural } from "./format";
import { epoch, hidden, link, paused, reason, type Link } from "./live/stream";
import { readWhole, whole } from "./live/whole";
import { route } from "./nav";
import { Page } from "./pages/page";
import { Login } from "./pages/login";
import { DialogHost, focusHeading } from "./components/dialog";
import { Glyph, type GlyphName } from "./components/glyph";
import { searchIfWanted } from "./components/keys";
import { Notices } from "./components/notice";
import { openSheet } from "./components/sheet";
import { Badge } from "./components/status";
import { Ago } from "./components/time";
import { nextTheme, otherZone, theme, zone } from "./prefs";
import { href, type Page as Name } from "./routes";
import { visible } from "./visible";

const PLACES: readonly (readonly [Name, string, GlyphName])[] = [
  ["overview", "Overview", "pulse"],
  ["workers", "Workers", "grid"],
  ["runs", "Runs", "list"],
  ["graph", "Graph", "graph"],
  ["timeline", "Timeline", "bars"],
  ["dead", "Dead letters", "letter"],
  ["fleet", "Fleet", "nodes"],
  ["activity", "Activity", "clock"],
];

export function Shell() {
  const { page, id } = route.value;
  const name = PLACES.find(([each]) => each === page)?.[1] ?? "Page not found";
  const first = useRef(true);
  useEffect(() => {
    document.title = visible(`${id ?? name} · shiftboss`);
    if (!first.current && !searchIfWanted()) {
      focusHeading();
      scrollTo(0, 0);
    }
    first.current = false;
  }, [page, id]);
  const looked = epoch.value;
  const role = session.value?.role;
  useEffect(() => {
    if (role && link.peek() !== "live") void readWhole().catch(() => undefined); // else the stream has just said it
  }, [role, looked]);

  if (session.value === null) return <Start />;
  if (mustLogIn()) return <Login />;
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to content
      </a>
      <Banner />
      <Freshness />
      <div class="frame">
        <Places current={page} />
        <main id="main" tabIndex={-1} class={`page page-${page}`}>
          <Page />
        </main>
      </div>
      <Notices />
      <DialogHost />
    </>
  );
}

function Start() {
  return (
    <main class="start">
      <h1 class="hide">shiftboss</h1>
      <p class="loading">{link.value === "reconnecting" ? "The server does not answer; retrying…" : "Connecting…"}</p>
    </main>
  );
}

function Banner() {
  const it = whole.value;
  return (
    <header class="banner">
      <a class="brand" href={href("overview")}>
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <path d="M2 3.5h7M4.5 8h10M7 12.5h6" />
        </svg>
        shiftboss
      </a>
      {it && (
        <a class="banner-health" href={href("overview")} aria-label={`Health: ${it.health}`}>
          <Badge status={it.health} />
        </a>
      )}
      {it && (
        <span class="store clip" title={it.store}>
          {it.store}
        </span>
      )}
      <div class="tools">
        <LiveButton />
        <button type="button" class="tool" onClick={otherZone} title="Times: local or UTC" aria-label={`Times are ${zone.value}; switch`}>
          {zone.value}
        </button>
        <button type="button" class="tool" onClick={nextTheme} title="Theme (t)" aria-label={`Theme: ${theme.value}; switch`}>
          <Glyph name={({ system: "screen", light: "sun", dark: "moon" } as const)[theme.value]} size={15} />
        </button>
        <button type="button" class="tool keys" onClick={openSheet} title="Keyboard shortcuts (?)" aria-label="Keyboard shortcuts">
          <Glyph name="help" size={15} />
        </button>
      </div>
    </header>
  );
}

const LIVE: Record<Link, readonly [string, string]> = {
  connecting: ["connecting", "◌"],
  live: ["live", "●"],
  paused: ["paused", "‖"],
  stale: ["stale", "◌"],
  reconnecting: ["reconnecting", "◌"],
};

function LiveButton() {
  const [word, sign] = LIVE[link.value];
  const next = paused.value ? "resume" : "pause";
  return (
    <button
      type="button"
      class={`tool live-${link.value}`}
      onClick={() => (paused.value = !paused.value)}
      title={`Updates: ${word}; ${next} (p)`}
      aria-label={`Updates: ${word}; ${next}`}
    >
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <span class="word">{word}</span>
    </button>
  );
}

/** What is old says so. */
function Freshness() {
  const it = whole.value;
  const isOld = link.value === "stale" || link.value === "reconnecting";
  return (
    <div class="freshness" role="status">
      {isOld && !hidden.value && (
        <p>
          <Glyph name="bang" />
          <span>
            {link.value === "stale" ? `The store does not answer: ${reason.value}.` : `Disconnected (${reason.value}); reconnecting.`}{" "}
          {it && (
            <>
              The data shown is from <Ago at={it.at} />.
            </>
          )}
          </span>
        </p>
      )}
    </div>
  );
}

function Places({ current }: { current: string }) {
  const it = whole.value;
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [current]);
  const counts: Partial<Record<Name, readonly [number, string]>> = {
    runs: [it?.totals.running ?? 0, "running"],
    dead: [it?.totals.dead_letters ?? 0, "open"],
  };
  const who = session.value;
  return (
    <nav class="places" aria-label="Pages">
      <ul ref={list}>
        {PLACES.map(([page, name, glyph]) => {
          const [number, what] = counts[page] ?? [0, ""];
          return (
            <li key={page}>
              <a href={href(page)} aria-current={page === current ? "page" : undefined}>
                <Glyph name={glyph} size={15} />
                <span>{name}</span>
                {number > 0 && (
                  <span class={`badge ${page === "dead" ? "bad" : ""}`} title={plural(number, what, what)}>
                    {count(number)}
                    <span class="hide"> {what}</span>
                  </span>
                )}
              </a>
            </li>
          );
        })}
      </ul>
      {who && (
        <p class="who">
          <span class="clip">{who.name}</span>
          <span class="muted">
            {who.role} · {who.version}
          </span>
          {who.asks_for_token && (
            <button type="button" class="small" onClick={() => void logOut()}>
              Log out
            </button>
          )}
        </p>
      )}
    </nav>
  );
}
