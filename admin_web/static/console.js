// What pages do by themselves: running clocks, idle logout, asking before harm, quiet when nobody looks.
"use strict";

const root = document.documentElement;
// How far the server's clock is ahead of ours, as of the moment when its answer came.
const answeredAt = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0);
const serverOffset = Date.parse(root.dataset.serverTime) - answeredAt;
const isLoggedIn = Boolean(root.dataset.idleRemainingMs);
const BACKGROUND = { "X-Tollbell-Background": "1" };

// --- Running clocks -------------------------------------------------------------------------------------------------

function hms(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function tick() {
  const now = Date.now() + serverOffset;
  for (const clock of document.querySelectorAll("[data-since]")) {
    clock.textContent = hms(now - Date.parse(clock.dataset.since));
  }
  for (const clock of document.querySelectorAll("[data-until]")) {
    clock.textContent = hms(Date.parse(clock.dataset.until) - now);
  }
}

setInterval(tick, 500);

// --- Idle logout: the server decides, the page asks it in time ------------------------------------------------------

const KEEP_EVERY_MS = 60_000;
let idleTimer;
let keptAt = Date.now();

function goToLogin(why) {
  const here = encodeURIComponent(location.pathname + location.search);
  location.replace(`/login?next=${here}&why=${why}`);
}

function watchSession(remainingMs) {
  clearTimeout(idleTimer);
  idleTimer = setTimeout(askSession, Math.max(remainingMs, 0) + 250);
}

async function askSession(path = "/session", options = {}) {
  try {
    const answer = await fetch(path, options);
    if (answer.status === 401) {
      goToLogin((await answer.json()).why);
    } else if (answer.ok) {
      watchSession((await answer.json()).remaining_ms);
    } else {
      watchSession(5_000);
    }
  } catch {
    watchSession(5_000); // The console is away; without it there is no session to lose.
  }
}

function keepSession() {
  if (Date.now() - keptAt < KEEP_EVERY_MS) return;
  keptAt = Date.now();
  askSession("/session/keep", { method: "POST", headers: { "X-CSRF-Token": root.dataset.csrfToken } });
}

if (isLoggedIn) {
  watchSession(Number(root.dataset.idleRemainingMs));
  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) {
    addEventListener(kind, keepSession, { passive: true });
  }
}

// --- Asking before harm: a button with data-confirm ------------------------------------------------------------------

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    const button = event.submitter;
    if (!button?.dataset.confirm) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(button.dataset.confirm, button.dataset.confirmYes ?? "Yes", () => {
      // The list may have changed while the question was open, so what the button stood for goes along by itself.
      const choice = document.createElement("input");
      Object.assign(choice, { type: "hidden", name: button.name, value: button.value });
      if (button.name) form.append(choice);
      form.requestSubmit();
      choice.remove();
    });
  },
  true,
);

function ask(question, yes, onYes) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("[data-question]").textContent = question;
  dialog.querySelector("[value=yes]").textContent = yes;
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") onYes();
  };
  dialog.showModal();
}

// --- Notices go away by themselves -----------------------------------------------------------------------------------

const NOTICE_MS = 6_000;
const notices = document.getElementById("notices");

if (notices) {
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.addedNodes) {
        if (node instanceof Element) setTimeout(() => node.remove(), NOTICE_MS);
      }
    }
  }).observe(notices, { childList: true });
}

// --- Streams and refreshing ------------------------------------------------------------------------------------------

const HIDDEN_MS = 10_000;
const connection = document.getElementById("connection");
let openStreams = [];
let hiddenTimer;

htmx.createEventSource = (url) => {
  const source = new EventSource(url);
  source.addEventListener("session-over", (event) => goToLogin(event.data));
  openStreams = openStreams.filter((other) => other.readyState !== EventSource.CLOSED);
  openStreams.push(source);
  return source;
};

document.body.addEventListener("htmx:sseError", () => {
  if (connection && !document.hidden) connection.hidden = false;
  askSession();
});
document.body.addEventListener("htmx:sseOpen", () => {
  if (connection) connection.hidden = true;
});

// A browser allows six connections to one host. A tab that nobody looks at gives its stream back.
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => openStreams.forEach((source) => source.close()), HIDDEN_MS);
    return;
  }
  if (isLoggedIn) askSession();
  if (openStreams.some((source) => source.readyState === EventSource.CLOSED)) {
    openStreams = [];
    const address = location.pathname + location.search;
    htmx.ajax("GET", address, { target: "#main", select: "#main", swap: "outerHTML", headers: BACKGROUND });
  }
});

// A page whose services are away is answered 503, and is a page nevertheless.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status === 503 && event.detail.target.id === "main") {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

document.body.addEventListener("htmx:beforeRequest", (event) => {
  const isBackground = event.detail.requestConfig.headers["X-Tollbell-Background"];
  if (document.hidden && isBackground) event.preventDefault();
});

function tellFailure(text) {
  const note = document.createElement("div");
  note.className = "notice alert alert-danger";
  note.textContent = text;
  notices?.append(note);
}

document.body.addEventListener("htmx:responseError", (event) => {
  if (event.detail.requestConfig.headers["X-Tollbell-Background"]) return;
  tellFailure("The console could not do that. Load the page again and repeat.");
});
document.body.addEventListener("htmx:sendError", (event) => {
  if (event.detail.requestConfig.headers["X-Tollbell-Background"]) return;
  tellFailure("The console can't be reached.");
});

// --- Small things ----------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});
for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
