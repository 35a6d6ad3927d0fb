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

// Folds: a link to what is inside opens one, a link to a passage does by itself, as does the search of a browser that follows the HTML standard; printing opens all.
(() => {
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target?.closest("details:not([open])");
    if (!fold) return;
    fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  // The address stays the same where a link is followed twice.
  addEventListener("click", (event) => { if (event.target.closest?.('a[href^="#"]')) setTimeout(open); });
  open();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const fold of closed) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; });
})();

// Runs: rows that have all the words stay; width=512 and test_accuracy>0.84 are about a column.
(() => {
  const table = document.getElementById("run-table");
  if (!table) return;
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  document.querySelector(".tools:has(#filter)").hidden = false;
  document.getElementById("filter-help").hidden = false;
  const plain = (text) => text.toLowerCase().replace(/[\s_]+/g, "");
  const heads = [...table.tHead.rows[0].cells].map((cell) => plain(cell.textContent));
  const compare = {
    "=": (a, b) => a === b, "!=": (a, b) => a !== b, ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
  };
  const text = (row, column) => row.cells[column].textContent.trim().toLowerCase();
  const number = (row, column) => Number(row.cells[column].dataset.sort || row.cells[column].textContent);
  const rule = (word) => {
    const [, name, sign, value] = word.match(/^([^<>=!]+)(>=|<=|!=|=|>|<)(.+)$/) ?? [];
    const column = name === undefined ? -1 : heads.indexOf(plain(name));
    if (column < 0) return (row) => [...row.cells].map((cell) => cell.textContent).join("\n").toLowerCase().includes(word);
    const wanted = Number(value);
    if (Number.isNaN(wanted)) return (row) => compare[sign](text(row, column), value);
    const digits = (value.split(".")[1] ?? "").length;
    return (row) => {
      const there = number(row, column);
      if (Number.isNaN(there) || text(row, column) === "-") return false;
      return compare[sign](there, wanted) || (sign === "=" && digits > 0 && there.toFixed(digits) === wanted.toFixed(digits));
    };
  };
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(rule);
    let shown = 0;
    const rows = table.tBodies[0].rows;
    for (const row of rows) {
      row.hidden = !words.every((fits) => fits(row));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows${shown ? "" : ": no run matches"}`;
  });
})();
