"use strict";
// The table of candidates: sorted by its heads, filtered by the form above it.
const listTable = document.getElementById("list");
const rows = listTable ? Array.from(listTable.tBodies[0].rows) : [];

function sortBy(place, isDown) {
  const value = (row) => {
    const text = row.cells[place].dataset.v;
    if (text === undefined || text === "") return null;
    const number = Number(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const keys = new Map(rows.map((row) => [row, value(row)]));
  rows.sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    if (x === null || y === null) return (x === null) - (y === null); // unknown: last
    const order = x < y ? -1 : x > y ? 1 : 0;
    return isDown ? -order : order;
  });
  listTable.tBodies[0].append(...rows);
}

function filterRows() {
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const system = document.getElementById("system").value;
  const stop = document.getElementById("stop").value;
  const hull = document.getElementById("hull").value;
  let shown = 0;
  for (const row of rows) {
    const text = row.dataset.text.toLowerCase();
    const fits =
      words.every((word) => text.includes(word)) &&
      (!system || row.dataset.system === system) &&
      (!stop || row.dataset.stop === (stop === "nowhere" ? "" : stop)) &&
      (hull === "" || (row.dataset.hull !== undefined && Number(row.dataset.hull) <= Number(hull)));
    row.hidden = !fits;
    shown += fits;
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length} shown`;
}

if (listTable) {
  const heads = Array.from(listTable.tHead.rows[0].cells);
  heads.forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => {
      const isDown = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      sortBy(place, isDown);
    });
  });
  const form = document.querySelector(".filters");
  form.addEventListener("input", filterRows);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filterRows));
  listTable.tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a")) location.hash = `c-${row.dataset.id}`;
  });
  filterRows();
}

function showStopped(name) {
  const field = document.getElementById("stop");
  if (!field) return;
  const known = Array.from(field.options).some((option) => option.value === name);
  field.value = known ? name : "";
  filterRows();
}
