// The examples: one block of JSON each, whose scores are base64 of little-endian float32, column by
// column. A column holds scores for its first `lengths[column]` rows. The bits ffffffff mean "none".
const ramps = JSON.parse(document.getElementById("ramps").textContent);
const examples = [...document.querySelectorAll("script.example")].map((block) => JSON.parse(block.textContent));

const floats = (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const values = [...new Float32Array(bytes.buffer)];
  new Uint32Array(bytes.buffer).forEach((bits, index) => { if (bits === 0xffffffff) values[index] = null; });
  return values;
};

const largest = (scores) => scores.reduce(
  (most, score) => (Number.isFinite(score) ? Math.max(most, Math.abs(score)) : most), 0);

// Decodes the maps of an example when it is first drawn. A map without columns or step scores has
// those of the map before it.
const mapsOf = (example) => {
  if (example.decoded) return example.decoded;
  let before = {};
  example.decoded = example.maps.map((map) => {
    const columns = map.columns ?? before.columns;
    const steps = map.steps ?? before.raw_steps;
    const all = floats(map.scores);
    let start = 0;
    const scores = columns.tokens.map((_, column) => {
      const length = map.lengths ? map.lengths[column] : map.rows.tokens.length;
      const own = all.slice(start, start + length);
      start += length;
      return own;
    });
    const limits = scores.map(largest);
    before = {
      ...map, columns, raw_steps: steps, scores, limits, limit: Math.max(0, ...limits),
      steps: steps.map(([name, values]) => [name, floats(values)]),
      // The column of each row whose token is also a generated one.
      columnOf: new Map((map.at ?? []).map((row, column) => [row, column])),
    };
    return before;
  });
  return example.decoded;
};

const hidden = /[\p{Cc}\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;
const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const escaped = (text) => text.replace(hidden,
  (character) => named[character] ?? `\\u{${character.codePointAt(0).toString(16)}}`);
const shown = (text) => escaped(text.replaceAll(" ", "▁"));

// Returns how a token of a list is written in a table or a sentence.
const label = (list, index) => (state.raw ? escaped((list.raw ?? list.tokens)[index]) : shown(list.tokens[index]));
// Splits a written token, so that the marks of blanks can be pale.
const marked = (text) => text.split(/(▁+)/).filter(Boolean)
  .map((part) => (part.startsWith("▁") ? make("span", { className: "blank" }, part) : part));
const contrastOf = (columns, index) => columns.contrast?.[index] ?? null;

const precise = (score) => (Number.isFinite(score) ? String(Number(score.toPrecision(6))) : String(score));
// Returns a function that writes scores with the digits that the largest one calls for.
const formatter = (limit) => {
  const digits = limit > 0 ? 1 - Math.floor(Math.log10(limit)) : 2;
  if (digits > 4) return (score) => (score === 0 ? "0" : score.toExponential(0));
  return (score) => {
    const text = Number.isFinite(score) ? score.toFixed(Math.max(0, Math.min(digits, 4))) : String(score);
    return /^-[0.]+$/.test(text) ? text.slice(1) : text;
  };
};

// Returns the background and the ink of a score on a scale that ends at `limit`.
const shade = (score, limit) => {
  const ramp = ramps.now;
  const middle = (ramp.length - 1) / 2;
  const share = Number.isNaN(score) || !(limit > 0) ? 0 : Math.max(-1, Math.min(1, score / limit));
  return ramp[Math.round((share + 1) * middle)];
};
const tint = (element, score, limit) => {
  const [background, ink] = shade(score, limit);
  element.style.background = background;
  element.style.color = ink;
};

// Chooses the colors of the theme; called before anything is drawn.
const chooseRamp = () => { ramps.now = isDark() ? ramps.dark : ramps.light; };

// Returns an element with properties and children.
const make = (name, properties = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "scope") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
};
