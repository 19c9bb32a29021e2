// The matrix: rows are the attributed tokens, columns the generated ones. Tables are only made for
// the example on display.
const limitOf = (example, map, column) => ({
  example: map.axes === "stack" ? map.limit : example.limit,
  table: map.limit,
  column: map.limits[column],
}[state.scale]);

const columnHead = (map, column) => {
  const contrast = contrastOf(map.columns, column);
  const token = make("b", { dir: "auto" },
    ...(contrast === null ? [] : [make("em", {}, ...marked(shown(contrast))), " "]), ...marked(label(map.columns, column)));
  const button = make("button", { type: "button" }, token, make("i", {}, String(column)));
  button.dataset.column = column;
  return make("th", { scope: "col" }, button);
};

const rowHead = (map, row) => {
  const token = make("b", { dir: "auto" }, ...marked(label(map.rows, row)));
  const button = make("button", { type: "button" }, make("i", {}, String(row)), token);
  button.dataset.row = row;
  return make("th", { scope: "row" }, button);
};

const matrix = (example, map) => {
  const table = make("table");
  table.append(make("caption", { className: "hidden" }, `${map.title}: columns are ${map.axes === "stack" ? "query" : "generated"} tokens, rows are attributed tokens`));
  const count = map.columns.tokens.length;
  const columns = [...Array(count).keys()];
  table.append(make("thead", {}, make("tr", {}, make("th"), ...columns.map((column) => columnHead(map, column)))));
  const write = formatter(state.scale === "example" ? example.limit : map.limit);
  const rows = map.scores.some((scores) => scores.length) ? map.rows.tokens : [];
  const body = make("tbody");
  // A large matrix has tens of thousands of cells: they are copies of one, painted in one step.
  const empty = make("td");
  const limits = columns.map((column) => limitOf(example, map, column));
  rows.forEach((_, row) => {
    const line = make("tr", {}, rowHead(map, row));
    const cells = columns.map((column) => {
      const cell = empty.cloneNode();
      const score = map.scores[column][row] ?? null;
      if (score === null) return cell;
      const [background, ink] = shade(score, limits[column]);
      cell.style.cssText = `background:${background};color:${ink}`;
      cell.append(write(score));
      return cell;
    });
    line.append(...cells);
    body.append(line);
  });
  table.append(body);
  if (map.steps.length) {
    table.append(make("tfoot", {}, ...map.steps.map(([name, values]) => make("tr", {},
      make("th", { scope: "row" }, name),
      ...values.map((value) => make("td", {}, Math.abs(value) >= 0.5 ? make("strong", {}, formatter(0.5)(value)) : formatter(0.5)(value)))))));
  }
  const long = columns.some((column) => [...label(map.columns, column)].length > 4 || contrastOf(map.columns, column) !== null);
  table.className = `${long ? "turned" : ""} ${state.numbers ? "" : "plain"}`;
  return make("figure", {},
    make("figcaption", {}, map.title, make("small", {}, map.axes === "stack" ? "columns: query tokens, rows: key tokens" : "columns: generated tokens, rows: attributed tokens")),
    make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": map.title }, table));
};

// Marks what is selected in a drawn matrix.
const markMatrix = (figure, map) => {
  for (const cell of figure.querySelectorAll(".lit, .chosen")) cell.classList.remove("lit", "chosen");
  const chosen = state.selected;
  if (!chosen) return;
  const [head, ...body] = figure.querySelectorAll("thead tr, tbody tr");
  if (chosen.column !== undefined && head.cells[chosen.column + 1]) {
    head.cells[chosen.column + 1].classList.add("chosen");
    body.forEach((row) => row.cells[chosen.column + 1].classList.add("lit"));
  } else if (chosen.row !== undefined && chosen.axes === map.axes && body[chosen.row]) {
    body[chosen.row].classList.add("lit");
    body[chosen.row].cells[0].classList.add("chosen");
  }
};
