"use strict";
// Theme: that of the system (auto), light or dark; remembered where the browser lets a page remember.
(() => {
  const button = document.getElementById("theme");
  const names = { auto: "auto", light: "light", dark: "dark" };
  const order = Object.keys(names);
  const kept = () => { try { return localStorage.getItem("mlpbench-colours"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("mlpbench-colours", value); } catch { /* for this page only */ } };
  const show = (value) => {
    document.documentElement.dataset.colours = value;
    button.querySelector("span").textContent = names[value];
  };
  let now = order.includes(kept()) ? kept() : "auto";
  show(now);
  button.hidden = false;
  button.addEventListener("click", () => {
    now = order[(order.indexOf(now) + 1) % order.length];
    keep(now);
    show(now);
  });
})();

// Curves: the one that is pointed at or focused stands out in every panel; a press keeps it so, Escape lets go.
(() => {
  const figure = document.getElementById("curves");
  if (!figure) return;
  const readout = document.getElementById("readout");
  const invitation = readout.textContent;
  const entries = new Map([...figure.querySelectorAll(".legend button")].map((b) => [b.dataset.key, b]));
  const members = [...figure.querySelectorAll("[data-key]")];
  let pinned = null;
  readout.hidden = false;
  const show = (key) => {
    figure.classList.toggle("choosing", key !== null);
    for (const member of members) member.classList.toggle("chosen", member.dataset.key === key);
    const entry = entries.get(key);
    readout.textContent = entry ? `${entry.textContent}: ${entry.dataset.ends}` : invitation;
  };
  const pin = (key) => {
    pinned = key;
    for (const [of, entry] of entries) entry.setAttribute("aria-pressed", String(of === key));
    show(key);
  };
  const keyOf = (event) => event.target.closest("[data-key]")?.dataset.key ?? null;
  for (const kind of ["pointerover", "focusin"]) {
    figure.addEventListener(kind, (event) => { const key = keyOf(event); if (key !== null) show(key); });
  }
  for (const kind of ["pointerout", "focusout"]) figure.addEventListener(kind, () => show(pinned));
  figure.addEventListener("click", (event) => {
    const key = keyOf(event);
    if (key !== null) pin(key === pinned ? null : key);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && pinned !== null) pin(null); });
})();

// Folds: a link to a folded section opens it.
(() => {
  const open = () => {
    const fold = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();

// Runs: rows that have all the words stay.
(() => {
  const table = document.getElementById("run-table");
  if (!table) return;
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  document.querySelector(".tools").hidden = false;
  document.getElementById("filter-help").hidden = false;
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    const rows = table.tBodies[0].rows;
    for (const row of rows) {
      const cells = [...row.cells].map((cell) => cell.textContent).join("\n").toLowerCase();
      row.hidden = !words.every((word) => cells.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length}`;
  });
})();
