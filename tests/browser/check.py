"""Opens whence's pages in a headless Chromium and uses them as a reader does.

    python3 tests/browser/check.py --whence target/debug/whence
    python3 tests/browser/check.py --whence target/debug/whence --screenshots docs/pictures

Needs Chromium (Debian: `apt-get install chromium fonts-noto-core`) and nothing else. With
`--screenshots` it also rewrites the pictures of the documentation.
"""

import argparse
import base64
import json
import os
import struct
import subprocess
import tempfile
from pathlib import Path

from chromium import Chromium, executable

ROOT = Path(__file__).resolve().parents[2]
MARIAN = ROOT / "tests/models/lo-en-fr-tiny"
LLAMA = ROOT / "tests/models/glass-en"
CONTEXTS = ROOT / "tests/data/contexts.jsonl"
GPT2 = ROOT / "tests/models/gpt2-random"
PAIRS = ROOT / "tests/data/libreoffice-help-en-fr.test.jsonl"

# The least contrast that WCAG 2 accepts for text, and a script that returns the least of a page.
READABLE = 4.5
LEAST_CONTRAST = """(() => {
  const luminance = (text) => {
    const channels = text.match(/[\\d.]+/g).slice(0, 3).map((channel) => channel / 255)
      .map((channel) => (channel > 0.04045 ? ((channel + 0.055) / 1.055) ** 2.4 : channel / 12.92));
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
  };
  const ground = (element) => {
    for (let own = element; own; own = own.parentElement) {
      const color = getComputedStyle(own).backgroundColor;
      if (!color.endsWith(", 0)") && color !== "transparent") return color;
    }
    return "rgb(255, 255, 255)";
  };
  let least = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    if (!own.length || !element.checkVisibility() || element.closest("script, style, .hidden, option")) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least[0]) least = [contrast, `${element.tagName} ${element.textContent.slice(0, 30)}`];
  }
  return least;
})()"""


class Pages:
    """Pages that the program writes, in a folder of their own."""

    def __init__(self, whence, folder):
        self.whence, self.folder = whence, Path(folder)

    def run(self, *arguments):
        environment = {**os.environ, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
        ran = subprocess.run([self.whence, *map(str, arguments)], cwd=ROOT, env=environment,
                             capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def dataset(self, name, rows, *more):
        """A page of translation pairs, from a job in a root of its own."""
        page = self.folder / f"{name}.html"
        self.run("attribute-dataset", "--model", MARIAN, "--dataset", PAIRS, "--dataset-split", f"train[:{rows}]",
                 "--input", "translation.en", "--generated", "translation.fr", "--step-scores", "probability",
                 "--attribute-target", "--root", self.folder / "root", "--hide-attributions", "--viz-path", page, *more)
        return page

    def attribute(self, name, *arguments):
        page = self.folder / f"{name}.html"
        self.run("attribute", "--hide-attributions", "--viz-path", page, *arguments)
        return page

    def with_blocks(self, page, name, blocks):
        """A page with other examples in place of its own."""
        text = page.read_text()
        marker = '<script type="application/json" class="example">'
        head, _, rest = text.partition(marker)
        tail = rest[rest.rindex("<script>"):]
        made = self.folder / f"{name}.html"
        escaped = (json.dumps(block).replace("<", "\\u003c") for block in blocks)
        made.write_text(head + "".join(f"{marker}{block}</script>\n" for block in escaped) + tail)
        return made

    @staticmethod
    def blocks(page):
        """The examples of a page."""
        parts = page.read_text().split('class="example">')[1:]
        return [json.loads(part.split("</script>")[0]) for part in parts]


def floats(*values):
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def arabic():
    """An example from English to Arabic."""
    source = ["Open", " the", " window", " now"]
    target = ["افتح", " النافذة", " الآن"]
    scores = floats(0.8, 0.05, 0.1, 0.05, 0.1, 0.25, 0.6, 0.05, 0.05, -0.1, 0.05, 0.9)
    return {
        "name": "example 0", "anchor": "example-0", "limit": 0.9,
        "texts": [["Input", "".join(source)], ["Output", "".join(target)]],
        "maps": [{"title": "Source Saliency Heatmap", "axes": "source", "rows": {"tokens": source},
                  "columns": {"tokens": target}, "scores": scores, "steps": [["probability", floats(0.9, 0.7, 0.8)]]}],
    }


def expect(what, found, wanted=True):
    assert found == wanted, f"{what}: {found!r} instead of {wanted!r}"
    print(f"  {what}")


def readable(browser, what):
    contrast, element = browser.run(LEAST_CONTRAST)
    assert contrast >= READABLE, f"{what}: {contrast:.2f} at {element}"
    print(f"  text is readable in {what}: least contrast {contrast:.2f}")


def shoot(browser, path):
    """Takes a picture, without the place of this clone."""
    browser.run(f"for (const own of document.querySelectorAll('dd')) own.textContent = own.textContent.replace('{ROOT}/', '')")
    browser.screenshot(path)


def silent(browser):
    expect("no error, no broken policy, no request", browser.complaints(), [])


def check_matrix(browser, page, shots):
    browser.prefer("light")
    browser.open(page)
    rows = browser.run("document.querySelectorAll('.pictures figure').length")
    expect("source and prefix have a heatmap each", rows, 2)
    browser.hover("tbody tr:nth-child(2) td:nth-of-type(2)")
    tip = browser.run("document.querySelector('.tip').innerText")
    expect("hover shows row, column and value", "→" in tip and "row 1, column 1" in tip and "0." in tip)
    browser.click("thead th:nth-child(9) button")
    expect("a click on a token lists its sources", browser.run("document.querySelectorAll('.sources li').length > 3"))
    expect("its column is marked", browser.run("document.querySelectorAll('td.lit').length > 3"))
    if shots:
        browser.run("document.activeElement.blur()")
        shoot(browser, shots / "matrix.webp")
    browser.press("Escape")
    expect("Escape clears the selection", browser.run("document.querySelectorAll('.lit, .chosen').length"), 0)
    browser.click("tbody tr:first-child th button")
    expect("a click on an attributed token lists what it leads to",
           browser.run("document.querySelector('.sources h3').innerText.startsWith('What ')"))
    pale = browser.run("getComputedStyle(document.querySelector('tbody td')).backgroundColor")
    browser.run("(() => { const scale = document.getElementById('scale'); scale.value = 'column'; scale.dispatchEvent(new Event('change')); })()")
    strong = browser.run("[...document.querySelectorAll('tbody tr')].some((row) => getComputedStyle(row.cells[1]).backgroundColor === 'rgb(178, 24, 43)')")
    expect("with a scale per column, each column has the strongest color", strong)
    expect("the legend names the scale", browser.run("document.querySelector('.legend').innerText.includes('column')"))
    assert pale
    readable(browser, "the matrix, light")
    browser.click("#theme")
    expect("the theme button makes the page dark", browser.run("getComputedStyle(document.body).backgroundColor"), "rgb(23, 25, 29)")
    readable(browser, "the matrix, dark")
    browser.click("#theme")
    browser.run("localStorage.clear(); delete document.documentElement.dataset.theme")
    silent(browser)


def check_sticky(browser, page):
    browser.resize(900, 420)
    browser.open(page)
    moved = browser.run("""(() => {
      const scroll = [...document.querySelectorAll('.scroll')].find((own) => own.scrollHeight > own.clientHeight + 60);
      if (!scroll) return 'nothing scrolls';
      scroll.scrollTo(60, 60);
      const [box, head, row] = [scroll, scroll.querySelector('thead th:nth-child(2)'), scroll.querySelector('tbody th')].map((own) => own.getBoundingClientRect());
      return Math.abs(head.top - box.top) < 3 && Math.abs(row.left - box.left) < 3;
    })()""")
    expect("headers stay while scrolling", moved)
    browser.resize(1360, 900)


def check_list(browser, page):
    browser.open(page)
    count = browser.run("document.querySelectorAll('nav li').length")
    browser.click("#search")
    browser.type("dialog")
    found = browser.run("document.querySelectorAll('nav li').length")
    expect("the search leaves what has the word", 0 < found < count)
    expect("and says how much", browser.run("document.querySelector('nav .count').textContent"), f"{found} of {count} examples")
    browser.run("(() => { const search = document.getElementById('search'); search.value = ''; search.dispatchEvent(new Event('input')); })()")
    expect("an empty search shows everything", browser.run("document.querySelectorAll('nav li').length"), count)
    browser.run("(() => { const sort = document.getElementById('sort'); sort.selectedIndex = 1; sort.dispatchEvent(new Event('change')); })()")
    lengths = browser.run("[...document.querySelectorAll('nav .note')].map((note) => parseInt(note.textContent))")
    expect("sorted by length, the longest is first", lengths, sorted(lengths, reverse=True))
    browser.run("document.activeElement.blur()")
    before = browser.run("location.hash")
    browser.press("j", "j")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    after = browser.run("location.hash")
    expect("j opens the next example", before != after and after.startswith("#example-"))
    expect("which is marked in the list", browser.run("document.querySelector('nav [aria-current]').hash"), after)
    silent(browser)


def check_text(browser, page, shots):
    browser.open(page)
    browser.press("t", "t")
    expect("t shows the text", browser.run("document.querySelectorAll('.running').length"), 2)
    browser.click(".token.output[data-column='7']")
    expect("a click on a token tints its sources", browser.run("document.querySelectorAll('.token[style]').length > 3"))
    browser.hover(".token.input")
    expect("hover shows the value", browser.run("!document.querySelector('.tip').hidden && /\\d/.test(document.querySelector('.tip').innerText)"))
    readable(browser, "the text, light")
    browser.prefer("dark")
    readable(browser, "the text, dark")
    if shots:
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
        browser.run("document.querySelector('.tip').hidden = true; document.activeElement.blur()")
        browser.resize(1360, 640)
        shoot(browser, shots / "text-dark.webp")
    browser.resize(1360, 900)
    browser.prefer("light")
    focused = browser.run("(() => { const token = document.querySelector(\".token.output[data-column='2']\"); token.focus(); return document.activeElement === token; })()")
    expect("tokens have the keyboard's focus", focused)
    browser.press("Enter")
    expect("Enter selects", browser.run("document.querySelector('.token.chosen').dataset.column"), "2")
    silent(browser)


def check_copy(browser, page, folder):
    browser.open(page)
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    for view in ("m", "t"):
        browser.press(view, view)
        for kind in ("png", "svg"):
            browser.run("document.querySelector('.said').textContent = ''")
            browser.click(f"#{kind}")
            said = browser.run("""new Promise((done) => { const wait = () => {
              const said = document.querySelector('.said').textContent; if (said) done(said); else setTimeout(wait, 20); }; wait(); })""")
            expect(f"{kind.upper()} of the {'matrix' if view == 'm' else 'text'} is copied", said.startswith(("copied as", "saved as")))
    svg = browser.run("picture().text") if browser.run("typeof picture") == "function" else None
    assert svg is None, "the page's names are its own"
    silent(browser)


def check_right_to_left(browser, pages, page, shots):
    browser.open(pages.with_blocks(page, "arabic", [arabic()]))
    browser.press("t", "t")
    order = browser.run("""(() => { const [first, second] = [...document.querySelectorAll('.running')].at(-1).querySelectorAll('.token');
      return [first.getBoundingClientRect().right > second.getBoundingClientRect().right, getComputedStyle(first.parentElement).direction]; })()""")
    expect("right-to-left text runs from right to left", order, [True, "rtl"])
    browser.click(".token.output[data-column='1']")
    expect("one example has no list", browser.run("getComputedStyle(document.querySelector('nav')).display"), "none")
    silent(browser)


def check_special(browser, pages):
    """Texts that try to break out of the page."""
    page = pages.attribute("hostile", "--model", LLAMA, "--input-texts", "a </script><script>window.broken=1</script> <img src=x onerror=broken=1> b",
                           "--generation-kwargs", '{"max_new_tokens": 3}')
    browser.open(page)
    expect("markup in a text stays text", browser.run("[typeof window.broken, document.images.length]"), ["undefined", 0])
    silent(browser)
    page = pages.attribute("bytes", "--model", GPT2, "--input-texts", "Où est la café 日本", "--generation-kwargs", '{"max_new_tokens": 3}')
    browser.open(page)
    heads = browser.run("[...document.querySelectorAll('tbody th b')].map((head) => head.textContent).join('|')")
    expect(f"tokens of byte-level vocabularies are decoded: {heads}", "Ġ" not in heads and "▁" in heads)
    browser.run("document.querySelectorAll('.toolbar input')[1].click()")
    heads = browser.run("[...document.querySelectorAll('tbody th b')].map((head) => head.textContent).join('|')")
    expect("and raw on demand", "Ġ" in heads)


def check_contrast(browser, pages, shots):
    page = pages.attribute("contrast", "--model", MARIAN, "--input-texts", "Open the window.", "--generated-texts", "Ouvrez la fenêtre.",
                           "--attributed-fn", "contrast_prob_diff", "--attribution-kwargs", '{"contrast_targets": "Fermez la fenêtre."}',
                           "--attribution-method", "input_x_gradient")
    browser.open(page)
    text = browser.run("document.body.innerText")
    expect("the contrast text is on the page", "Fermez la fenêtre." in text)
    expect("its tokens are named", "▁Ouvrez instead of z" in text)
    expect("and at the heads of the columns", browser.run("document.querySelectorAll('thead em').length > 0"))
    silent(browser)


def check_many(browser, pages, page):
    """A thousand examples: those of a page, repeated."""
    blocks = pages.blocks(page)
    many = [{**blocks[index % len(blocks)], "name": f"example {index}", "anchor": f"example-{index}"} for index in range(1000)]
    large = pages.with_blocks(page, "many", many)
    took = min(browser.open(large) for _ in range(3))
    print(f"  1,000 examples, {large.stat().st_size / 1e6:.1f} MB, drawn after {took:.0f} ms")
    assert took < 2000, took
    # The best of several times is what the page costs on a machine that does other work, too.
    moved = browser.run("""(async () => { let best = Infinity;
      for (let count = 0; count < 20; count += 1) {
        const start = performance.now();
        document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        best = Math.min(best, performance.now() - start);
      }
      return best; })()""")
    expect("20 keys later", browser.run("location.hash"), "#example-20")
    print(f"  the next example is drawn after {moved:.0f} ms")
    assert moved < 500, moved
    searched = browser.run("""(() => { const search = document.getElementById('search'); const start = performance.now();
      search.value = 'cell'; search.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - start; })()""")
    print(f"  a search takes {searched:.0f} ms")
    assert searched < 300, searched
    silent(browser)


def check_comparison(browser, pages, shots):
    pages.dataset("other", 12, "--attribution-method", "attention")
    jobs = pages.run("sql", "--root", pages.folder / "root", "--format", "csv", "SELECT job FROM jobs ORDER BY method").split()[1:]
    for mode in ("side-by-side", "difference"):
        page = pages.folder / f"{mode}.html"
        pages.run("compare", *jobs, "--root", pages.folder / "root", "--mode", mode, "--viz-path", page)
        browser.open(page)
        figures = browser.run("document.querySelectorAll('.pictures figure').length")
        expect(f"a comparison {mode} has its heatmaps", figures, 4 if mode == "side-by-side" else 2)
        expect("and the measures of agreement", "rank correlation" in browser.run("document.querySelector('.measures').innerText"))
        options = browser.run("[...document.querySelectorAll('#sort option')].map((option) => option.textContent)")
        expect("which examples can be sorted by", "lowest rank correlation" in options)
        silent(browser)
    if shots:
        shoot(browser, shots / "difference.webp")


def check_context(browser, pages, shots):
    page = pages.folder / "context.html"
    pages.run("attribute-context", "--model", LLAMA, "--attributed-fn", "contrast_prob_diff", "--input-context-text", "George was sick yesterday.",
              "--input-current-text", "His colleagues asked him to come", "--output-current-text", "to the hospital because he was not well.",
              "--no-show-viz", "--viz-path", page)
    browser.open(page)
    expect("each context-sensitive token has its cues", browser.run("document.querySelectorAll('section').length"), 2)
    readable(browser, "the context page, light")
    browser.click("a.marked")
    expect("a click on it leads there", browser.run("location.hash.startsWith('#cues-')"))
    browser.click("#theme")
    readable(browser, "the context page, dark")
    browser.click("#theme")
    browser.run("localStorage.clear()")
    if shots:
        browser.resize(1180, 620)
        browser.open(page)
        shoot(browser, shots / "context.webp")
        browser.resize(1360, 900)
    silent(browser)


def check_contexts(browser, pages):
    page = pages.folder / "contexts.html"
    pages.run("attribute-context-dataset", "--model", MARIAN, "--dataset", CONTEXTS, "--input-context-field", "before", "--input-current-field", "text",
              "--attributed-fn", "contrast_prob_diff", "--root", pages.folder / "contexts", "--no-show-viz", "--viz-path", page)
    browser.open(page)
    shown = "[...document.querySelectorAll('details')].filter((example) => !example.hidden).length"
    expect("each row is an example", browser.run(shown), 6)
    expect("examples are folded at first", browser.run("document.querySelectorAll('details[open]').length"), 0)
    browser.click("#search")
    browser.type("sections")
    expect("the search finds a text", browser.run(shown), 1)
    browser.click("#all")
    expect("all that are listed open", browser.run("document.querySelectorAll('details[open]').length"), 1)
    browser.click("details[open] a.marked")
    expect("a click on a token leads to its cues", browser.run("document.querySelector(':target').closest('details').open"))
    readable(browser, "the page of contexts")
    browser.run("location.hash = '#example-0-0-'")
    expect("a link opens its example", browser.run("document.querySelector('details').open"))
    silent(browser)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--screenshots", type=Path, help="write the pictures of the documentation here")
    arguments = parser.parse_args()
    if not executable():
        raise SystemExit("no Chromium: apt-get install chromium")
    shots = arguments.screenshots
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        pages = Pages(arguments.whence, folder)
        page = pages.dataset("pairs", 12)
        for name, check in [
            ("matrix", lambda: check_matrix(browser, page, shots)),
            ("scrolling", lambda: check_sticky(browser, page)),
            ("list", lambda: check_list(browser, page)),
            ("text", lambda: check_text(browser, page, shots)),
            ("copies", lambda: check_copy(browser, page, folder)),
            ("right to left", lambda: check_right_to_left(browser, pages, page, shots)),
            ("texts", lambda: check_special(browser, pages)),
            ("contrast", lambda: check_contrast(browser, pages, shots)),
            ("1,000 examples", lambda: check_many(browser, pages, page)),
            ("comparison", lambda: check_comparison(browser, pages, shots)),
            ("context", lambda: check_context(browser, pages, shots)),
            ("contexts", lambda: check_contexts(browser, pages)),
        ]:
            print(name)
            check()


if __name__ == "__main__":
    main()
