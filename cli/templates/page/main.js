// What is on display, and the events that change it.
const state = { index: 0, view: "matrix", scale: "example", numbers: true, raw: false, selected: null };
const main = document.querySelector("main");
const tip = make("div", { className: "tip", hidden: true, role: "tooltip" });
document.body.append(tip);

const pressed = (name, value, text) => make("button", { type: "button", "aria-pressed": String(state[name] === value), onclick: () => change({ [name]: value }) }, text);
const checked = (name, text) => make("label", {}, make("input", { type: "checkbox", checked: state[name], onchange: (event) => change({ [name]: event.target.checked }) }), text);

const legend = (example, maps) => {
  const negative = maps.some((map) => map.scores.some((scores) => scores.some((score) => score < 0)));
  const bar = make("span", { className: "bar" });
  const ramp = ramps.now;
  const colors = ramp.slice(negative ? 0 : (ramp.length - 1) / 2).map(([background]) => background);
  bar.style.background = `linear-gradient(to right, ${colors.filter((_, index) => index % 5 === 0).join(", ")})`;
  const limit = state.scale === "example" ? precise(Number(example.limit.toPrecision(3))) : `highest of the ${state.scale}`;
  return make("span", { className: "legend" }, negative ? `−${limit}` : "0", bar, limit);
};

const toolbar = (example, maps) => {
  const scales = [["example", "this example"], ["table", "each table"], ["column", "each column"]];
  const select = make("select", { id: "scale", onchange: (event) => change({ scale: event.target.value }) },
    ...scales.map(([value, text]) => make("option", { value, selected: state.scale === value }, text)));
  return make("div", { className: "toolbar", role: "toolbar", "aria-label": "View" },
    make("span", { className: "choice" }, pressed("view", "matrix", "Matrix"), pressed("view", "text", "Text")),
    make("label", {}, "One color scale for ", select), legend(example, maps),
    state.view === "matrix" ? checked("numbers", "Numbers") : null, checked("raw", "Raw tokens"),
    make("span", { className: "gap" }), make("span", { className: "said", role: "status" }),
    make("span", { className: "choice" }, make("span", {}, "Copy"),
      make("button", { type: "button", id: "png", "aria-label": "copy as PNG", onclick: () => copy("png") }, "PNG"),
      make("button", { type: "button", id: "svg", "aria-label": "copy as SVG", onclick: () => copy("svg") }, "SVG")));
};

// Returns the tokens that are contrasted with others, in words; null if there are none.
const contrastText = (maps) => {
  const columns = maps[0]?.columns;
  const pairs = (columns?.contrast ?? []).flatMap((contrast, index) => (contrast === null ? [] : [`${label(columns, index)} instead of ${shown(contrast)}`]));
  return pairs.length ? pairs.join(", ") : null;
};

const draw = () => {
  const example = examples[state.index];
  if (!example) return;
  chooseRamp();
  const maps = mapsOf(example);
  const contrast = contrastText(maps);
  const texts = [...example.texts, ...(contrast === null ? [] : [["Contrasted tokens", contrast]])];
  const step = (by, name, text) => make("button", { type: "button", "aria-label": name, title: name, onclick: () => move(by) }, text);
  const many = examples.length > 1;
  const pictures = make("div", { className: "pictures" });
  if (state.view === "matrix") pictures.append(...maps.map((map) => matrix(example, map)));
  else pictures.append(...textBlocks(maps).map((map) => runningText(example, maps, map)));
  main.replaceChildren(
    make("div", { className: "title" }, make("h2", {}, example.name), many ? step(-1, "previous example", "‹") : null, many ? step(1, "next example", "›") : null),
    make("p", { className: "measures" }, (example.measures ?? []).map(([name, value]) => `${name} ${value === null ? "undefined" : precise(Number(value.toPrecision(3)))}`).join(" · ")),
    make("dl", { className: "texts" }, ...texts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", { dir: "auto" }, text)])),
    toolbar(example, maps), make("div", { className: `work ${state.view}` }, pictures, sources(maps)),
    make("p", { className: "keys" }, ...(many ? [make("kbd", {}, "j"), " ", make("kbd", {}, "k"), " next and previous example · ", make("kbd", {}, "/"), " search · "] : []),
      make("kbd", {}, "m"), " matrix · ", make("kbd", {}, "t"), " text · ", make("kbd", {}, "Esc"), " clear the selection"));
  alignColumns();
  mark();
};

// Gives the heatmaps, which stand one below the other, the same width of row heads.
const alignColumns = () => {
  const heads = [...document.querySelectorAll(".pictures table")].map((table) => table.querySelector("tbody th, tfoot th")).filter(Boolean);
  const width = Math.max(0, ...heads.map((head) => head.offsetWidth));
  for (const head of heads) head.style.minWidth = `${width}px`;
};

const mark = () => {
  const maps = mapsOf(examples[state.index]);
  if (state.view === "matrix") document.querySelectorAll(".pictures figure").forEach((figure, index) => markMatrix(figure, maps[index]));
  document.querySelector(".sources").replaceWith(sources(maps));
};

const change = (part) => {
  const active = document.activeElement?.textContent;
  Object.assign(state, part);
  tip.hidden = true;
  draw();
  // Keep the keyboard where it was: the button of the same text.
  if (active) [...main.querySelectorAll(".toolbar button")].find((button) => button.textContent === active)?.focus();
};

const select = (selected) => {
  const same = state.selected && selected && ["column", "row", "axes"].every((key) => state.selected[key] === selected[key]);
  state.selected = same ? null : selected;
  if (state.view === "matrix") mark();
  else draw();
};

// Returns what is under the pointer: the map and the place in it.
const placeOf = (target) => {
  const figure = target.closest?.(".pictures figure");
  if (!figure) return null;
  const index = [...figure.parentElement.children].indexOf(figure);
  const maps = mapsOf(examples[state.index]);
  const map = state.view === "matrix" ? maps[index] : textBlocks(maps)[index];
  const cell = target.closest("tbody td");
  if (cell) return { map, column: cell.cellIndex - 1, row: cell.parentElement.sectionRowIndex };
  const button = target.closest("[data-column], [data-row]");
  if (!button) return null;
  const at = button.dataset.at === undefined ? {} : { at: Number(button.dataset.at) };
  return button.dataset.column === undefined ? { map, row: Number(button.dataset.row), ...at } : { map, column: Number(button.dataset.column), ...at };
};

main.addEventListener("click", (event) => {
  const place = placeOf(event.target);
  if (!place) return;
  if (place.column === undefined) select({ row: place.row, axes: place.map.axes });
  else if (place.map.axes !== "stack") select({ column: place.column });
});
main.addEventListener("keydown", (event) => {
  if ((event.key === "Enter" || event.key === " ") && event.target.matches(".token")) {
    event.preventDefault();
    const { column, row } = event.target.dataset;
    event.target.click();
    (main.querySelector(column === undefined ? `.token[data-row="${row}"]` : `.token[data-column="${column}"]`))?.focus();
  }
});

// The value under the pointer, with its row and column.
const explain = (place) => {
  const { map, column, row, at } = place;
  const lines = [];
  const say = (...parts) => lines.push(make("div", { dir: "auto" }, ...parts));
  if (column !== undefined && row !== undefined) {
    const score = map.scores[column][row] ?? null;
    if (score === null) return null;
    const scores = map.scores[column].filter((other) => other !== null);
    const rank = scores.filter((other) => Math.abs(other) > Math.abs(score)).length + 1;
    const contrast = contrastOf(map.columns, column);
    say(make("b", {}, ...marked(label(map.rows, row))), " → ", make("b", {}, ...marked(label(map.columns, column))), contrast === null ? null : ` instead of ${shown(contrast)}`);
    say(`${precise(score)} · row ${row}, column ${column} · rank ${rank} of ${scores.length}`);
  } else if (at !== undefined) {
    const [scores] = tints(examples[state.index], mapsOf(examples[state.index]), map);
    say(make("b", {}, label(map.rows, at)));
    if (typeof scores[at] === "number") say(`${precise(scores[at])}${state.selected ? "" : " on average"}`);
    if (column !== undefined) for (const [name, values] of map.steps) say(`${name} ${precise(values[column])}`);
  } else return null;
  return lines;
};
main.addEventListener("pointermove", (event) => {
  const place = placeOf(event.target);
  const lines = place && explain(place);
  tip.hidden = !lines;
  if (!lines) return;
  tip.replaceChildren(...lines);
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
});
main.addEventListener("pointerleave", () => { tip.hidden = true; });

const open = () => {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const found = examples.findIndex((example) => example.anchor === wanted);
  Object.assign(state, { index: Math.max(0, found), selected: null });
  tip.hidden = true;
  draw();
  markList();
};

addEventListener("hashchange", open);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const inList = list.contains(document.activeElement);
  const keys = { j: () => move(1), k: () => move(-1), m: () => change({ view: "matrix" }), t: () => change({ view: "text" }), Escape: () => select(null), "/": () => search.focus(),
    ...(inList ? { ArrowDown: () => move(1), ArrowUp: () => move(-1), Home: () => go(listed[0]), End: () => go(listed.at(-1)) } : {}) };
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});

startTheme(draw);
layout.classList.toggle("single", examples.length < 2);
sort.replaceChildren(...orders.map(([name]) => make("option", {}, name)));
sort.onchange = () => { fillList(); markList(); };
search.oninput = () => { fillList(); markList(); };
document.querySelector("nav form").onsubmit = (event) => event.preventDefault();
fillList();
open();
