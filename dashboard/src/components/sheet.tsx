/* The two dialogs that the keyboard opens: all keys, and what can be done here. */

import { keys } from "../prefs";
import { closeDialog, Dialog, openDialog } from "./dialog";

const SHEET: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  [
    "Go to",
    [
      ["g o", "Overview"],
      ["g w", "Workers"],
      ["g r", "Runs"],
      ["g g", "Graph"],
      ["g t", "Timeline"],
      ["g d", "Dead letters"],
      ["g f", "Fleet"],
      ["g a", "Activity"],
    ],
  ],
  [
    "In a list",
    [
      ["j k", "next row, previous row"],
      ["Enter", "open the row"],
      ["x", "select the row"],
      [".", "actions for the row or page"],
      ["/", "search"],
      ["Esc", "leave the list or field"],
    ],
  ],
  [
    "Everywhere",
    [
      ["p", "pause or resume updates"],
      ["t", "theme: light, dark, system"],
      ["?", "keyboard shortcuts"],
    ],
  ],
];

export function openSheet(): void {
  openDialog(<Sheet />);
}

function Sheet() {
  return (
    <Dialog title="Keyboard shortcuts" wide>
      <div class="sheet">
        {SHEET.map(([title, rows]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {rows.map(([key, what]) => (
                <div key={key}>
                  <dt>
                    {key.split(" ").map((each) => (
                      <kbd key={each}>{each}</kbd>
                    ))}
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={keys.value === "on"}
          onChange={(event) => (keys.value = event.currentTarget.checked ? "on" : "off")}
        />
        Single-key shortcuts
      </label>
    </Dialog>
  );
}

/** The buttons of the row, else of the page, as a list to choose from. */
export function openActions(from: Element): void {
  const row = from.closest("[data-row]");
  const all = [...document.querySelectorAll<HTMLElement>("main [data-action]")];
  const here = all.filter((each) => each.closest("[data-row]") === row);
  openDialog(<Actions elements={here.length > 0 ? here : all} />);
}

function Actions({ elements }: { elements: readonly HTMLElement[] }) {
  return (
    <Dialog title="Actions">
      {elements.length === 0 ? (
        <p class="muted">No actions</p>
      ) : (
        <ul class="choices">
          {elements.map((each, at) => (
            <li key={at}>
              <button
                type="button"
                onClick={() => {
                  closeDialog();
                  requestAnimationFrame(() => {
                    each.focus();
                    each.click();
                  });
                }}
              >
                {each.getAttribute("aria-label") ?? each.textContent}
              </button>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
