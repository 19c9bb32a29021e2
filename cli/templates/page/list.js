// The list of examples: search, order and the keys that move through it.
const layout = document.querySelector(".layout");
const list = document.querySelector("nav ol");
const search = document.getElementById("search");
const sort = document.getElementById("sort");

const meanStep = (example, index) => mean(mapsOf(example)[0]?.steps[index]?.[1] ?? []);
const orders = [
  ["number", (example) => example.order, (value) => ""],
  ["generated tokens", (example) => -example.maps[0].columns.tokens.length, (value) => `${-value} tokens`],
  ["largest score", (example) => -example.limit, (value) => precise(Number((-value).toPrecision(3)))],
  ...(examples[0]?.maps[0]?.steps ?? []).map(([name], index) => [`lowest mean ${name}`, (example) => meanStep(example, index), (value) => value.toFixed(2)]),
  ...(examples[0]?.measures ?? []).map(([name], index) => [`lowest ${name}`, (example) => example.measures[index]?.[1] ?? null, (value) => value.toFixed(2)]),
];

const links = examples.map((example, order) => {
  example.order = order;
  example.found = example.texts.map(([, text]) => text).join("\n").toLowerCase();
  const note = make("span", { className: "note" });
  const link = make("a", { href: `#${example.anchor}` }, make("b", {}, example.name, note), make("span", { dir: "auto" }, example.texts[0]?.[1] ?? ""));
  example.note = note;
  return make("li", {}, link);
});

// Returns the numbers of the examples in the list, in its order.
let listed = examples.map((_, order) => order);

const fillList = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const [, key, write] = orders[sort.selectedIndex] ?? orders[0];
  const keyed = examples.filter((example) => words.every((word) => example.found.includes(word)))
    .map((example) => ({ example, value: key(example) ?? Infinity }));
  keyed.sort((a, b) => a.value - b.value || a.example.order - b.example.order);
  for (const { example, value } of keyed) example.note.textContent = Number.isFinite(value) ? write(value) : "";
  listed = keyed.map(({ example }) => example.order);
  list.replaceChildren(...listed.map((order) => links[order]));
  const count = examples.length === listed.length ? `${listed.length} examples` : `${listed.length} of ${examples.length} examples`;
  document.querySelector("nav .count").textContent = count;
};

const go = (order) => { location.hash = examples[order].anchor; };

// Moves by `by` places in the list, from the example on display.
const move = (by) => {
  const place = listed.indexOf(state.index);
  const next = place < 0 ? listed[0] : listed[Math.max(0, Math.min(listed.length - 1, place + by))];
  if (next !== undefined) go(next);
};

const markList = () => {
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  const link = links[state.index]?.firstElementChild;
  link?.setAttribute("aria-current", "true");
  links[state.index]?.scrollIntoView({ block: "nearest" });
  if (list.contains(document.activeElement)) link?.focus({ preventScroll: true });
};
