// The list of examples: which of them have the words that are looked for. A page with one has no list.
const startList = () => {
  const form = document.querySelector("form");
  if (!form) return;
  const search = document.getElementById("search");
  const all = document.getElementById("all");
  const examples = [...document.querySelectorAll("details")];
  const texts = examples.map((example) => [...example.querySelectorAll(".texts dd")].map((text) => text.textContent).join("\n").toLowerCase());
  const count = form.querySelector(".count");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const [index, example] of examples.entries()) {
      example.hidden = !words.every((word) => texts[index].includes(word));
      if (!example.hidden) found += 1;
    }
    count.textContent = found === examples.length ? `${found} examples` : `${found} of ${examples.length} examples`;
  };
  // A link from elsewhere may name an example, or the cues of one of its tokens.
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const example = target?.closest("details");
    if (!example) return;
    example.open = true;
    target.scrollIntoView();
  };
  form.onsubmit = (event) => event.preventDefault();
  search.oninput = filter;
  all.onclick = () => {
    const open = examples.some((example) => !example.hidden && !example.open);
    for (const example of examples) if (!example.hidden) example.open = open;
  };
  const label = () => { all.textContent = examples.some((example) => !example.hidden && !example.open) ? "Open all" : "Close all"; };
  document.querySelector("main").addEventListener("toggle", label, true);
  addEventListener("hashchange", openTarget);
  form.hidden = false;
  if (examples.length === 1) examples[0].open = true;
  filter();
  openTarget();
};
