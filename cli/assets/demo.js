"use strict";

// The server renders everything; this file keeps the page up to date. It asks for JSON, and when that says
// that something else than the time left has changed, it takes the new parts from the page as the server
// renders it now. All its looks are peeks: they do not extend the session.

const LOOK_EVERY = 5000;
const LOOK_SOON = 1500; // while nothing answers
const LOOK_AT_ONCE = 250; // while the time is up, and the server has not said so yet
const LATE_SECONDS = 10;
const STORE_IS_DOWN = "The session store does not answer. Nobody was logged out; this page keeps asking.";
const DEMO_IS_DOWN = "The demo does not answer. This page keeps asking.";

let deadline = null; // when the time will be up, on this page's clock; null without a session
let configured = 0; // the session's time to live, in seconds
let shown = null; // the last answer, without the time left
let busy = false; // something that a person did is under way
let done = Promise.resolve(); // what a person did until now: no click is lost, each waits for the one before
let failing = false; // the store, or the demo, did not answer last time
let nextLook = null;

const byId = (id) => document.getElementById(id);
const state = () => byId("ticket").dataset.state;

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function say(text, tone = "plain") {
  setText(byId("notice"), text);
  byId("notice").dataset.tone = tone;
}

// --- the countdown ------------------------------------------------------------------------------

function clock(seconds) {
  const pad = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

const secondsLeft = () => (deadline === null ? 0 : Math.max(0, (deadline - performance.now()) / 1000));
const isOver = () => deadline !== null && secondsLeft() === 0;

function setTimeLeft(seconds) {
  deadline = performance.now() + seconds * 1000;
  drawTimeLeft();
}

// The JSON has whole seconds, rounded up: where the clock here agrees with them, it runs on undisturbed.
function compareTimeLeft(ttl) {
  const left = secondsLeft();
  if (left <= ttl - 1.3 || left > ttl + 0.3) setTimeLeft(ttl);
}

function drawTimeLeft() {
  const countdown = byId("countdown");
  if (!countdown || deadline === null) return;
  const left = secondsLeft();
  const whole = Math.ceil(left);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  setText(countdown, clock(whole));
  setText(byId("configured"), String(configured));
  setText(byId("store-ttl"), String(whole));
  countdown.classList.toggle("long", whole >= 3600);
  countdown.closest(".dial").classList.toggle("late", left <= Math.min(LATE_SECONDS, configured / 3));
  byId("ring").style.strokeDashoffset = 100 * (1 - Math.min(1, (calm ? whole : left) / configured));
}

function tick() {
  const wasOver = byId("countdown")?.textContent === clock(0);
  drawTimeLeft();
  if (isOver() && !wasOver) lookIn(LOOK_AT_ONCE);
}

// --- looking at the session ---------------------------------------------------------------------

async function ask(path, form) {
  const request = { headers: { Accept: "application/json" }, cache: "no-store" };
  if (form) Object.assign(request, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  const response = await fetch(path, request);
  return { status: response.status, answer: await response.json() };
}

function lookIn(milliseconds) {
  clearTimeout(nextLook);
  nextLook = setTimeout(look, milliseconds);
}

async function look() {
  const before = nextLook;
  await orSayWhyNot(async () => {
    const { status, answer } = await ask("/session?peek=1");
    // what a person did meanwhile has the newer answer
    if (busy || nextLook !== before) return;
    if (status !== 200) fail(STORE_IS_DOWN);
    else await show(answer);
  });
  if (!busy && nextLook === before) lookIn(failing ? LOOK_SOON : isOver() ? LOOK_AT_ONCE : LOOK_EVERY);
}

async function orSayWhyNot(steps) {
  try {
    await steps();
  } catch {
    fail(DEMO_IS_DOWN);
  }
}

function fail(text) {
  failing = true;
  if (state() !== "closed") say(text, "bad");
}

// Takes over what was answered. `ended` is what to say when the session is over.
async function show(answer, ended) {
  const { ttl, page_views, ...rest } = answer;
  const now = JSON.stringify(rest);
  const hasEnded = state() === "live" && !answer.authenticated;
  const hasExpired = hasEnded && !ended && secondsLeft() < 1.5;
  if (failing) say("It answers again.");
  if (answer.authenticated && state() === "live") {
    configured = answer.configured_ttl;
    compareTimeLeft(ttl);
  }
  setText(byId("page-views"), String(page_views ?? byId("page-views")?.textContent));
  if (failing || now !== shown) await takeOver(hasExpired ? "/?peek=1&error=expired" : "/?peek=1");
  if (hasEnded) say(ended ?? (hasExpired ? "The session expired." : "The session has ended."));
  [shown, failing] = [now, false];
}

// --- the page as the server renders it now ------------------------------------------------------

async function takeOver(path) {
  const response = await fetch(path, { headers: { Accept: "text/html" }, cache: "no-store" });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const [ours, theirs] = [byId("ticket"), page.getElementById("ticket")];
  for (const id of ["store", "browser"]) byId(id).replaceWith(page.getElementById(id));
  if (ours.dataset.state === theirs.dataset.state && ours.dataset.session === theirs.dataset.session) {
    // the same ticket: what somebody is typing on it stays
    for (const id of ["ticket-title", "page-views"]) setText(byId(id), page.getElementById(id)?.textContent);
  } else {
    const hadFocus = ours.contains(document.activeElement);
    ours.replaceWith(theirs);
    if (hadFocus) byId("ticket-title").focus({ preventScroll: true });
    start();
  }
  enhance();
}

// A ticket that is new on this page.
function start() {
  const dial = document.querySelector(".dial[data-left]");
  deadline = null;
  if (!dial) return;
  configured = Number(dial.dataset.ttl);
  for (const animation of dial.querySelectorAll("animate")) animation.remove();
  setTimeLeft(Number(dial.dataset.left));
}

// What only works with a script is hidden without it.
function enhance() {
  for (const presets of document.querySelectorAll(".presets")) presets.hidden = false;
  for (const input of document.querySelectorAll("input[list]")) input.removeAttribute("list");
  const found = document.cookie.split("; ").some((pair) => pair.startsWith("sid="));
  setText(
    byId("script-sees"),
    found ? "A script could read it: it is not HttpOnly." : "A script on this page just looked for it and found nothing.",
  );
  drawTimeLeft();
}

// --- what a person does -------------------------------------------------------------------------

async function act(form) {
  if (!form.isConnected) return; // the ticket that it was on is gone
  busy = true;
  form.setAttribute("aria-busy", "true");
  await orSayWhyNot(async () => {
    const { status, answer } = await ask(form.getAttribute("action"), form);
    if (status === 200) {
      say("");
      await show(answer, "You are logged out.");
    } else if (status === 401) {
      await show({ authenticated: false, session: null });
    } else if (status === 503) {
      fail(STORE_IS_DOWN);
    } else {
      say(answer.error, "bad");
      form.querySelector("input")?.focus();
    }
  });
  form.removeAttribute("aria-busy");
  busy = false;
  lookIn(failing ? LOOK_SOON : LOOK_EVERY);
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-action]")) return;
  event.preventDefault();
  done = done.then(() => act(event.target));
});

document.addEventListener("click", (event) => {
  const preset = event.target.closest("[data-preset]");
  if (!preset) return;
  byId("ttl").value = preset.dataset.preset;
  byId("ttl").focus();
});

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") lookIn(0);
});

if (location.search) history.replaceState(null, "", "/");
failing = state() === "closed";
start();
enhance();
setInterval(tick, 250);
lookIn(failing ? LOOK_SOON : LOOK_EVERY);
