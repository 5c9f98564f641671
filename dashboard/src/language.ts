/* A language that the browser cannot use itself ("en-US@posix", without a locale) must not cost the page: uPlot makes
   a number format of it as soon as it is read.  Imported before everything else. */

export function usable(language: string | undefined): string {
  try {
    new Intl.NumberFormat(language);
    return language ?? "en";
  } catch {
    return "en";
  }
}

if (typeof navigator !== "undefined" && usable(navigator.language) !== navigator.language) {
  Object.defineProperty(navigator, "language", { value: usable(navigator.language), configurable: true });
}
