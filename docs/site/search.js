"use strict";
// Pages that have all words, those with the words in their titles first.
function find(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const found = [];
  for (const page of pages) {
    const title = page.title.toLowerCase(), text = page.text.toLowerCase();
    if (!words.every((w) => title.includes(w) || text.includes(w))) continue;
    let score = 0;
    for (const w of words) {
      if (title === w) score += 1000;
      if (title.includes(w)) score += 100;
      score += Math.min(text.split(w).length - 1, 50);
    }
    found.push({ page, score });
  }
  return found.sort((a, b) => b.score - a.score).slice(0, 20).map((f) => f.page);
}

const input = document.getElementById("search");
input.addEventListener("input", () => {
  const results = document.getElementById("results");
  results.replaceChildren(...find(input.value).map((page) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = document.body.dataset.root + page.url;
    link.textContent = page.title;
    item.append(link);
    return item;
  }));
  document.getElementById("contents").hidden = input.value.trim() !== "";
});
