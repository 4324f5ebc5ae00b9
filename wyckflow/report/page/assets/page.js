"use strict";
// Which part of the page is seen: the overview, or one candidate named by the address.
const overview = document.getElementById("overview");
const detail = document.getElementById("detail");
const OPERATIONS = JSON.parse(document.getElementById("operations").textContent);
let place = 0; // how far the overview was scrolled

function saveFile(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function makeLink(text, id) {
  const link = document.createElement("a");
  link.href = id ? `#c-${id}` : "#candidates";
  link.textContent = text;
  return link;
}

function makeSteps(id) {
  const steps = document.createElement("div");
  steps.className = "steps";
  const seen = rows.filter((row) => !row.hidden);
  const at = seen.findIndex((row) => row.dataset.id === id);
  steps.append(makeLink("← all candidates", ""));
  const beside = document.createElement("span");
  if (at > 0) beside.append(makeLink("previous", seen[at - 1].dataset.id), "  ");
  if (at >= 0 && at + 1 < seen.length) beside.append(makeLink("next", seen[at + 1].dataset.id));
  steps.append(beside);
  return steps;
}

function openCandidate(id) {
  const template = document.getElementById(`t-${id}`);
  detail.replaceChildren(makeSteps(id));
  if (template) {
    detail.append(template.content.cloneNode(true));
  } else {
    const words = document.createElement("p");
    words.textContent = "The section of this candidate is not in this page, which would be too large: " +
      "make a report of fewer candidates with 'wyckflow report --limit'.";
    detail.append(words);
  }
  if (!overview.hidden) place = window.scrollY;
  overview.hidden = true;
  detail.hidden = false;
  window.scrollTo(0, 0);
  detail.querySelectorAll(".viewer").forEach((box) => { box.viewer = new Viewer(box); });
  detail.querySelectorAll(".files").forEach((files) => {
    const viewer = detail.querySelector(".viewer");
    const script = files.querySelector("script");
    const text = script.textContent.replaceAll("<\\/", "</").replaceAll("<\\!--", "<!--")
      .replace("@operations@", () => OPERATIONS[script.dataset.group]);
    files.querySelector("[data-file]").addEventListener("click", (event) => saveFile(event.target.dataset.file, text));
    files.querySelector("[data-poscar]").addEventListener("click", (event) =>
      saveFile(event.target.dataset.poscar, writePoscar(JSON.parse(viewer.dataset.crystal), viewer.dataset.name)));
  });
  const heading = detail.querySelector("h2");
  if (heading) heading.focus({ preventScroll: true });
}

function follow() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (name.startsWith("c-")) {
    openCandidate(name.slice(2));
    return;
  }
  const wasAway = overview.hidden;
  overview.hidden = false;
  detail.hidden = true;
  detail.replaceChildren();
  if (wasAway && name === "candidates") window.scrollTo(0, place);
  else if (name) document.getElementById(name)?.scrollIntoView();
}

window.addEventListener("hashchange", follow);
document.querySelectorAll("a[data-stop]").forEach((link) =>
  link.addEventListener("click", () => showStopped(link.dataset.stop)));
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  detail.querySelectorAll(".viewer").forEach((box) => box.viewer.draw());
});
follow();
