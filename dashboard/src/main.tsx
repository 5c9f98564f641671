/* The dashboard's beginning: who are we, how is it, then live. */

import "./language";
import "./visible";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/tables.css";
import "./styles/controls.css";
import "./styles/pages.css";
import { render } from "preact";
import { logInByLink, readSession } from "./api/session";
import { stream } from "./live/stream";
import { keepFocus } from "./components/focus";
import { listen } from "./components/keys";
import { openActions, openSheet } from "./components/sheet";
import { Shell } from "./shell";
import "./prefs";

render(<Shell />, document.getElementById("app") as HTMLElement);
keepFocus();
listen({ help: openSheet, actions: openActions });
void logInByLink()
  .then(readSession)
  .catch(() => undefined)
  .then(stream);
