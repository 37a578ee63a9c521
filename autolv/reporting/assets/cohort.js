"use strict";
(() => {
  const body = document.querySelector("table.cohort tbody");
  if (!body) return;
  const heads = [...document.querySelectorAll("table.cohort th.sortable")];
  heads.forEach((head) => {
    head.querySelector("button").addEventListener("click", () => {
      const column = head.cellIndex;
      const rising = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const keyed = [...body.rows].map((row) => [row.cells[column].dataset.key, row]);
      keyed.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b;
        return rising ? order : -order;
      });
      body.append(...keyed.map(([, row]) => row));
    });
  });
})();
