/* Put into every page before its own scripts: what hostile texts have achieved there, as `harm()`; `isRead()` resolves
   once somebody is logged in and nothing of the page is still being read, `isShown()` once a hostile text stands there. */

(() => {
  const ran = [];
  const breaches = [];
  window.planted = (what) => ran.push(String(what));
  document.addEventListener("securitypolicyviolation", (event) => breaches.push(`${event.effectiveDirective}: ${event.blockedURI}`));

  const isHandler = (attribute) => attribute.name.startsWith("on");
  const isScripted = (attribute) => /^(href|src|action|formaction|data|srcdoc)$/.test(attribute.name) && /^\s*(javascript|data:text)/i.test(attribute.value);
  const isPlanted = (element) => element.classList.contains("planted") || [...element.attributes].some((each) => isHandler(each) || isScripted(each));

  const hasRead = () => document.querySelector("nav") !== null && document.querySelector("main h1") !== null && document.querySelector("[aria-busy=true]") === null;
  const until = (holds) =>
    new Promise((resolve) => {
      const look = () => holds() && resolve(true);
      new MutationObserver(look).observe(document.documentElement, { subtree: true, childList: true, attributes: true, characterData: true });
      look();
    });
  const shown = () => document.body.textContent.split("planted").length - 1;
  window.isRead = () => until(hasRead);
  window.isShown = () => until(() => shown() > 0);

  window.harm = (evaluated) => ({
    ran,
    breaches,
    elements: [...document.querySelectorAll("*")].filter(isPlanted).map((each) => each.outerHTML.slice(0, 200)),
    evaluated: document.body.textContent.includes(evaluated),
    shown: shown(),
  });
})();
