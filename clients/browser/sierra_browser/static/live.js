// What the pages do by themselves: new events appear, and numbers are read again.  All that is
// inserted was made, and escaped, by the server.
"use strict";

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Nobody looks at a page that is hidden, so it asks for nothing.
const visible = () =>
  document.hidden
    ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true })).then(visible)
    : Promise.resolve();

const parse = (html, context) => {
  const range = document.createRange();
  range.selectNodeContents(context);
  return range.createContextualFragment(html);
};

async function follow(list) {
  const bar = document.getElementById("livebar");
  const state = document.getElementById("livestate");
  const button = document.getElementById("livebutton");
  const address = new URL(list.dataset.live, location.href);
  let after = list.dataset.after;
  let paused = false;
  let wake = () => {};
  const show = (kind, text) => {
    bar.classList.toggle("live", kind === "live");
    bar.classList.toggle("lost", kind === "lost");
    state.textContent = text;
  };
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Continue" : "Pause";
    show(paused ? "" : "live", paused ? "paused" : "live");
    wake();
  });
  bar.hidden = false;
  show("live", "live");
  for (;;) {
    await visible();
    if (paused) await new Promise((resolve) => (wake = resolve));
    address.searchParams.set("after", after);
    try {
      const answer = await fetch(address, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const news = await answer.json();
      if (news.reload) return location.reload();
      if (paused) continue;
      after = String(news.after);
      if (news.count) {
        const rows = parse(news.html, list);
        for (const row of rows.querySelectorAll("tr")) row.classList.add("arrived");
        list.prepend(rows);
        while (list.rows.length > 200) list.lastElementChild.remove();
        document.querySelector(".empty")?.remove();
      }
      show("live", "live");
    } catch {
      show("lost", "no answer, trying again");
      await sleep(3000);
    }
  }
}

// Replaces the page by a new one, unless somebody is about to press a button in it.
async function refresh(main) {
  let took = 0;
  for (;;) {
    // The server has nine tenths of its time for others.
    await sleep(Math.max(1000 * main.dataset.refresh, 9 * took));
    await visible();
    if (main.querySelector("details[open]") || main.contains(document.activeElement)) continue;
    try {
      const started = performance.now();
      const answer = await fetch(location.href, { cache: "no-store" });
      took = performance.now() - started;
      if (!answer.ok) continue;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      main.replaceChildren(...page.getElementById("main").childNodes);
    } catch {
      // The server is away; the next round asks again.
    }
  }
}

const list = document.querySelector("[data-live]");
if (list) follow(list);
const main = document.querySelector("main[data-refresh]");
if (main) refresh(main);
