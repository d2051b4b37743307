// Everything works without this file: forms have a button, and what is pointed at has the browser's own hint.
for (const chart of document.querySelectorAll(".axes")) {
  const shown = chart.parentElement.querySelector(".pointed");
  const before = shown.textContent;
  for (const run of chart.querySelectorAll(".run")) {
    const title = run.querySelector("title");
    const text = title.textContent;
    run.setAttribute("aria-label", text);
    run.addEventListener("pointerenter", () => { shown.textContent = text; });
    run.addEventListener("pointerleave", () => { shown.textContent = before; });
    title.remove();
  }
}

for (const select of document.querySelectorAll(".choice select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
