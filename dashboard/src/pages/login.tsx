/* Whoever is not logged in is asked for a token; nothing else is on this page. */

import { useState } from "preact/hooks";
import { sentence } from "../api/client";
import { linkTrouble, logIn } from "../api/session";
import { Trouble } from "../components/bits";

export function Login() {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setTrouble("");
    try {
      await logIn(token);
    } catch (error) {
      setTrouble(sentence(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)}>
        <h1>shiftboss</h1>
        <p class="about">
          Log in with the access token; a login is valid for 12 h. When started in a terminal, the server prints a login
          link; <code>shiftboss token link</code> on its machine prints another.
        </p>
        <div class="field">
          <label for="token">Token</label>
          <input
            id="token"
            type="password"
            autocomplete="current-password"
            autoFocus
            required
            value={token}
            aria-describedby="token-hint"
            onInput={(event) => setToken(event.currentTarget.value)}
          />
          <p class="hint" id="token-hint">
            Your own token, the value of <code>SHIFTBOSS_AUTH_TOKEN</code>, or the output of{" "}
            <code>shiftboss token show</code> on the server's machine.
          </p>
        </div>
        {(trouble || linkTrouble.value) && <Trouble error={trouble || linkTrouble.value} />}
        <button type="submit" class="primary" disabled={busy || token === ""}>
          {busy ? "Working…" : "Log in"}
        </button>
      </form>
    </main>
  );
}
