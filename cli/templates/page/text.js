// The running text: one block per heatmap, with its tokens tinted by what they give to the selected
// token, or by the mean over all generated tokens while none is selected.
const mean = (values) => {
  const known = values.filter((value) => Number.isFinite(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
};
const rowOf = (map, row) => map.scores.map((scores) => scores[row] ?? null);

// Returns the scores of the tokens of a block, by row, and the limit of their scale.
const tints = (example, maps, map) => {
  const chosen = state.selected;
  if (chosen?.column !== undefined) {
    return [map.scores[chosen.column] ?? [], limitOf(example, map, chosen.column)];
  }
  if (chosen) {
    // What a token of the input gives to each generated token.
    const giver = maps.find((other) => other.axes === chosen.axes && other.run === map.run);
    const given = giver ? rowOf(giver, chosen.row) : [];
    const scores = map.rows.tokens.map((_, row) => given[map.columnOf.get(row)] ?? null);
    return [scores, state.scale === "example" ? example.limit : largest(scores)];
  }
  const means = map.rows.tokens.map((_, row) => mean(rowOf(map, row)));
  return [means, largest(means)];
};

const token = (map, row, score, limit) => {
  const text = state.raw ? label(map.rows, row) : map.rows.tokens[row];
  const column = map.columnOf.get(row);
  const span = make("span", { className: "token" });
  // Line breaks and other invisible characters are written out, and take effect as well.
  for (const part of text.split(/(\n)/)) {
    if (part === "\n") span.append(make("span", { className: "mark" }, "↵"), "\n");
    else if (part) span.append(escaped(part));
  }
  if (score !== null && score !== undefined) tint(span, score, limit);
  else if (state.selected?.column !== undefined && column >= state.selected.column) span.classList.add("later");
  span.tabIndex = column === undefined ? -1 : 0;
  span.setAttribute("role", "button");
  span.classList.add(column === undefined ? "input" : "output");
  if (column === undefined) span.dataset.row = row;
  else span.dataset.column = column;
  span.dataset.at = row;
  const chosen = state.selected;
  const isChosen = chosen && (chosen.column === undefined ? chosen.axes === map.axes && chosen.row === row : chosen.column === column);
  span.classList.toggle("chosen", Boolean(isChosen));
  span.setAttribute("aria-pressed", Boolean(isChosen));
  return span;
};

// A block for the output of a model whose prefix was not attributed: its tokens have no scores.
const outputOnly = (map) => ({
  title: "Output", axes: "output", run: map.run, rows: map.columns, columns: map.columns,
  scores: map.columns.tokens.map(() => []), limits: map.columns.tokens.map(() => 0), limit: 0,
  columnOf: new Map(map.columns.tokens.map((_, column) => [column, column])), steps: map.steps,
});

const textBlocks = (maps) => {
  const sides = maps.filter((map) => map.axes !== "stack" && map.rows.tokens.length);
  if (!sides.some((map) => map.axes === "prefix") && maps.length) return [...sides, outputOnly(maps[0])];
  return sides;
};

const runningText = (example, maps, map) => {
  const [scores, limit] = tints(example, maps, map);
  const title = { source: "Source", prefix: "Prefix and output", output: "Output" }[map.axes];
  return make("figure", {},
    make("figcaption", {}, map.run ? map.title : title),
    make("p", { className: "running", dir: "auto" }, ...map.rows.tokens.map((_, row) => token(map, row, scores[row] ?? null, limit))));
};
