// The panel beside the picture: the strongest sources of the selected token, or the generated tokens
// to which a token of the input gives most.
const SHOWN = 12;

const ranked = (entries) => entries
  .filter((entry) => entry.score !== null)
  .sort((a, b) => Math.abs(b.score) - Math.abs(a.score) || a.order - b.order)
  .slice(0, SHOWN);

const bars = (entries) => {
  const limit = largest(entries.map((entry) => entry.score));
  return make("ol", {}, ...entries.map(({ text, score }) => {
    const bar = make("span", { className: "bar" });
    bar.style.width = `${limit ? (100 * Math.abs(score)) / limit : 0}%`;
    // The length says how much; the color only says whether it is for or against.
    tint(bar, Math.sign(score), 1);
    return make("li", {}, make("span", { dir: "auto", title: text }, ...marked(text)), bar, make("span", {}, precise(Number(score.toPrecision(3)))));
  }));
};

const sideName = { source: "source", prefix: "prefix", stack: "keys", output: "output" };

const sources = (maps) => {
  const panel = make("aside", { className: "sources", "aria-live": "polite", "aria-label": "Sources of the selected token" });
  const chosen = state.selected;
  if (!chosen) {
    panel.append(make("h3", {}, "Sources"), make("p", {}, "Click a generated token to see where it comes from, or an attributed token to see what it leads to."));
    if (state.view === "text") panel.append(make("p", {}, "Shown now: the mean over all generated tokens."));
    return panel;
  }
  const sides = maps.filter((map) => map.axes !== "stack");
  if (chosen.column !== undefined) {
    const first = sides[0] ?? maps[0];
    panel.append(make("h3", {}, "Sources of ", make("bdi", {}, ...marked(label(first.columns, chosen.column)))));
    const contrast = contrastOf(first.columns, chosen.column);
    if (contrast !== null) panel.append(make("p", {}, "instead of ", make("bdi", {}, ...marked(shown(contrast)))));
    for (const [name, values] of first.steps) panel.append(make("p", {}, `${name} ${precise(values[chosen.column])}`));
    for (const map of sides) {
      const entries = map.scores[chosen.column].map((score, order) => ({ score, order, text: label(map.rows, order) }));
      if (entries.length) panel.append(make("p", {}, map.run ? map.title : sideName[map.axes]), bars(ranked(entries)));
    }
    return panel;
  }
  for (const map of maps.filter((other) => other.axes === chosen.axes)) {
    if (!panel.childElementCount) panel.append(make("h3", {}, "What ", make("bdi", {}, ...marked(label(map.rows, chosen.row))), " leads to"));
    const entries = rowOf(map, chosen.row).map((score, order) => ({ score, order, text: label(map.columns, order) }));
    panel.append(make("p", {}, map.run ? map.title : "generated tokens"), bars(ranked(entries)));
  }
  return panel;
};
