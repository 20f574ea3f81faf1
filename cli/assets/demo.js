"use strict";

// The server renders everything; this file keeps the page up to date. It asks for JSON, which says whether the
// session lives and how long, and takes what has changed from the page as the server renders it now. All its
// looks are peeks: they do not extend the session.

const LOOK_EVERY = 5000;
const LOOK_SOON = 1500; // while nothing answers
const LOOK_AT_ONCE = 250; // while the time is up, and the server has not said so yet
const LATE_SECONDS = 10;
const PANELS = ["devices", "timeline", "store", "browser", "forged"];
const STORE_IS_DOWN = "The session store does not answer. Nobody was logged out. This page tries again by itself.";
const DEMO_IS_DOWN = "The demo does not answer. This page tries again by itself.";

let deadline = null; // when the time will be up, on this page's clock; null without a session
let configured = 0; // the session's time to live, in seconds
let shown = null; // the last answer, without the time left
let busy = false; // something that a person did is under way
let done = Promise.resolve(); // what a person did until now: no click is lost, each waits for the one before
let failing = false; // the store, or the demo, did not answer last time
let nextLook = null;
let newest = 0; // the last page that was asked for
const rendered = new Map(); // each panel as the server rendered it last

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
  // what a person did meanwhile has the newer answer
  await orSayWhyNot(() => showNow(() => !busy && nextLook === before));
  if (!busy && nextLook === before) lookIn(failing ? LOOK_SOON : isOver() ? LOOK_AT_ONCE : LOOK_EVERY);
}

async function showNow(isWanted = () => true, ended = undefined) {
  const { status, answer } = await ask("/session?peek=1");
  if (!isWanted()) return;
  if (status !== 200) fail(STORE_IS_DOWN);
  else await show(answer, ended);
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
  const isEvicted = answer.reason === "signed in elsewhere";
  const hasExpired = hasEnded && !ended && !isEvicted && secondsLeft() < 1.5;
  const wasFailing = failing;
  failing = false;
  if (wasFailing) say("It answers again.");
  if (answer.authenticated && state() === "live") {
    configured = answer.configured_ttl;
    compareTimeLeft(ttl);
  }
  setText(byId("page-views"), String(page_views ?? byId("page-views")?.textContent));
  if (wasFailing || now !== shown || answer.authenticated) {
    const page = await takeOver(hasExpired ? "/?peek=1&error=expired" : "/?peek=1", answer.authenticated);
    if (!page) return;
    if (isEvicted) ended = page.getElementById("notice").textContent.trim();
  }
  if (hasEnded) say(ended ?? (hasExpired ? "The session expired." : "The session has ended."), isEvicted && "bad");
  shown = now;
}

// --- the page as the server renders it now ------------------------------------------------------

// Returns the page, or nothing where it is not taken over: a newer one was asked for, or what was answered before
// does not hold any more. The next look has the words for that.
async function takeOver(path, isLive) {
  const mine = ++newest;
  const response = await fetch(path, { headers: { Accept: "text/html" }, cache: "no-store" });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (mine !== newest) return undefined;
  if (response.status === 503) return fail(STORE_IS_DOWN);
  if (isLive !== (page.getElementById("ticket").dataset.state === "live")) return undefined;
  const [ours, theirs] = [byId("ticket"), page.getElementById("ticket")];
  for (const id of PANELS) takeOverPanel(byId(id), page.getElementById(id));
  if (ours.dataset.state === theirs.dataset.state && ours.dataset.session === theirs.dataset.session) {
    // the same ticket: what somebody is typing on it stays
    for (const id of ["ticket-title", "page-views"]) setText(byId(id), page.getElementById(id)?.textContent);
    takeOverToken(page);
  } else {
    const hadFocus = ours.contains(document.activeElement);
    ours.replaceWith(theirs);
    if (hadFocus) byId("ticket-title").focus({ preventScroll: true });
    start();
  }
  enhance();
  return page;
}

// Only where the server renders it differently: what somebody reads or selects stays.
function takeOverPanel(ours, theirs) {
  const html = withoutTimeLeft(theirs);
  if (rendered.get(ours.id) === html) return;
  rendered.set(ours.id, html);
  const focused = ours.contains(document.activeElement) ? document.activeElement : null;
  ours.replaceWith(theirs);
  if (focused) (document.getElementById(focused.id) ?? theirs.querySelector("h2"))?.focus({ preventScroll: true });
}

const withoutTimeLeft = (panel) => panel.outerHTML.replace(/(id="store-ttl">)\d+/, "$1");

// The ticket's forms carry the token of the secret that is now.
function takeOverToken(page) {
  const tokens = "input[name=csrf]:not([data-forged])";
  const now = page.querySelector(tokens)?.value;
  if (now) for (const input of document.querySelectorAll(tokens)) input.value = now;
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
    found ? "A script can read it, because it is not HttpOnly." : "A script on this page looked for it and found nothing.",
  );
  for (const time of document.querySelectorAll("time[datetime]")) {
    setText(time, new Date(time.dateTime).toLocaleTimeString());
  }
  drawTimeLeft();
}

// --- what a person does -------------------------------------------------------------------------

async function act(form) {
  if (!form.isConnected) return; // the ticket that it was on is gone
  busy = true;
  form.setAttribute("aria-busy", "true");
  await orSayWhyNot(async () => {
    const { status, answer } = await ask(form.getAttribute("action"), form);
    if (status === 200 && "revoked" in answer) {
      const ended = answer.revoked === 1 ? "1 session was ended." : `${answer.revoked} sessions were ended.`;
      say(ended);
      await showNow(undefined, ended);
    } else if (status === 200) {
      say(form.dataset.done ?? "");
      await show(answer, "You are logged out.");
    } else if (status === 401) {
      await showNow();
    } else if (status === 503) {
      fail(STORE_IS_DOWN);
    } else {
      await refuse(form, status, answer.error);
    }
  });
  form.removeAttribute("aria-busy");
  busy = false;
  lookIn(failing ? LOOK_SOON : LOOK_EVERY);
}

async function refuse(form, status, error) {
  const verdict = byId(form.dataset.verdict ?? "");
  if (verdict) setText(verdict, `${status}: ${error}. Nothing was counted.`);
  else say(status === 403 ? `403: ${error}.` : error, "bad");
  if (status === 400) form.querySelector("input:not([type=hidden])")?.focus();
  else await showNow();
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
for (const id of PANELS) rendered.set(id, withoutTimeLeft(byId(id)));
start();
enhance();
setInterval(tick, 250);
lookIn(failing ? LOOK_SOON : LOOK_EVERY);
