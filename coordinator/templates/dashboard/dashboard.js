// Follows an open page: exchanges the elements that the coordinator says have changed.
"use strict";
{
  const said = document.getElementById("live");
  const url = document.body.dataset.live;

  const say = (text) => { if (said && said.textContent !== text) said.textContent = text; };

  // Runs a change, and gives the keyboard's focus back to what had it: a link to the same place, or the
  // control with the same text.
  const keepingFocus = (change) => {
    const focused = document.activeElement;
    const place = focused && (focused.getAttribute("href") || focused.textContent);
    const id = focused?.closest("main [id]")?.id;
    change();
    if (!place || document.activeElement === focused || !id) return;
    const within = document.getElementById(id) || document.getElementById("content");
    const same = (element) => (element.getAttribute("href") || element.textContent) === place;
    [...within.querySelectorAll("a, button, summary")].find(same)?.focus({ preventScroll: true });
  };

  const elements = (html) => {
    // Rows of tables can only be parsed within a template.
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };

  // What a reader has opened stays open.
  const keepingOpen = (old, change) => {
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    const changed = change();
    changed?.querySelectorAll("details").forEach((details, index) => { details.open ||= open[index]; });
  };

  const apply = ({ parts = {}, regions = {} }) => keepingFocus(() => {
    for (const [id, html] of Object.entries(regions)) {
      document.getElementById(id)?.replaceChildren(elements(html));
    }
    for (const [id, html] of Object.entries(parts)) {
      const old = document.getElementById(id);
      if (!old) continue;
      keepingOpen(old, () => {
        const fresh = elements(html).firstElementChild;
        old.replaceWith(fresh);
        return fresh;
      });
    }
  });

  if (url) {
    const events = new EventSource(url);
    const stop = () => { events.close(); say("Not live; reload the page"); };
    events.onopen = () => say("Live");
    events.addEventListener("update", (event) => { apply(JSON.parse(event.data)); say("Live"); });
    events.addEventListener("end", stop);
    events.onerror = () => (events.readyState === EventSource.CLOSED ? stop() : say("Connecting…"));
    // A page that nobody sees must not hold a connection.
    addEventListener("pagehide", () => events.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }
}
