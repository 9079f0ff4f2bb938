// Keeps the page live: hears which topics changed and fetches the sections that show them.
"use strict";

const GATHER_MS = 250; // several changes in a row make one fetch
const stale = new Set();
const shown = new Map(); // what each section was last filled with
let timer = null;
let fetching = false;

const liveBox = document.getElementById("live");
const liveText = document.getElementById("live-text");

function say(state, text) {
  liveBox.dataset.state = state;
  if (liveText.textContent !== text) liveText.textContent = text;
}

function sectionsOf(topic) {
  return [...document.querySelectorAll("section[data-topics]")].filter((section) =>
    section.dataset.topics.split(" ").includes(topic),
  );
}

async function refresh(section, query) {
  const answer = await fetch(`/page/${section.id}${query}`, { headers: { Accept: "text/html" } });
  if (answer.status === 401) {
    window.location.assign("/sign-in");
    return;
  }
  if (!answer.ok) throw new Error(`${section.id}: ${answer.status}`);
  const html = await answer.text();
  if (shown.get(section.id) === html) return;
  const field = section.querySelector("input[type=search]");
  const typing = field !== null && field === document.activeElement;
  const kept = typing ? [field.value, field.selectionStart, field.selectionEnd] : null;
  const scroll = section.querySelector(".scroll");
  const left = scroll === null ? 0 : scroll.scrollLeft;
  const focused = section.contains(document.activeElement) ? document.activeElement.href : null;
  section.innerHTML = html;
  shown.set(section.id, html);
  if (scroll !== null && section.querySelector(".scroll") !== null) {
    section.querySelector(".scroll").scrollLeft = left;
  }
  if (kept !== null) {
    const fresh = section.querySelector("input[type=search]");
    fresh.value = kept[0];
    fresh.focus({ preventScroll: true });
    fresh.setSelectionRange(kept[1], kept[2]);
  } else if (focused) {
    const same = [...section.querySelectorAll("a")].find((link) => link.href === focused);
    if (same) same.focus({ preventScroll: true });
  }
}

async function refreshStale() {
  timer = null;
  if (fetching) return;
  fetching = true;
  try {
    while (stale.size > 0) {
      const [section] = stale;
      stale.delete(section);
      await refresh(section, window.location.search);
    }
    say("on", "Live");
  } catch {
    say("off", "Connection lost, trying again");
  } finally {
    fetching = false;
  }
}

function soon(sections) {
  for (const section of sections) stale.add(section);
  if (timer === null && stale.size > 0) timer = setTimeout(refreshStale, GATHER_MS);
}

function everything() {
  soon(document.querySelectorAll("section[data-topics]"));
}

async function showStock(address) {
  window.history.replaceState(null, "", address);
  stale.add(document.getElementById("stock"));
  await refreshStale();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#stock a[href^='/?']");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const name = link.querySelector("span:last-child");
  showStock(link.getAttribute("href")).then(() => {
    const same = [...document.querySelectorAll("#stock a.fold")].find(
      (each) => name !== null && each.textContent === link.textContent,
    );
    if (same) same.focus({ preventScroll: true });
  });
});

let searching = null;
function search(form) {
  const asked = new URLSearchParams(new FormData(form));
  if (asked.get("q") === "") asked.delete("q");
  showStock(`/?${asked}`);
}

document.addEventListener("input", (event) => {
  if (event.target.type !== "search") return;
  clearTimeout(searching);
  searching = setTimeout(() => search(event.target.form), GATHER_MS);
});

document.addEventListener("submit", (event) => {
  if (!event.target.classList.contains("search")) return;
  event.preventDefault();
  search(event.target);
});

const source = new EventSource("/api/v1/events");
source.addEventListener("change", (event) => soon(sectionsOf(event.data)));
source.addEventListener("open", () => {
  say("on", "Live");
  everything();
});
source.addEventListener("error", () => {
  say("off", "Connection lost, trying again");
  if (source.readyState === EventSource.CLOSED) setTimeout(() => window.location.reload(), 5000);
});
