"use strict";
// Files to keep: saved by the browser, rows as CSV and as a table of LaTeX.
const save = (name, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const csv = (rows) => rows.map((row) => row.map((text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(",")).join("\n") + "\n";

const tex = (text) => text.replace(/[\\{}$&#^_%~]/g, (c) => ({ "\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}" })[c] ?? `\\${c}`)
  .replaceAll("±", "$\\pm$").replaceAll("−", "-");
const latex = (rows, numbers) => [`\\begin{tabular}{${numbers.map((n) => (n ? "r" : "l")).join("")}}`, "\\toprule",
  ...rows.flatMap((r, i) => [`${r.map(tex).join(" & ")} \\\\`, ...(i ? [] : ["\\midrule"])]), "\\bottomrule", "\\end{tabular}", ""].join("\n");

// Figures: what a point stands for, entries of the legend that stand out, zoom, and files to keep.
(() => {
  const NEAR = 14, STEP = 1.4, MOST = 16;
  const SHOWN = ["fill", "stroke"];

  for (const figure of document.querySelectorAll("figure.drawn")) {
    const canvas = figure.querySelector(".canvas");
    // One picture, or one for each panel, which keep the units of the whole.
    const parts = [...canvas.children].map((svg) => {
      const { x, y, width, height } = svg.viewBox.baseVal;
      return { svg, x, y, width, height };
    });
    let part = parts.at(-1);
    const readout = figure.querySelector(".readout");
    const entries = JSON.parse(figure.dataset.entries);
    const points = JSON.parse(figure.dataset.points).flatMap((axes) => axes.p.map(([x, y, entry, xText, yText, said]) =>
      ({ x, y, entry, xText, yText, said, axes, part: parts.find((p) => x <= p.x + p.width) ?? part })));
    const name = figure.dataset.name;
    let pinned = null, at = -1, dragged = null;
    figure.querySelector(".tools").hidden = false;

    const mark = document.createElementNS(part.svg.namespaceURI, "circle");
    mark.setAttribute("class", "mark");
    mark.setAttribute("r", "5");
    mark.setAttribute("visibility", "hidden");
    part.svg.append(mark);

    const words = (p) => [
      [p.axes.t, entries[p.entry] ?? p.said].filter(Boolean).join(", "),
      [p.axes.x, p.xText].filter(Boolean).join(" "),
      [p.axes.y, p.yText].filter(Boolean).join(" "),
    ].filter(Boolean).join(" · ");
    const tell = (i) => {
      at = i;
      const point = points[i];
      mark.setAttribute("visibility", point ? "visible" : "hidden");
      readout.textContent = point ? words(point) : points.length ? hint : "";
      if (!point) return;
      part = point.part;
      part.svg.append(mark);
      mark.setAttribute("cx", point.x);
      mark.setAttribute("cy", point.y);
    };
    const hint = "Point at a number or use arrow keys.";
    tell(-1);

    // From pixels of the screen to units of the picture.
    const place = (event) => {
      const to = part.svg.getScreenCTM().inverse();
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(to);
      return { x, y, scale: to.a };
    };
    const choose = (event) => { part = parts.find((p) => p.svg.contains(event.target)) ?? part; };
    const nearest = ({ x, y, scale }) => {
      let best = -1, least = (NEAR * scale) ** 2;
      points.forEach((p, i) => {
        if ((pinned !== null && p.entry !== pinned && p.entry >= 0) || p.part !== part) return;
        const d = (p.x - x) ** 2 + (p.y - y) ** 2;
        if (d < least) [best, least] = [i, d];
      });
      return best;
    };

    // Legend: the entry that is pointed at or focused stands out; a press keeps it so, Escape lets go.
    const members = [...canvas.querySelectorAll("[data-entry]")];
    const show = (entry) => {
      canvas.classList.toggle("choosing", entry !== null);
      for (const m of members) m.classList.toggle("chosen", Number(m.dataset.entry) === entry);
    };
    const labels = members.filter((m) => m.classList.contains("entry"));
    const pin = (entry) => {
      pinned = entry;
      for (const label of labels) label.setAttribute("aria-pressed", String(Number(label.dataset.entry) === entry));
      show(entry);
    };
    for (const label of labels) {
      const entry = Number(label.dataset.entry);
      label.setAttribute("tabindex", "0");
      label.setAttribute("role", "button");
      label.setAttribute("aria-pressed", "false");
      label.setAttribute("aria-label", entries[entry]);
      for (const kind of ["pointerenter", "focus"]) label.addEventListener(kind, () => show(entry));
      for (const kind of ["pointerleave", "blur"]) label.addEventListener(kind, () => show(pinned));
      const press = () => pin(pinned === entry ? null : entry);
      label.addEventListener("click", press);
      label.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); press(); }
      });
    }

    // Zoom: buttons, + and -, or the wheel with Ctrl; what is larger than its frame is dragged.
    const view = (x, y, width) => {
      const all = part;
      const w = Math.min(all.width, Math.max(all.width / MOST, width)), h = (w * all.height) / all.width;
      const left = Math.min(all.x + all.width - w, Math.max(all.x, x)), top = Math.min(all.y + all.height - h, Math.max(all.y, y));
      part.svg.setAttribute("viewBox", `${left} ${top} ${w} ${h}`);
      figure.classList.toggle("zoomed", parts.some((p) => p.svg.viewBox.baseVal.width < p.width));
    };
    const zoom = (by, around) => {
      const v = part.svg.viewBox.baseVal, to = Math.min(part.width, v.width / by), ratio = to / v.width;
      const centre = around ?? { x: v.x + v.width / 2, y: v.y + v.height / 2 };
      view(centre.x - (centre.x - v.x) * ratio, centre.y - (centre.y - v.y) * ratio, to);
    };
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      choose(event);
      zoom(event.deltaY < 0 ? STEP : 1 / STEP, place(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      choose(event);
      if (figure.classList.contains("zoomed")) dragged = { from: place(event), pointer: event.pointerId };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (dragged?.pointer === event.pointerId && event.buttons) {
        const now = place(event), v = part.svg.viewBox.baseVal;
        view(v.x + dragged.from.x - now.x, v.y + dragged.from.y - now.y, v.width);
        return;
      }
      choose(event);
      const i = nearest(place(event));
      if (i !== at) tell(i);
    });
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) canvas.addEventListener(kind, () => { dragged = null; });
    canvas.addEventListener("pointerleave", () => tell(-1));
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { pin(null); tell(-1); return; }
      if (event.key === "+" || event.key === "-") { zoom(event.key === "+" ? STEP : 1 / STEP, points[at]); return; }
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!move || !points.length || event.target !== canvas) return;
      event.preventDefault();
      tell(at < 0 ? (move > 0 ? 0 : points.length - 1) : (at + move + points.length) % points.length);
    });

    const alone = () => {
      const width = parts.reduce((sum, p) => sum + p.width, 0), { x, y, height } = parts[0];
      const copies = parts.map(({ svg }) => {
        const copy = svg.cloneNode(true);
        const own = [svg, ...svg.querySelectorAll("*")];
        [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
          for (const key of SHOWN) if (node.hasAttribute(key)) node.setAttribute(key, getComputedStyle(own[i])[key]);
        });
        copy.querySelector(".mark")?.remove();
        return copy;
      });
      const [copy, ...others] = copies;
      copy.append(...others.flatMap((other) => [...other.childNodes]));
      for (const [key, value] of Object.entries({ viewBox: `${x} ${y} ${width} ${height}`, width, height, "font-family": "sans-serif" }))
        copy.setAttribute(key, value);
      return new XMLSerializer().serializeToString(copy);
    };
    const rows = () => [["panel", "entry", "x name", "x", "y name", "y"],
      ...points.map((p) => [p.axes.t, entries[p.entry] ?? p.said ?? "", p.axes.x, p.xText, p.axes.y, p.yText])];
    const deeds = {
      in: () => zoom(STEP),
      out: () => zoom(1 / STEP),
      all: () => { for (part of parts) view(part.x, part.y, part.width); },
      svg: () => save(`${name}.svg`, "image/svg+xml", alone()),
      csv: () => save(`${name}.csv`, "text/csv", csv(rows())),
      tex: () => save(`${name}.tex`, "text/x-tex", latex(rows(), [false, false, false, true, false, true])),
    };
    for (const button of figure.querySelectorAll("button")) {
      if (["csv", "tex"].includes(button.dataset.do) && !points.length) button.hidden = true;
      button.addEventListener("click", () => deeds[button.dataset.do]());
    }
  }
})();

// Tables: as files to keep.
(() => {
  const clean = (cell) => cell.textContent.trim();
  for (const region of document.querySelectorAll("main .scroll")) {
    const table = region.querySelector("table");
    if (!table?.tHead) continue;
    const rows = () => [...table.tHead.rows, ...table.tBodies[0].rows].filter((r) => !r.hidden).map((r) => [...r.cells].map(clean));
    const numbers = () => [...table.tHead.rows[0].cells].map((c) => c.classList.contains("number"));
    const bar = document.createElement("p");
    bar.className = "keep";
    const title = (region.getAttribute("aria-label") || "table").toLowerCase().replace(/[^a-z0-9]+/g, "_");
    for (const [label, type, end, make] of [["CSV", "text/csv", "csv", () => csv(rows())], ["LaTeX", "text/x-tex", "tex", () => latex(rows(), numbers())]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => save(`${title}.${end}`, type, make()));
      bar.append(button);
    }
    region.after(bar);
  }
})();
