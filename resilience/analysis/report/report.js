"use strict";
// A click on a column heading sorts the rows by that column; a second click reverses the order.
// Entries without a value stay at the end, and equal rows keep their order.
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];

  const compare = (a, b) =>
    "value" in a.dataset && "value" in b.dataset
      ? Number(a.dataset.value) - Number(b.dataset.value)
      : a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  const absent = (cell) =>
    cell.classList.contains("number") ? !("value" in cell.dataset) : cell.textContent === "";

  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const direction = heading.ariaSort === "ascending" ? -1 : 1;
      for (const other of headings) other.ariaSort = "none";
      heading.ariaSort = direction === 1 ? "ascending" : "descending";
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [first.cells[column], second.cells[column]];
        return absent(a) - absent(b) || (absent(a) ? 0 : direction * compare(a, b));
      });
      body.append(...rows);
    });
  });
}
