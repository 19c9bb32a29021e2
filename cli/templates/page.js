document.addEventListener("click", (event) => {
  const head = event.target.closest("th[scope]");
  if (!head) return;
  const table = head.closest("table");
  const was = head.classList.contains("marked");
  table.querySelectorAll(".marked").forEach((cell) => cell.classList.remove("marked"));
  if (was) return;
  const cells = head.scope === "row"
    ? head.parentElement.cells
    : [...table.rows].map((row) => row.cells[head.cellIndex]);
  [...cells].forEach((cell) => cell && cell.classList.add("marked"));
});
