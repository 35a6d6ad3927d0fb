"use strict";
// Claims: chips choose by verdict and topic, words by text; an experiment or topic without a claim that is left goes too.
(() => {
  const find = document.getElementById("find");
  if (!find) return;
  const chips = [...find.querySelectorAll(".chips button")];
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  const all = document.getElementById("all");
  const none = document.getElementById("none");
  const words = (element) => element.textContent.toLowerCase();
  const topics = [...document.querySelectorAll(".topic")].map((topic) => ({
    topic,
    articles: [...topic.querySelectorAll("article")].map((article) => {
      const above = `${words(topic.querySelector("h2"))}\n${words(article.querySelector(".head"))}`;
      const rows = [...article.querySelectorAll("tbody tr")];
      return { article, above, rows: rows.map((row) => ({ row, text: `${above}\n${words(row)}` })) };
    }),
  }));
  const total = topics.flatMap((t) => t.articles).reduce((n, a) => n + a.rows.length, 0);
  const pressed = (kind) => new Set(chips.filter((c) => kind in c.dataset && c.getAttribute("aria-pressed") === "true").map((c) => c.dataset[kind]));
  const show = () => {
    const [verdicts, ids] = [pressed("verdict"), pressed("topic")];
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (text) => wanted.every((word) => text.includes(word));
    let shown = 0;
    let listed = 0;
    for (const { topic, articles } of topics) {
      const chosen = ids.size === 0 || ids.has(topic.id);
      let left = 0;
      for (const { article, above, rows } of articles) {
        let here = 0;
        for (const { row, text } of rows) {
          row.hidden = !(chosen && (verdicts.size === 0 || verdicts.has(row.dataset.verdict)) && has(text));
          here += !row.hidden;
        }
        // What claims nothing is chosen by its words alone.
        const bare = rows.length === 0 && chosen && verdicts.size === 0 && has(above);
        article.hidden = !(here || bare);
        left += !article.hidden;
        shown += here;
      }
      topic.hidden = left === 0;
      listed += left;
    }
    found.textContent = `${shown} of ${total} claims`;
    none.hidden = listed > 0;
    all.hidden = verdicts.size + ids.size + wanted.length === 0;
  };
  const clear = () => {
    for (const chip of chips) chip.setAttribute("aria-pressed", "false");
    search.value = "";
    show();
  };
  find.addEventListener("click", (event) => {
    const chip = event.target.closest(".chips button");
    if (!chip) return;
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    show();
  });
  search.addEventListener("input", show);
  all.addEventListener("click", () => { clear(); search.focus(); });
  find.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
  // A link to a claim that is not shown shows it.
  const reveal = () => {
    const target = document.querySelector(":target");
    if (target?.closest("[hidden]")) { clear(); target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  find.hidden = false;
  show();
})();
