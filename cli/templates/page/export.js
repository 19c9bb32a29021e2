// Copies the pictures on display. The SVG is made from where the browser put each cell and token, so
// it looks as the page does.
const picture = () => {
  const area = document.querySelector(".pictures");
  for (const scroll of area.querySelectorAll(".scroll")) scroll.scrollTo(0, 0);
  const origin = area.getBoundingClientRect();
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const add = (name, attributes, text) => {
    const element = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    svg.append(element);
  };
  let [right, bottom] = [0, 0];
  const margin = 12;
  add("rect", { width: "100%", height: "100%", fill: getComputedStyle(document.body).backgroundColor });
  for (const part of area.querySelectorAll("figcaption, td, thead b, thead i, tbody th b, tbody th i, tfoot th, .running .token")) {
    const boxes = [...part.getClientRects()].filter((box) => box.width > 0);
    const style = getComputedStyle(part);
    const text = part.matches("figcaption") ? part.firstChild.textContent : part.textContent;
    for (const [index, box] of boxes.entries()) {
      const [x, y] = [box.left - origin.left + margin, box.top - origin.top + margin];
      [right, bottom] = [Math.max(right, x + box.width), Math.max(bottom, y + box.height)];
      if (part.matches("td, .token") && part.style.background) {
        add("rect", { x, y, width: box.width, height: box.height, fill: style.backgroundColor });
      }
      if (index !== boxes.length - 1 || parseFloat(style.fontSize) === 0) continue;
      const [centerX, centerY] = [x + box.width / 2, y + box.height / 2];
      const isTurned = style.writingMode !== "horizontal-tb";
      // Each text keeps the edge that the page aligns it to, whatever font the picture is drawn with.
      const [anchor, textX] = part.matches("figcaption") ? ["start", x] : part.matches("tbody th b, tfoot th") ? ["end", x + box.width - parseFloat(style.paddingRight)] : ["middle", centerX];
      add("text", {
        x: textX, y: centerY, fill: style.color, "font-size": style.fontSize, "font-family": style.fontFamily, "font-weight": style.fontWeight,
        "text-anchor": anchor, "dominant-baseline": "central", ...(isTurned ? { transform: `rotate(-90 ${centerX} ${centerY})` } : {}),
      }, text.trim());
    }
  }
  const size = { width: Math.ceil(right + margin), height: Math.ceil(bottom + margin) };
  svg.setAttribute("width", size.width);
  svg.setAttribute("height", size.height);
  svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  return { text: new XMLSerializer().serializeToString(svg), ...size };
};

const png = async () => {
  const { text, width, height } = picture();
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = make("canvas", { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("too large"))), "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
};

const save = (blob, extension) => {
  const link = make("a", { href: URL.createObjectURL(blob), download: `${examples[state.index].anchor}.${extension}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  return `saved as ${link.download}`;
};

// Copies the picture, or saves it as a file where the page may not use the clipboard.
const copy = async (extension) => {
  const said = document.querySelector(".said");
  try {
    const blob = extension === "png" ? await png() : new Blob([picture().text], { type: "image/svg+xml" });
    try {
      const item = extension === "png" ? { "image/png": blob } : { "text/plain": new Blob([await blob.text()], { type: "text/plain" }) };
      await navigator.clipboard.write([new ClipboardItem(item)]);
      said.textContent = `copied as ${extension.toUpperCase()}`;
    } catch {
      said.textContent = save(blob, extension);
    }
  } catch (error) {
    said.textContent = `the picture could not be made: ${error.message}`;
  }
};
