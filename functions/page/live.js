"use strict";
(() => {
  const every = 5000;
  const live = document.querySelector("[data-live]");
  const pad = (n) => String(n).padStart(2, "0");

  // The reader's own time beside each UTC time; the day where it is another one.
  const localTimes = (root) => {
    if (new Date().getTimezoneOffset() === 0) return;
    for (const at of root.querySelectorAll("time[datetime]")) {
      if (at.dataset.local) continue;
      const when = new Date(at.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      const otherDay = when.getDate() !== when.getUTCDate();
      const day = otherDay ? pad(when.getMonth() + 1) + "-" + pad(when.getDate()) + " " : "";
      const note = document.createElement("span");
      note.className = "local";
      note.textContent = " (" + day + pad(when.getHours()) + ":" + pad(when.getMinutes()) + " yours)";
      at.dataset.local = "yes";
      at.append(note);
    }
  };

  // A record opens in place; without the script its link leads to it.
  document.addEventListener("toggle", async (event) => {
    const more = event.target;
    if (!(more instanceof HTMLDetailsElement) || !more.open || !more.dataset.from || more.dataset.here) return;
    more.dataset.here = "yes";
    const page = await fetched(more.dataset.from);
    const body = page && page.querySelector("[data-record]");
    if (!body) { delete more.dataset.here; return; }
    const place = more.querySelector("[data-place]");
    place.replaceChildren(document.importNode(body, true));
    localTimes(place);
  }, true);

  const fetched = async (address) => {
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) return null;
      return new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch { return null; }
  };

  // What was opened stays open, and what has the focus keeps it.
  const keep = (from, to) => {
    for (const more of from.querySelectorAll("details[id]")) {
      const twin = to.querySelector("#" + CSS.escape(more.id));
      if (twin) twin.open = more.open;
    }
  };

  const refresh = async () => {
    if (document.hidden) return;
    const page = await fetched(location.href);
    const state = document.querySelector("#live-state");
    if (!page) {
      if (state) state.textContent = "not live: no answer, trying again";
      return;
    }
    for (const part of document.querySelectorAll("[data-part]")) {
      const next = page.querySelector("[data-part='" + part.dataset.part + "']");
      if (!next) continue;
      localTimes(next);
      keep(part, next);
      if (part.isEqualNode(next)) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      const mark = focused && (focused.id || focused.getAttribute("href"));
      const kept = document.importNode(next, true);
      part.replaceChildren(...kept.childNodes);
      if (mark) {
        const again = [...part.querySelectorAll("a, button, summary, [id]")]
          .find((one) => one.id === mark || one.getAttribute("href") === mark);
        if (again) again.focus({ preventScroll: true });
      }
    }
    if (state) state.textContent = "live";
    // Said once, and only when it is another sentence.
    const said = document.querySelector("#said");
    const now = document.querySelector("#now");
    if (said && now && said.dataset.text !== now.textContent) {
      if (said.dataset.text) said.textContent = now.textContent;
      said.dataset.text = now.textContent;
    }
  };

  localTimes(document);
  if (live) {
    const state = document.querySelector("#live-state");
    if (state) state.textContent = "live";
    setInterval(refresh, every);
    document.addEventListener("visibilitychange", refresh);
  }
})();
