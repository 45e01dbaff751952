"use strict";

// A page that shows the present moment fetches itself again and exchanges what moves, unless somebody is in the middle of it.
const EVERY_MS = 10_000;

function busy(live) {
  return document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]") !== null;
}

async function refresh() {
  const live = document.getElementById("live");
  if (live === null || busy(live)) return;
  const answer = await fetch(location.href, { headers: { "X-Trueup-Refresh": "1" } });
  if (answer.redirected || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (fresh !== null && !busy(live)) live.replaceChildren(...fresh.childNodes);
}

setInterval(() => refresh().catch(() => {}), EVERY_MS);

// A menu that the keys have left must not stand before what has the focus now.
for (const menu of document.querySelectorAll("details.account")) {
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget !== null && !menu.contains(event.relatedTarget)) menu.open = false;
  });
}
